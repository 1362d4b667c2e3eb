"""What a trace does not know by itself: the words behind the numbers of a vocabulary, and the labels of a head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Word = Callable[[int], str]


@dataclass(frozen=True, kw_only=True)
class Names:
    """The model's name, its words beyond the text's own, its labels."""

    model: str = ""
    source_word: Word | None = None
    word: Word | None = None
    labels: Sequence[str] = ()

    def known(self, numbers: Iterable[int]) -> Known:
        """The words of these numbers, and the labels, as a file can keep them."""
        words = {} if self.word is None else {str(number): self.word(number) for number in numbers}
        return Known(labels=list(self.labels), words=words)


@dataclass(frozen=True, kw_only=True)
class Known:
    """Labels, and some words by their numbers."""

    labels: list[str]
    words: dict[str, str]

    def names(self) -> Names:
        """As names again: a word that was not kept is its number."""
        words: Mapping[str, str] = self.words
        known = (lambda number: words.get(str(number), f"#{number}")) if words else None
        return Names(word=known, labels=tuple(self.labels))
