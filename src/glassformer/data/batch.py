"""The batch: what a task hands to the model and the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
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
        pinned = torch.device(device).type == "cuda"  # else the copy waits for all work before it
        return self._each(
            lambda tensor: (tensor.pin_memory() if pinned and tensor.device.type == "cpu" else tensor).to(
                device, non_blocking=True
            ),
            self.tokens,
        )

    def repeated(self, times: int) -> Batch:
        """All rows, and again all rows."""
        return self._each(
            lambda tensor: tensor.repeat(times, *[1] * (tensor.ndim - 1)), times * self.tokens
        )

    def _each(self, change: Callable[[Tensor], Tensor], tokens: int) -> Batch:
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "tokens"}
        changed = {name: None if tensor is None else change(tensor) for name, tensor in given.items()}
        return Batch(**changed, tokens=tokens)


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
