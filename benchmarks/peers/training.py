"""Training as three programs do it: glassformer's loop, a loop written by hand, transformers' Trainer.

All begin from one folder of weights and see the same batches; a turn is so many steps, with what each sets up for them.
"""

import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
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

    table = TrainingTable(
        max_steps=steps, learning_rate=rate, schedule="constant", warmup_steps=0, precision=told["precision"]
    )
    objective = LabelLoss() if work == "classify" else TokenLoss()

    def run() -> int:
        """One turn."""
        for _ in train(model, Batches(), table, objective=objective):
            pass
        return steps * told["made"]

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
            rows = rows + layer["down"](functional.gelu(layer["up"](layer["second"](rows))))
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
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    half = told["precision"] == "bfloat16"

    def loss_of(given: dict[str, Tensor]) -> Tensor:
        if work != "write":
            return model(**given).loss
        ids = given["input_ids"]
        return functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    def run() -> int:
        """One turn."""
        for place in range(steps):
            with torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext():
                loss = loss_of(batch_of(place))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return steps * told["made"]

    return run


def trainer() -> Any:
    """As its documentation has it; nothing is saved or reported."""
    import transformers

    model = published()
    examples = [
        {name: value[row] for name, value in batch_of(place).items()}
        for place in range(steps)
        for row in range(told["rows"])
    ]

    def run() -> int:
        """One turn."""
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                folder,
                per_device_train_batch_size=told["rows"],
                max_steps=steps,
                learning_rate=rate,
                use_cpu=True,
                bf16=told["precision"] == "bfloat16",
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                logging_strategy="no",
            )
            transformers.Trainer(model=model, args=arguments, train_dataset=examples).train()
        return steps * told["made"]

    return run


serve({"ours": ours, "loop": loop, "trainer": trainer}[told["program"]]())
