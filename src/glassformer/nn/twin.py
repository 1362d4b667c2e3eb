"""A quicker way to the same answers, which a model may be given; see engine/."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

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


@dataclass(frozen=True, slots=True)
class Draft:
    """A token that was guessed to come next."""

    token: int
    probabilities: Tensor | None = None  # V, float64: of the drawing that it came from; None: it came without chance


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

    @property
    def draft(self) -> "Draft | None":
        """What was guessed to follow the only row and is read already, where somebody reads ahead."""
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


class ModelReader(SearchReader, Protocol):
    """A reader that, of one row alone, reads several tokens at once and forgets the last ones again."""

    @property
    def held(self) -> int:
        """How many tokens of the longest row are held."""
        ...

    @property
    def limit(self) -> int | None:
        """How many it can hold; None: as many as come."""
        ...

    def read_ahead(self, tokens: Sequence[int], *, each: bool = True) -> None:
        """Read several tokens of the only row at once; `look` chooses after which of them the logits are.

        Without `each` there are only those after the last one.
        """
        ...

    def look(self, place: int) -> None:
        """From now on the logits are those after this one of the tokens that were read at once."""
        ...

    def crop(self, count: int) -> None:
        """Forget the last tokens of the only row, so many."""
        ...

    def rest(self) -> None:
        """Nobody reads on for now: hold no more than what was read."""
        ...


AReader = TypeVar("AReader", bound=SearchReader)


class Around(Generic[AReader]):
    """What a search reads with around another reader: what that one says of its latest reading is handed on."""

    def __init__(self, reader: AReader) -> None:
        self.reader = reader

    @property
    def hidden(self) -> Tensor:
        """The last layer's rows of the latest reading."""
        return self.reader.hidden

    @property
    def fresh(self) -> Tensor | None:
        """Which of these are no padding."""
        return self.reader.fresh

    @property
    def logits(self) -> Tensor:
        """After the last token of each row."""
        return self.reader.logits

    @property
    def draft(self) -> Draft | None:
        """What was guessed to come next."""
        return self.reader.draft

    def best(self, totals: Sequence[float], beams: int, width: int) -> Continuations:
        """The likeliest continuations."""
        return self.reader.best(totals, beams, width)


class Twin(Protocol):
    """A model's quicker twin: the same numbers, none of the steps between."""

    precision: str  # that its weights are packed in
    prompts: Any  # the readers of its latest texts, see decoding/prompts.py

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
        self,
        source: Tensor | None,
        source_mask: Tensor | None,
        *,
        hidden: bool = False,
        allowed: Tensor | None = None,
    ) -> ModelReader | None:
        """A reader that has encoded the source; None where only the model itself can read.

        Without `hidden` it need not keep the last layer's rows. Only the tokens `allowed` (N, from the lowest; None:
        all) have logits, the others minus infinity.
        """
        ...
