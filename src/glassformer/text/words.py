"""Which tokens make a word: what a tag is given to, and what an answer is not cut within."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MARKS = frozenset(string.punctuation)
UNSPACED = (  # scripts that set no space between words: in these each token is a word
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # kana
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),  # ideographs
)


@dataclass(frozen=True)
class Word:
    """text[start:end], and the places of its tokens."""

    start: int
    end: int
    places: tuple[int, ...]


def words(text: str, offsets: Sequence[tuple[int, int]], places: Sequence[int]) -> list[Word]:
    """The words of a text whose tokens stand at these places.

    A mark is a word by itself, as BERT's tokenizer has it, and what stands between spaces and marks is one,
    whatever the tokenizer made of it. Tokens without characters of their own belong to none.
    """
    found: list[Word] = []
    for place, start, end in characters(text, offsets, places):
        last = found[-1] if found else None
        if last is not None and joined(text, last.end, start):
            found[-1] = Word(last.start, max(last.end, end), (*last.places, place))
        else:
            found.append(Word(start, end, (place,)))
    return found


def characters(
    text: str, offsets: Sequence[tuple[int, int]], places: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """(place, start, end) of each token that has characters, the spaces around them left out."""
    for place in places:
        start, end = offsets[place]
        piece = text[start:end]
        if piece.strip():
            yield place, start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def joined(text: str, end: int, start: int) -> bool:
    """Whether a token that starts here is of one word with one that ends there."""
    if start < end:  # both are parts of one character
        return True
    between = text[end:start]
    return not any(map(str.isspace, between)) and not alone(text[end - 1]) and not alone(text[start])


def alone(character: str) -> bool:
    """Whether a character ends every word but its own."""
    if character.isalnum():
        code = ord(character)
        return any(first <= code <= last for first, last in UNSPACED)
    return character in MARKS or unicodedata.category(character).startswith("P")
