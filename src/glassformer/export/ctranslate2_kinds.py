"""The models that CTranslate2 runs: what each is made of.

CTranslate2, Klein et al. 2020, "The OpenNMT Neural Machine Translation Toolkit", and what was built on it since.
"""

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.export.program import Kind
from glassformer.foreign.ctranslate2_names import rules
from glassformer.nn.position import WAVES, Rotary


def slowness(config: TransformerConfig) -> Tensor | None:
    """How many times slower each turn is than it would be, if any is."""
    return None if config.rotary_stretch == 1.0 else 1.0 / Rotary(config).speeds(torch.device("cpu"))


# ------------------------------------------------------------------ the kinds

CHOICES = frozenset(
    {
        "embedding_scale",
        "embedding_norm",
        "position_offset",
        "activation",
        "gated",
        "attention_bias",
        "attention_output_bias",
        "attention_scale",
        "feed_forward_bias",
        "head_size",
    }
)
OUTPUT = frozenset({"output_bias", "output_scale"})
DISTANCES = frozenset({"relative_buckets", "relative_distance"})
TURNS = frozenset(
    {
        "rotary_base",
        "rotary_size",
        "rotary_stretch",
        "rotary_stretch_length",
        "rotary_stretch_low",
        "rotary_stretch_high",
    }
)
PLACES = (*WAVES, "learned")
FIRST = {"norm": ("layer", "rms"), "norm_first": True, "final_norm": (True, False)}
LAST = {"norm": ("layer", "rms"), "norm_first": False, "final_norm": False}
PAIR = {"stack": "encoder-decoder", "head": "language-model", "positions": (*PLACES, "relative")}
WRITER = {"stack": "decoder", "head": "language-model", "positions": (*PLACES, "rotary")}
READER = {"stack": "encoder", "head": "hidden", "positions": PLACES, "pooling": "first"}
POOLED = frozenset({"segments", "pooler", "pooler_activation"})

KINDS = tuple(
    Kind(name=name, known_as=known_as, fields={**fields, **norms}, free=CHOICES | free, rules=rules)
    for name, known_as, fields, free in (
        ("pair", "pairs that write", PAIR, OUTPUT | DISTANCES | {"source_vocab_size"}),
        (
            "writer",
            "decoders that write",
            WRITER,
            OUTPUT | TURNS | {"kv_heads", "window", "parallel_residual"},
        ),
        ("reader", "encoders that give their last rows", READER, POOLED),
    )
    for norms in (FIRST, LAST)
)
