"""Batches of encoded texts, each with labels of its own: what the tasks of one stack have alike."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from glassformer.data.batch import IGNORE, Batch, pad
from glassformer.data.batches import ExampleBatches
from glassformer.model import Transformer
from glassformer.tasks.reading import batch_of
from glassformer.text.tokenizer import Encoding, Tokenizer


def with_labels(
    model: Transformer,
    tokenizer: Tokenizer,
    encodings: Sequence[Encoding],
    labels: Tensor | Sequence[Sequence[int]],
    *,
    seed: int | None,
    bounds: dict[str, Any],
) -> ExampleBatches:
    """Texts of like length with a row of a tensor each, or with as many labels as they have tokens."""

    def make(numbers: Sequence[int]) -> Batch:
        batch = batch_of(model, tokenizer, [encodings[number] for number in numbers])
        if isinstance(labels, Tensor):
            chosen = labels[list(numbers)]
            return replace(batch, labels=chosen, tokens=chosen.numel())
        rows, _ = pad([labels[number] for number in numbers], IGNORE)
        return replace(batch, labels=rows, tokens=int((rows != IGNORE).sum()))

    return ExampleBatches([len(each) for each in encodings], make, seed=seed, **bounds)
