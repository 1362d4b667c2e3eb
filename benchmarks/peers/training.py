"""Training as three programs do it: glassformer's loop, a loop written by hand, transformers' Trainer.

All begin from one folder of weights and see the same batches; a turn is so many steps, with what each sets up for them.
With `lengths`, numbers of tokens of real texts, a turn is one epoch of texts of these lengths, which each program puts
into batches of `rows` in its own way.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from turn import asked, serve

told = asked()
torch.set_num_threads(told["threads"])
work, steps, rate = told["work"], told["steps"], 1e-3
IGNORE = -100


def batch_of(number: int) -> dict[str, Tensor]:
    """A batch by its number: random ids, and what is to be said of them."""
    chance = torch.Generator().manual_seed(number)
    ids = torch.randint(4, told["vocabulary"], (told["rows"], told["length"]), generator=chance)
    if work == "write":
        return {"input_ids": ids, "labels": ids}
    if work == "classify":
        return {"input_ids": ids, "labels": torch.randint(0, 2, (told["rows"],), generator=chance)}
    return {"input_ids": ids, "labels": torch.randint(4, told["vocabulary"], ids.shape, generator=chance)}


def texts() -> list[dict[str, Tensor]]:
    """Texts of real lengths, as transformers names their parts: random ids, and a label or a second text."""
    chance = torch.Generator().manual_seed(0)

    def ids(length: int) -> Tensor:
        return torch.randint(4, told["vocabulary"], (length,), generator=chance)

    lengths = np.load(told["lengths"]).tolist()
    if work == "classify":
        return [{"input_ids": ids(read), "labels": torch.tensor(read % 2)} for (read,) in lengths]
    return [{"input_ids": ids(read), "labels": ids(written)} for read, written in lengths]


def padded(chosen: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Some of them as one batch."""
    read, labels = ([each[name] for each in chosen] for name in ("input_ids", "labels"))
    mask = pad_sequence([torch.ones_like(each) for each in read], batch_first=True)
    answers = torch.stack(labels) if work == "classify" else pad_sequence(labels, True, IGNORE)
    return {
        "input_ids": pad_sequence(read, batch_first=True, padding_value=1),
        "attention_mask": mask,
        "labels": answers,
    }


def counted(chosen: Sequence[Mapping[str, Tensor]]) -> int:
    """The tokens that are learnt from: where a label is learnt those that are read, else those that are written."""
    return sum(len(each["input_ids" if work == "classify" else "labels"]) for each in chosen)


def by_length() -> Any:
    """Our batches of texts of real lengths."""
    from glassformer.data.batch import Batch, pad
    from glassformer.data.batches import ExampleBatches, TokenBatches

    found = texts()
    if work == "translate":
        pairs = [(each["input_ids"].tolist(), each["labels"].tolist()) for each in found]
        return TokenBatches(pairs, tokens=told["most"], examples=told["rows"], pad_id=1, bos_id=0, eos_id=2)

    def make(chosen: Sequence[int]) -> Batch:
        source, mask = pad([found[number]["input_ids"].tolist() for number in chosen], 1)
        return Batch(
            source=source, source_mask=mask, labels=torch.stack([found[number]["labels"] for number in chosen])
        )

    lengths = [len(each["input_ids"]) for each in found]
    return ExampleBatches(lengths, make, tokens=told["most"], examples=told["rows"])


def ours() -> Any:
    """`training.loop.train`, the loop behind every recipe."""
    from glassformer import pretrained
    from glassformer.data.batch import Batch
    from glassformer.training.loop import train
    from glassformer.training.loss import LabelLoss, TokenLoss
    from glassformer.training.recipe import TrainingTable

    model = pretrained.load_transformer(told["model"], dtype="float32").transformer

    class Batches:
        """Batch after batch."""

        def __len__(self) -> int:
            return steps

        def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
            """Those of one turn."""
            for place in range(start, steps):
                given = batch_of(place)
                ids, labels = given["input_ids"], given["labels"]
                if work == "write":
                    yield Batch(target=ids[:, :-1], labels=ids[:, 1:])
                elif work == "classify":
                    yield Batch(source=ids, labels=labels)
                else:
                    begun = torch.cat([torch.zeros_like(labels[:, :1]), labels[:, :-1]], 1)
                    yield Batch(source=ids, target=begun, labels=labels)

    real = "lengths" in told
    table = TrainingTable(
        max_steps=None if real else steps,
        epochs=1 if real else None,
        learning_rate=rate,
        schedule="constant",
        warmup_steps=0,
        precision=told["precision"],
    )
    objective = LabelLoss() if work == "classify" else TokenLoss()
    made = counted(texts()) if real else steps * told["made"]

    def run() -> int:
        """One turn."""
        for _ in train(model, by_length() if real else Batches(), table, objective=objective):
            pass
        return made

    return run


class Writer(nn.Module):
    """A small GPT as one writes it in an afternoon."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.words = nn.Embedding(told["vocabulary"], width)
        self.places = nn.Embedding(told["length"], width)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "first": nn.LayerNorm(width),
                    "qkv": nn.Linear(width, 3 * width),
                    "out": nn.Linear(width, width),
                    "second": nn.LayerNorm(width),
                    "up": nn.Linear(width, 4 * width),
                    "down": nn.Linear(4 * width, width),
                }
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits B T V."""
        rows = self.words(ids) + self.places.weight[: ids.shape[1]]
        for layer in self.layers:
            parts = layer["qkv"](layer["first"](rows)).chunk(3, -1)
            q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            rows = rows + layer["out"](mixed.transpose(1, 2).flatten(2))
            rows = rows + layer["down"](functional.gelu(layer["up"](layer["second"](rows)), approximate="tanh"))
        return functional.linear(self.norm(rows), self.words.weight)


def published() -> Any:
    """transformers' model of the folder."""
    import transformers

    kinds = {
        "write": "AutoModelForCausalLM",
        "classify": "AutoModelForSequenceClassification",
        "translate": "AutoModelForSeq2SeqLM",
    }
    return getattr(transformers, kinds[work]).from_pretrained(told["model"], dtype=torch.float32)


def loop() -> Any:
    """Forward, backward, AdamW (fused), and nothing else."""
    model = Writer(*told["sizes"]) if work == "write" else published()
    model.train()
    half = told["precision"] == "bfloat16"

    def loss_of(given: dict[str, Tensor]) -> Tensor:
        if work != "write":
            return model(**given).loss
        ids = given["input_ids"]
        return functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    def batches() -> Iterator[dict[str, Tensor]]:
        if "lengths" not in told:
            yield from map(batch_of, range(steps))
            return
        found = texts()
        for chosen in torch.randperm(len(found)).split(told["rows"]):
            yield padded([found[number] for number in chosen.tolist()])

    made = counted(texts()) if "lengths" in told else steps * told["made"]

    def run() -> int:
        """One turn."""
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
        for batch in batches():
            with torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext():
                loss = loss_of(batch)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return made

    return run


def trainer() -> Any:
    """As its documentation has it; nothing is saved or reported."""
    import transformers

    model = published()
    real = "lengths" in told
    examples = (
        texts()
        if real
        else [
            {name: value[row] for name, value in batch_of(place).items()}
            for place in range(steps)
            for row in range(told["rows"])
        ]
    )
    made = counted(examples) if real else steps * told["made"]
    passes = {"num_train_epochs": 1} if real else {"max_steps": steps}

    def run() -> int:
        """One turn."""
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                folder,
                per_device_train_batch_size=told["rows"],
                learning_rate=rate,
                use_cpu=True,
                bf16=told["precision"] == "bfloat16",
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                logging_strategy="no",
                train_sampling_strategy=told.get("order", "random"),
                **passes,
            )
            collator = padded if real else None
            transformers.Trainer(
                model=model, args=arguments, train_dataset=examples, data_collator=collator
            ).train()
        return made

    return run


serve({"ours": ours, "loop": loop, "trainer": trainer}[told["program"]]())
