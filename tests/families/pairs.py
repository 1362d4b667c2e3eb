"""Encoders with decoders: theirs and ours on small random models, every parameter moved, padded on either side.

Where the published code works in float32 inside (tables of sine and cosine, the norms of T5), `exact` keeps it in
float64, so that what is compared is the arithmetic and not the rounding.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from glassformer.model import Transformer

from .harness import perturb

VOCABULARY, POSITIONS = 40, 32
LENGTHS = (7, 4, 1)  # of sources
WRITTEN = (3, 6, 2)  # of targets


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A family of pairs as `transformers` has it, and how to draw a small random configuration of it."""

    config: type
    generates: str  # the class that writes
    draw: Callable[[random.Random], dict[str, Any]]
    others: tuple[str, ...] = ()  # the classes that read


class Wide(TorchFunctionMode):
    """What would go on in float32 stays in float64; whole numbers too, if asked."""

    def __init__(self, whole_numbers: bool) -> None:
        super().__init__()
        self.whole_numbers = whole_numbers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.float and (self.whole_numbers or args[0].is_floating_point()):
            return args[0].double()
        if func is Tensor.to and any(each is torch.float32 for each in args):
            args = tuple(torch.float64 if each is torch.float32 else each for each in args)
        return func(*args, **(kwargs or {}))


@contextmanager
def exact(building: bool = False) -> Iterator[None]:
    """`transformers` in float64 throughout. The buckets of T5, whole numbers made float32, are left as they are."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with mock.patch.object(torch, "FloatTensor", torch.DoubleTensor), Wide(building), torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def reference(pair: Pair, name: str, seed: int, **settings: Any) -> Any:
    """A random model of theirs."""
    config = pair.config(**{**pair.draw(random.Random(seed)), **settings}, attn_implementation="eager")
    torch.manual_seed(seed)  # whatever was drawn before, the same model
    with exact(building=True):
        model = getattr(transformers, name)(config).eval()
        if untied(config) and hasattr(model, "lm_head"):
            model.lm_head.weight = nn.Parameter(torch.randn_like(model.lm_head.weight))
    moved = nn.Module()
    for number, (place, parameter) in enumerate(model.named_parameters()):
        if "embed_positions" not in place or parameter.requires_grad:
            moved.register_parameter(f"p{number}", parameter)
    perturb(moved, seed)
    with torch.no_grad():
        for place, buffer in model.named_buffers():
            if place == "final_logits_bias":
                buffer += torch.randn(buffer.shape, generator=torch.Generator().manual_seed(seed))
    return model


def untied(config: Any) -> bool:
    """Whether the output has a map of its own, which newer software draws tied all the same."""
    return config.model_type == "mt5" or not getattr(config, "scale_decoder_outputs", True)


def reopened(folder: Path, name: str) -> Any:
    """A folder of ours, opened by them; nothing missing, nothing left over."""
    with exact(building=True):
        model, told = getattr(transformers, name).from_pretrained(
            folder, attn_implementation="eager", output_loading_info=True
        )
    assert not told["unexpected_keys"], told
    assert not [key for key in told["missing_keys"] if "embed_positions" not in key], told
    return model.eval()


# ------------------------------------------------------------------ a batch


def texts(lengths: tuple[int, ...], seed: int, end: int | None = None) -> list[list[int]]:
    """Random ids; 0 to 4 are kept for special tokens, one of which may stand last."""
    chance = random.Random(seed)
    rows = [[chance.randrange(5, VOCABULARY) for _ in range(length)] for length in lengths]
    return rows if end is None else [[*row, end] for row in rows]


def padded(rows: list[list[int]], pad: int, side: str) -> tuple[Tensor, Tensor]:
    """Ids and mask, B T."""
    longest = max(map(len, rows))
    gaps = [longest - len(row) for row in rows]
    left = side == "left"
    ids = [[pad] * gap + row if left else row + [pad] * gap for row, gap in zip(rows, gaps, strict=True)]
    mask = [
        [0] * g + [1] * len(r) if left else [1] * len(r) + [0] * g for r, g in zip(rows, gaps, strict=True)
    ]
    return torch.tensor(ids), torch.tensor(mask)


def theirs(model: Any, sources: list[list[int]], targets: list[list[int]] | None) -> Tensor:
    """Their answer: one row for each real position of the targets, or one for each text."""
    pad = model.config.pad_token_id
    ids, mask = padded(sources, pad, "right")
    arguments = {"input_ids": ids, "attention_mask": mask}
    if targets is not None:
        written, written_mask = padded(targets, pad, "right")
        arguments |= {"decoder_input_ids": written, "decoder_attention_mask": written_mask}
    with exact():
        given = model(**arguments)
    if "start_logits" in given:
        return torch.stack([given.start_logits, given.end_logits], dim=-1)[mask.bool()]
    found = given.logits if "logits" in given else given.last_hidden_state
    return found if found.ndim == 2 else found[(mask if targets is None else written_mask).bool()]


def ours(
    model: Transformer,
    sources: list[list[int]],
    targets: list[list[int]],
    pad: int,
    sides: tuple[str, str],
    **more: Any,
) -> Tensor:
    """Our answer to the same."""
    ids, mask = padded(sources, pad, sides[0])
    written, written_mask = padded(targets, pad, sides[1])
    with torch.no_grad():
        found = model(ids, written, source_mask=mask, target_mask=written_mask, **more)
    return found if found.ndim == 2 else found[written_mask.bool()]


# ------------------------------------------------------------------ the families


def draw_bart(chance: random.Random) -> dict[str, Any]:
    """A small BART, or whatever descends from it."""
    heads = chance.choice([1, 2, 4])
    wide = chance.choice([11, 24])
    return {
        "vocab_size": VOCABULARY,
        "d_model": heads * chance.choice([4, 8]),
        "encoder_layers": chance.randint(1, 2),
        "decoder_layers": chance.randint(1, 2),
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_ffn_dim": wide,
        "decoder_ffn_dim": wide,
        "activation_function": chance.choice(["gelu", "gelu_new", "relu", "swish"]),
        "scale_embedding": chance.random() < 0.5,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": None,
        "num_labels": chance.choice([1, 3, 5]),
    }


def draw_marian(chance: random.Random) -> dict[str, Any]:
    """A small Marian, its two languages with one vocabulary or with two."""
    shared = chance.random() < 0.6
    return {
        **draw_bart(chance),
        "pad_token_id": 3,
        "decoder_start_token_id": 3,
        "eos_token_id": 0,
        "bos_token_id": None,
        "share_encoder_decoder_embeddings": shared,
        "vocab_size": VOCABULARY if shared else VOCABULARY + 7,
        "decoder_vocab_size": VOCABULARY,
    }


def draw_t5(chance: random.Random) -> dict[str, Any]:
    """A small T5."""
    return {
        "vocab_size": VOCABULARY,
        "d_model": chance.choice([8, 12, 16]),
        "d_kv": chance.choice([3, 4, 8]),
        "d_ff": chance.choice([11, 24]),
        "num_layers": chance.randint(1, 2),
        "num_decoder_layers": chance.choice([None, 1, 2]),
        "num_heads": chance.choice([1, 2, 3]),
        "relative_attention_num_buckets": chance.choice([4, 8]),
        "relative_attention_max_distance": chance.choice([5, 8]),
        "feed_forward_proj": chance.choice(["relu", "gated-gelu", "gated-silu", "gelu"]),
        "tie_word_embeddings": chance.random() < 0.5,
        "layer_norm_epsilon": chance.choice([1e-6, 1e-3]),
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


READERS = ("ForSequenceClassification", "ForQuestionAnswering", "Model")

PAIRS: Mapping[str, Pair] = {
    "bart": Pair(
        config=transformers.BartConfig,
        generates="BartForConditionalGeneration",
        draw=draw_bart,
        others=tuple(f"Bart{kind}" for kind in READERS),
    ),
    "mbart": Pair(
        config=transformers.MBartConfig,
        generates="MBartForConditionalGeneration",
        draw=draw_bart,
        others=tuple(f"MBart{kind}" for kind in READERS),
    ),
    "marian": Pair(config=transformers.MarianConfig, generates="MarianMTModel", draw=draw_marian),
    "pegasus": Pair(
        config=transformers.PegasusConfig,
        generates="PegasusForConditionalGeneration",
        draw=lambda chance: (
            draw_bart(chance) | {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
        ),
    ),
    "m2m_100": Pair(
        config=transformers.M2M100Config, generates="M2M100ForConditionalGeneration", draw=draw_bart
    ),
    "t5": Pair(config=transformers.T5Config, generates="T5ForConditionalGeneration", draw=draw_t5),
    "mt5": Pair(config=transformers.MT5Config, generates="MT5ForConditionalGeneration", draw=draw_t5),
}
