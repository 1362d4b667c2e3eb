"""Which weights learn, and how fast beside the others."""

import re
from fnmatch import fnmatchcase

from glassformer.adapters import adapt
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.training.recipe import TrainingTable, TuningTable

LAYER = re.compile(r"(encoder|decoder)\.layers\.(\d+)\.")
EMBEDDINGS = ("tokens.", "source_tokens.", "encoder.embedding.", "decoder.embedding.")


def tune(transformer: Transformer, tuning: TuningTable) -> None:
    """Let what the recipe says learn, and nothing else; the head always does."""
    if tuning.method == "lora":
        adapt(
            transformer,
            tuning.targets,
            rank=tuning.rank,
            alpha=tuning.alpha,
            dropout=tuning.lora_dropout,
        )
    elif tuning.method == "head":
        transformer.requires_grad_(False)
    for name, parameter in transformer.named_parameters():
        if name.startswith("head.") and parameter is not transformer.tokens.weight:
            parameter.requires_grad_(True)
        if tuning.frozen_layers and depth(transformer, name) <= tuning.frozen_layers:
            parameter.requires_grad_(False)
        if any(fnmatchcase(name, pattern) for pattern in tuning.freeze):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in transformer.parameters()):
        raise InputError("nothing is left to learn; [tuning] freezes every parameter")


def depth(transformer: Transformer, name: str) -> int:
    """How high a parameter stands: 0 in the embeddings, 1 in the first layer, one more than layers in the head."""
    layer = LAYER.match(name)
    if layer:
        return int(layer[2]) + 1
    if name.startswith(EMBEDDINGS):
        return 0
    config = transformer.config
    return max(config.encoder_layers, config.decoder_layers) + (1 if name.startswith("head.") else 0)


def rates(transformer: Transformer, tuning: TuningTable, training: TrainingTable) -> dict[str, float]:
    """Each parameter's share of the learning rate: 1 in the head, `layer_decay` times less with each layer below.

    Howard and Ruder 2018, section 3.2; Clark et al. 2020, section 3.1.
    """
    config = transformer.config
    top = max(config.encoder_layers, config.decoder_layers) + 1
    head = (tuning.head_learning_rate or training.learning_rate) / training.learning_rate
    return {
        name: head
        if depth(transformer, name) == top
        else tuning.layer_decay ** (top - depth(transformer, name))
        for name, _ in transformer.named_parameters()
    }
