"""Where the rows of a run stand in their texts: what an edit at a position, or at a step of writing, asks for."""

from collections.abc import MutableMapping
from dataclasses import dataclass

import torch
from torch import Tensor

from glassformer.errors import InputError

PADDING = -1


@dataclass(frozen=True)
class Standing:
    """What one stack reads in one run."""

    numbers: Tensor  # B, past + T: the number of each token in its text; PADDING at padding
    seen: int  # how many columns of these were read before
    begun: Tensor | None  # B: how many tokens were there before the first was written; None: nothing is written
    source: Tensor | None  # B S: the same numbers of the source
    kept: MutableMapping[str, Tensor]  # what edits keep between the readings of one answer, a row for each text

    @property
    def new(self) -> Tensor:
        """B T: the numbers of what is read now."""
        return self.numbers[:, self.seen :]

    @property
    def first(self) -> Tensor:
        """B: how long each text is; where one is written, how long it was before."""
        return (self.numbers != PADDING).sum(1) if self.begun is None else self.begun

    def along(self, name: str, letter: str) -> Tensor:
        """B L: the numbers of the tokens along an axis of a step."""
        crossing = letter == "S" or letter in "KN" and ".cross_attention." in name
        if crossing and self.source is not None:
            return self.source
        return {"K": self.numbers, "P": self.numbers[:, : self.seen]}.get(letter, self.new)

    def written(self, numbers: Tensor) -> Tensor:
        """B L: the step of writing at which each of these tokens was read: 0 for all that were there before."""
        if self.begun is None:
            raise InputError(
                "an edit names a generation step, but this run writes nothing; name a position instead"
            )
        steps = (numbers - (self.begun[:, None] - 1)).clamp(min=0)
        return steps.masked_fill(numbers == PADDING, PADDING)


def numbered(real: Tensor | None, like: Tensor) -> Tensor:
    """(B, L) real tokens, or None where all are -> the number of each in its text; `like` is of the shape B L."""
    if real is None:
        return torch.arange(like.shape[1], device=like.device).expand(like.shape[0], -1)
    real = real.bool()
    return (real.long().cumsum(1) - 1).masked_fill(~real, PADDING)
