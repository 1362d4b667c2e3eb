"""A quicker way to the same answers, which a model may be given; see engine/."""

from typing import Protocol

from torch import Tensor


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

    def read(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The logits after the last token: N T -> N V; `mask` (N T) belongs to a padded beginning."""
        ...

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, in this order."""
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

    def reader(self, source: Tensor | None, source_mask: Tensor | None) -> SearchReader | None:
        """A reader that has encoded the source; None where only the model itself can read."""
        ...
