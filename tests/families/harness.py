"""What every published family is put through: ours beside theirs, on small random models and padded batches."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from glassformer.model import Transformer
from glassformer.pretrained import load_transformer, save

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

Settings = Mapping[str, Any]
Draw = Callable[[random.Random], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A family as `transformers` has it, and how to draw a small random configuration of it."""

    model_type: str
    config: type
    draw: Draw
    classes: tuple[str, ...]
    pooled_at_first: tuple[str, ...] = ()  # classes that read position 0 even where it is padding
    counts_itself: bool = False  # numbers the positions by the padding of the ids, and takes no position_ids


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A padded batch."""

    ids: Tensor  # B T
    mask: Tensor  # B T
    segments: Tensor  # B T
    side: str

    @property
    def positions(self) -> Tensor:
        """How many real tokens stand before each."""
        return (self.mask.cumsum(1) - 1).clamp(min=0)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far apart two implementations are on one model."""

    name: str
    loaded: float  # theirs and ours, of their file
    reopened: float  # theirs and theirs again, of our file
    size: float  # of the largest number compared


def perturb(model: torch.nn.Module, seed: int, by: float = 0.2) -> None:
    """Move every parameter: a norm left at one and a bias left at zero hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def padded(
    vocab: int, segments: int, pad: int, seed: int, side: str, lengths: tuple[int, ...] = (7, 4, 1)
) -> Inputs:
    """Texts of different lengths side by side; ids 0 to 3 are kept for special tokens."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    ids = torch.randint(4, vocab, (len(lengths), longest), generator=generator)
    real = torch.stack([torch.arange(longest) < length for length in lengths])
    mask = (real if side == "right" else real.flip(1)).long()
    groups = torch.randint(0, max(segments, 1), ids.shape, generator=generator)
    return Inputs(ids=torch.where(mask.bool(), ids, pad), mask=mask, segments=groups, side=side)


def theirs(model: Any, batch: Inputs, published: Published) -> Tensor:
    """What a model of `transformers` answers."""
    arguments = {"input_ids": batch.ids, "attention_mask": batch.mask}
    if published.model_type != "gpt2":  # which would take segments for tokens
        arguments["token_type_ids"] = batch.segments
    if not published.counts_itself:
        arguments["position_ids"] = batch.positions
    many = type(model).__name__.endswith("MultipleChoice")
    if many:
        arguments = {name: value[:, None] for name, value in arguments.items()}
    given = model(**arguments)
    for name in ("prediction_logits", "logits"):
        if name in given:
            return given[name]
    if "start_logits" in given:
        return torch.stack([given.start_logits, given.end_logits], dim=-1)
    return given.last_hidden_state


def ours(model: Transformer, batch: Inputs) -> Tensor:
    """What our model answers."""
    segments = batch.segments if model.config.segments else None
    if model.decoder is None:
        return model(batch.ids, source_mask=batch.mask, segments=segments)
    return model(None, batch.ids, target_mask=batch.mask, segments=segments)


def apart(first: Tensor, second: Tensor, batch: Inputs) -> float:
    """The largest difference at a real position, or of any text's labels."""
    assert first.shape == second.shape
    gap = (first - second).abs()
    return float((gap[batch.mask.bool()] if gap.shape[:2] == batch.mask.shape else gap).max())


def batches(published: Published, name: str, settings: Settings, seed: int) -> Iterator[Inputs]:
    """Padded on the right; on the left too, unless the class would read padding there."""
    for side in ("right", "left"):
        if side == "right" or name not in published.pooled_at_first:
            pad = settings.get("pad_token_id", 0)
            yield padded(settings["vocab_size"], settings.get("type_vocab_size", 0), pad, seed, side)


@torch.no_grad()
def compared(published: Published, name: str, seed: int, folder: Path) -> Difference:
    """One random model of one class: written by them and read by us, written by us and read by them."""
    settings = published.draw(random.Random(seed))
    if name in ("BertLMHeadModel", "RobertaForCausalLM"):
        settings["is_decoder"] = True
    if name.endswith("QuestionAnswering"):
        settings["num_labels"] = 2  # a start and an end
    config = published.config(**settings, attn_implementation="eager")
    reference = getattr(transformers, name)(config).double().eval()
    perturb(reference, seed)
    reference.save_pretrained(folder / "theirs")
    checkpoint = load_transformer(folder / "theirs")
    assert checkpoint.transformer.config.dtype == "float64"
    save(checkpoint, folder / "ours")
    again = reopened(folder / "ours", checkpoint.raw)
    loaded = reread = size = 0.0
    for batch in batches(published, name, settings, seed):
        expected = theirs(reference, batch, published)
        found, second = ours(checkpoint.transformer, batch), theirs(again, batch, published)
        loaded = max(loaded, apart(expected, found, batch))
        reread = max(reread, apart(expected, second, batch))
        size = max(size, float(expected.abs().max()))
    return Difference(name=name, loaded=loaded, reopened=reread, size=size)


AUTOMATIC = {  # end of a class's name -> what opens any family's model of that kind
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForPreTraining": "AutoModelForMaskedLM",
    "LMHeadModel": "AutoModelForCausalLM",
    "ForCausalLM": "AutoModelForCausalLM",
    "DoubleHeadsModel": "AutoModelForCausalLM",
    "ForNextSentencePrediction": "AutoModelForNextSentencePrediction",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForMultipleChoice": "AutoModelForMultipleChoice",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
    "Model": "AutoModel",
}


def reopened(folder: Path, raw: Settings) -> Any:
    """A folder of ours, opened by `transformers` as anyone would; no weight may be missing or left over."""
    kind = next(opener for end, opener in AUTOMATIC.items() if raw["architectures"][0].endswith(end))
    model, told = getattr(transformers, kind).from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True
    )
    assert not told["missing_keys"], told
    assert not told["unexpected_keys"], told
    assert model.dtype == torch.float64
    return model.eval()


# ------------------------------------------------------------------ the families


def draw_bert(chance: random.Random) -> dict[str, Any]:
    """A small BERT or RoBERTa."""
    heads = chance.choice([1, 2, 3, 4])
    return {
        "vocab_size": chance.randint(20, 60),
        "hidden_size": heads * chance.choice([2, 4, 8]),
        "num_hidden_layers": chance.randint(1, 3),
        "num_attention_heads": heads,
        "intermediate_size": chance.randint(5, 40),
        "hidden_act": chance.choice(["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish"]),
        "max_position_embeddings": chance.randint(12, 20),
        "type_vocab_size": chance.randint(1, 3),
        "layer_norm_eps": chance.choice([1e-12, 1e-5, 1e-3]),
        "num_labels": chance.choice([1, 2, 3, 5]),
        "tie_word_embeddings": chance.random() < 0.7,
    }


def draw_roberta(chance: random.Random) -> dict[str, Any]:
    """The same with a padding id that moves the positions."""
    return {**draw_bert(chance), "pad_token_id": chance.choice([1, 1, 0, 3])}


def draw_gpt2(chance: random.Random) -> dict[str, Any]:
    """A small GPT-2."""
    heads = chance.choice([1, 2, 3, 4])
    return {
        "vocab_size": chance.randint(20, 60),
        "n_embd": heads * chance.choice([2, 4, 8]),
        "n_layer": chance.randint(1, 3),
        "n_head": heads,
        "n_inner": chance.choice([None, 11, 40]),
        "n_positions": chance.randint(8, 20),
        "activation_function": chance.choice(["gelu_new", "gelu", "relu", "silu", "gelu_pytorch_tanh"]),
        "layer_norm_epsilon": chance.choice([1e-5, 1e-12, 1e-3]),
        "scale_attn_weights": chance.random() < 0.7,
        "num_labels": chance.choice([1, 2, 3, 5]),
        "tie_word_embeddings": chance.random() < 0.7,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


PUBLISHED = {
    "bert": Published(
        model_type="bert",
        config=transformers.BertConfig,
        draw=draw_bert,
        classes=(
            "BertForMaskedLM",
            "BertForPreTraining",
            "BertLMHeadModel",
            "BertForNextSentencePrediction",
            "BertForSequenceClassification",
            "BertForMultipleChoice",
            "BertForTokenClassification",
            "BertForQuestionAnswering",
            "BertModel",
        ),
        pooled_at_first=(
            "BertForNextSentencePrediction",
            "BertForSequenceClassification",
            "BertForMultipleChoice",
        ),
    ),
    "roberta": Published(
        model_type="roberta",
        config=transformers.RobertaConfig,
        draw=draw_roberta,
        classes=(
            "RobertaForMaskedLM",
            "RobertaForCausalLM",
            "RobertaForSequenceClassification",
            "RobertaForMultipleChoice",
            "RobertaForTokenClassification",
            "RobertaForQuestionAnswering",
            "RobertaModel",
        ),
        pooled_at_first=("RobertaForSequenceClassification", "RobertaForMultipleChoice"),
        counts_itself=True,
    ),
    "gpt2": Published(
        model_type="gpt2",
        config=transformers.GPT2Config,
        draw=draw_gpt2,
        classes=(
            "GPT2LMHeadModel",
            "GPT2DoubleHeadsModel",
            "GPT2ForSequenceClassification",
            "GPT2ForTokenClassification",
            "GPT2ForQuestionAnswering",
            "GPT2Model",
        ),
    ),
}
