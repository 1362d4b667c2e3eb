"""mT5: T5 for 101 languages, its output always a map of its own. Xue et al. 2021."""

from dataclasses import replace

from glassformer.config import TransformerConfig
from glassformer.families import t5
from glassformer.families.family import Family, Fields, Raw

DEFAULTS = {
    "vocab_size": 250112,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
}


def derive(raw: Raw) -> Fields:
    """T5's, whatever is said of tied embeddings: the published files hold both tables, and newer software ties none."""
    return {**t5.derive(raw), "tied_output": False, "output_scale": False}


def restore(config: TransformerConfig) -> Raw:
    """T5's."""
    return {key: value for key, value in t5.restore(config).items() if key != "scale_decoder_outputs"}


MT5 = Family(
    model_type="mt5",
    source="mT5, Xue et al. 2021",
    keys=tuple(replace(key, default=DEFAULTS.get(key.theirs, key.default)) for key in t5.KEYS),
    fields=t5.FIELDS,
    derive=derive,
    restore=restore,
    rules=t5.body,
    architectures=t5.architectures("MT5"),
)
