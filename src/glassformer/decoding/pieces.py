"""Text as it comes: what new tokens add to a text, handed out as soon as no later token can change it."""

import re
from collections.abc import Iterable, Iterator, Sequence

from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Token
from glassformer.errors import InputError
from glassformer.text.tokenizer import Tokenizer

CONTEXT = (
    8  # tokens before the new ones that may decide how these are spelt, as whether a space precedes them
)
UNFINISHED = "\ufffd"  # how a character reads whose last bytes are still to come
PENDING = 3  # so many bytes may wait for one more to become a character
BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # a byte where the vocabulary lacks the character: see `Pieces`


def followed(tokenizer: Tokenizer, before: Sequence[int], ids: Sequence[int]) -> str:
    """The text that `ids` add to that of the tokens `before` them."""
    context = list(before[-CONTEXT:])
    head, whole = tokenizer.decode(context), tokenizer.decode([*context, *ids])
    return whole[len(head) :] if whole.startswith(head) else tokenizer.decode(ids)


def cut(text: str, stop_strings: Iterable[str]) -> str:
    """The text up to the first of the strings that it holds."""
    return text[: min((place for stop in stop_strings if (place := text.find(stop)) >= 0), default=len(text))]


class Pieces:
    """The text of a growing row of tokens, piece by piece; the pieces together are the whole.

    Kept back until it is certain: a character of which bytes are missing; a run of single bytes, which are read
    together; what may be the beginning of a string to stop at.
    """

    def __init__(
        self, tokenizer: Tokenizer, before: Sequence[int] = (), stop_strings: Sequence[str] = ()
    ) -> None:
        self.tokenizer, self.before, self.stop_strings = tokenizer, before, stop_strings
        self.ids: list[int] = []
        self.said = ""

    def add(self, token: int) -> str:
        """What is certain now and was not before this token."""
        self.ids.append(token)
        if BYTE.fullmatch(self.tokenizer.token(token)):
            return ""
        text = followed(self.tokenizer, self.before, self.ids)
        text = text[: max(len(text.rstrip(UNFINISHED)), len(text) - PENDING)]
        whole = cut(text, self.stop_strings)
        return self._more(whole if whole != text else text[: len(text) - self._doubtful(text)])

    def rest(self) -> str:
        """What was kept back, when no more tokens come."""
        return self._more(cut(followed(self.tokenizer, self.before, self.ids), self.stop_strings))

    def _doubtful(self, text: str) -> int:
        """How many of the last characters may be the beginning of a string to stop at."""
        begun = (
            size for stop in self.stop_strings for size in range(1, len(stop)) if text.endswith(stop[:size])
        )
        return max(begun, default=0)

    def _more(self, text: str) -> str:
        if not text.startswith(self.said):
            return ""
        piece, self.said = text[len(self.said) :], text if len(text) > len(self.said) else self.said
        return piece


def alone(options: Decoding) -> Decoding:
    """The options, where they ask for one answer."""
    if options.num_return_sequences > 1:
        raise InputError(
            f"num_return_sequences is {options.num_return_sequences}, but only one output can be watched; set it to 1"
        )
    return options


def pieces(tokens: Iterable[Token], text: Pieces) -> Iterator[str]:
    """The text of one answer's tokens as they come; none of the pieces is empty."""
    for token in tokens:
        if piece := text.add(token.id):
            yield piece
    if piece := text.rest():
        yield piece
