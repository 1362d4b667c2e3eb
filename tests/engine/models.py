"""Small random models of every kind, every parameter moved, and padded batches for them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.model import Transformer

SMALL = {"vocab_size": 50, "d_model": 24, "heads": 3, "d_ff": 40, "max_positions": 40}
WRITER = {"stack": "decoder", "decoder_layers": 2, "norm_first": True, "final_norm": True}
PAIR = {"stack": "encoder-decoder", "encoder_layers": 2, "decoder_layers": 2}
READER = {"stack": "encoder", "encoder_layers": 2, "embedding_norm": True}
TURNING = {**WRITER, "positions": "rotary"}
TILES = {"d_model": 64, "heads": 2, "d_ff": 96}  # what a unit for matrices multiplies whole
CONFIGS: dict[str, dict[str, Any]] = {
    "learned": {**WRITER, "activation": "gelu-tanh", "output_bias": True},
    "rotary": {**TURNING, "kv_heads": 1, "gated": True, "activation": "silu", "norm": "rms", "head_norm": True},
    "windows": {**TURNING, "window": 4, "windowed_layers": (1,)},
    "all-windows": {**TURNING, "window": 3, "rotary_stretch": 8.0, "rotary_stretch_length": 40},
    "side-by-side": {**TURNING, "rotary_size": 4, "parallel_residual": True},
    "one-norm": {**TURNING, "parallel_residual": True, "one_norm": True, "norm": "rms-from-one"},
    "no-positions": {**WRITER, "positions": "none", "tied_output": False},
    "halves": {**PAIR, "positions": "sinusoidal-halves", "embedding_scale": True, "activation": "silu"},
    "relative": {
        **PAIR,
        "positions": "relative",
        "attention_scale": False,
        "norm": "rms",
        "norm_first": True,
        "final_norm": True,
        "gated": True,
        "output_scale": True,
        "attention_bias": False,
        "feed_forward_bias": False,
        "head_size": 8,
    },
    "two-vocabularies": {**PAIR, "norm": "none", "positions": "sinusoidal", "source_vocab_size": 33},
    "head-norms": {**PAIR, "head_norm": True, "positions": "learned", "position_offset": 2, "kv_heads": 1},
    "labels": {**READER, "segments": 2, "pooler": True, "head": "sequence-label", "labels": 3},
    "hidden-words": {
        **READER,
        "encoder_layers": 4,
        "distinct_layers": 2,
        "head": "masked-language-model",
        "output_transform": True,
        "embedding_size": 6,
    },
    "wide-words": {
        **READER,
        "head": "masked-language-model",
        "output_transform": True,
        "embedding_size": 64,
    },
    "rows": {**READER, "positions": "learned-relative", "head": "hidden"},
    "tags": {**READER, "head": "token-label", "labels": 4, "activation": "relu"},
    "span": {**READER, "head": "answer-span", "segments": 2},
    "last": {**WRITER, "head": "sequence-label", "labels": 2, "pooling": "last"},
    "tiles": {**READER, **TILES, "segments": 2, "head": "sequence-label", "labels": 3},
    "written-tiles": {**WRITER, **TILES},
}
WRITERS = [name for name, config in CONFIGS.items() if config["stack"] != "encoder" and "head" not in config]
LENGTHS = (9, 4, 1, 6)


def model_of(name: str, seed: int = 0) -> Transformer:
    """A random model of this kind."""
    torch.manual_seed(seed)
    model = Transformer(TransformerConfig.from_dict({**SMALL, **CONFIGS[name]})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return model


@dataclass(frozen=True)
class Question:
    """A padded batch as the model takes it, and which of its positions are real."""

    inputs: dict[str, Tensor]
    real: Tensor


def question(model: Transformer, side: str, seed: int = 1, lengths: tuple[int, ...] = LENGTHS) -> Question:
    """Texts of different lengths, padded on one side, or not at all."""
    generator = torch.Generator().manual_seed(seed)
    config, inputs = model.config, {}
    for name, vocabulary in (("source", config.source_vocab_size or 50), ("target", 50)):
        if (name == "source" and model.encoder is None) or (name == "target" and model.decoder is None):
            continue
        width = max(lengths) if side != "none" else 7
        real = torch.stack([torch.arange(width) < length for length in lengths])
        real = {"right": real, "left": real.flip(1), "none": torch.ones_like(real)}[side]
        inputs[name] = torch.randint(4, vocabulary, real.shape, generator=generator)
        if side != "none":
            inputs[f"{name}_mask"] = real.long()
    if config.segments:
        inputs["segments"] = torch.randint(0, config.segments, real.shape, generator=generator)
    return Question(inputs, real)


def apart(first: Tensor, second: Tensor, real: Tensor) -> float:
    """The largest difference at a real position, or of any text's labels, beside the largest number."""
    gap = (first - second).abs()
    gap = gap[real] if gap.shape[:2] == real.shape else gap
    return float(gap.max() / first.abs().max())
