"""The batch: what a task hands to the model and the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np
import torch
from torch import Tensor

IGNORE = -100  # a label that the loss leaves out; torch's cross-entropy has the same default
UNCOUNTED = -1


class Inputs(TypedDict):
    """What a model is called with."""

    source: Tensor | None
    target: Tensor | None
    source_mask: Tensor | None
    target_mask: Tensor | None
    segments: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Padded ids B T, masks B T (True = real; None = nothing padded) and labels (IGNORE = not scored)."""

    source: Tensor | None = None
    source_mask: Tensor | None = None
    target: Tensor | None = None
    target_mask: Tensor | None = None
    segments: Tensor | None = None
    labels: Tensor | None = None
    follows: Tensor | None = None  # B: 0 where the second text follows the first, 1 where it is another's
    tokens: int = UNCOUNTED  # labels that count; counted here unless the maker knows it

    def __post_init__(self) -> None:
        if self.tokens == UNCOUNTED:
            counted = 0 if self.labels is None else int((self.labels != IGNORE).sum())
            object.__setattr__(self, "tokens", counted)

    def inputs(self) -> Inputs:
        """The arguments of the model."""
        return Inputs(
            source=self.source,
            target=self.target,
            source_mask=self.source_mask,
            target_mask=self.target_mask,
            segments=self.segments,
        )

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""

        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        return Batch(
            source=move(self.source),
            source_mask=move(self.source_mask),
            target=move(self.target),
            target_mask=move(self.target_mask),
            segments=move(self.segments),
            labels=move(self.labels),
            follows=move(self.follows),
            tokens=self.tokens,
        )


def pad(
    sequences: Sequence[Sequence[int]], pad_id: int, side: Literal["left", "right"] = "right"
) -> tuple[Tensor, Tensor | None]:
    """Sequences of ids as one tensor B T and the mask of its real tokens, None where nothing was padded."""
    lengths = [len(sequence) for sequence in sequences]
    longest = max(lengths, default=0)
    ids = np.full((len(lengths), longest), pad_id, dtype=np.int64)
    for row, sequence, length in zip(ids, sequences, lengths, strict=True):
        row[longest - length if side == "left" else 0 :][:length] = sequence
    if min(lengths, default=0) == longest:
        return torch.from_numpy(ids), None
    place, length_column = np.arange(longest), np.array(lengths)[:, None]
    real = place >= longest - length_column if side == "left" else place < length_column
    return torch.from_numpy(ids), torch.from_numpy(real)
