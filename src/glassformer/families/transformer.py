"""The Transformer of 2017, and our own layout: every configuration in our own words, every tensor under our own name.

Vaswani et al. 2017, "Attention Is All You Need".
"""

from glassformer.families.family import Architecture, Family, Fields, Raw
from glassformer.weights import rule

BESIDES = (  # what config.json says beside them, for tasks and for other programs
    "model_type",
    "architectures",
    "task",
    "id2label",
    "label2id",
    "problem_type",
    "prefix",
    "no_answer",
    "no_answer_threshold",
    "capitals",
    "transformers_version",
)

PAPER = {
    "stack": "encoder-decoder",
    "encoder_layers": 6,
    "decoder_layers": 6,
    "norm": "layer",
    "positions": "sinusoidal",
    "embedding_scale": True,
    "activation": "relu",
    "tied_output": True,
    "initialization": "xavier",
}


def derive(raw: Raw) -> Fields:
    """The fields of TransformerConfig, as they are; any other key is refused by it."""
    return {key: value for key, value in raw.items() if key not in BESIDES}


TRANSFORMER = Family(
    model_type="transformer",
    source="the Transformer, Vaswani et al. 2017",
    derive=derive,
    restore=lambda config: config.to_dict(),
    rules=lambda config: (rule("**", "**"),),
    architectures={"Transformer": Architecture(fields={})},
    presets={  # section 3 and table 3 of the paper
        "base": {**PAPER, "d_model": 512, "heads": 8, "d_ff": 2048, "dropout": 0.1},
        "big": {**PAPER, "d_model": 1024, "heads": 16, "d_ff": 4096, "dropout": 0.3},
    },
)
