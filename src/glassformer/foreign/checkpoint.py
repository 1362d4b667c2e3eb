"""What such a checkpoint gives: a model of ours, and the words that it is asked in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Foreign:
    """A checkpoint with its tokenizers."""

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    source_tokenizer: Tokenizer | None = None


def filled(
    config: TransformerConfig,
    parameters: Mapping[str, Tensor],
    generation: Mapping[str, Any],
    folder: Path,
) -> Checkpoint:
    """A model with these numbers; where it is saved, it is in our own layout."""
    transformer = Transformer(config).eval()
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            parameter.copy_(parameters[name])
    raw = {"model_type": "transformer", "architectures": ["Transformer"], **config.to_dict()}
    return Checkpoint(
        transformer=transformer, family="transformer", raw=raw, generation=generation, folder=folder
    )
