"""What a trace does not know by itself: the words behind the numbers of a vocabulary, and the labels of a head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Word = Callable[[int], str]


@dataclass(frozen=True, kw_only=True)
class Names:
    """The model's name, its words beyond the text's own, its labels."""

    model: str = ""
    source_word: Word | None = None
    word: Word | None = None
    labels: Sequence[str] = ()
