"""A quicker way to the same answers, which a model may be given; see engine/."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Continuations:
    """The best ways to continue each sentence, best first: `width` of the first one, then of the next, in flat lists.

    Of equals that of the earlier row stands first.
    """

    width: int
    tokens: list[int]
    parents: list[int]  # which of its sentence's rows each continues
    totals: list[float]  # the score of what it continues and its own together
    log_probabilities: list[float]  # of the token alone, the model's own


class SearchReader(Protocol):
    """What a search reads with: rows of tokens that can be read on, dropped, repeated and put in another order."""

    @property
    def hidden(self) -> Tensor:
        """N T C: the last layer's rows of the latest reading."""
        ...

    @property
    def fresh(self) -> Tensor | None:
        """N T: which of these are no padding; None: all."""
        ...

    @property
    def logits(self) -> Tensor:
        """N V: after the last token of each row."""
        ...

    def read(self, target: Tensor, mask: Tensor | None = None) -> None:
        """Read the beginnings: N T; `mask` (N T) says what of them is no padding."""
        ...

    def read_on(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> None:
        """Go on with these rows, in this order (None: with all as they are), each by one token."""
        ...

    def best(self, totals: Sequence[float], beams: int, width: int) -> Continuations:
        """The likeliest continuations; each sentence has `beams` rows side by side, which score `totals` so far."""
        ...


class Twin(Protocol):
    """A model's quicker twin: the same numbers, none of the steps between."""

    precision: str  # that its weights are packed in

    def answer(
        self,
        source: Tensor | None,
        target: Tensor | None,
        source_mask: Tensor | None,
        target_mask: Tensor | None,
        segments: Tensor | None,
    ) -> Tensor | None:
        """What the model's forward gives; None where only the model itself can say."""
        ...

    def reader(
        self, source: Tensor | None, source_mask: Tensor | None, *, hidden: bool = False
    ) -> SearchReader | None:
        """A reader that has encoded the source; None where only the model itself can read.

        Without `hidden` it need not keep the last layer's rows.
        """
        ...
