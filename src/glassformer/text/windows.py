"""A text longer than the model: cut short, or read in windows that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassformer.errors import InputError
from glassformer.text.tokenizer import Encoding


@dataclass(frozen=True)
class Window:
    """A stretch of a text with its frame: its tokens are `first`, first + 1, ... of the text's own.

    Of two texts the first belongs to the frame, and the stretch is of the second.
    """

    encoding: Encoding
    first: int
    places: Sequence[int]  # where the stretch stands within the window

    @property
    def last(self) -> int:
        """The number of the first token behind it."""
        return self.first + len(self.places)


def windows(encoding: Encoding, length: int | None, stride: int | None = None) -> list[Window]:
    """A text in windows of at most `length` tokens, each `stride` tokens further on than the one before.

    A stride that is not given is half a stretch, so that each token but those at the ends has as much as a quarter
    of a window on both sides in one of them. The last window stands at the text's end and is as long as the others.
    Devlin et al. 2019, published with its code.
    """
    if length == 0 or min(length or 1, 1 if stride is None else stride) < 1:
        raise InputError(f"the window is {length} and the stride {stride}; both must be 1 or more")
    body = encoding.places(1) or encoding.places(0)
    begin, end = (body[0], body[-1] + 1) if body else (len(encoding), len(encoding))
    frame = len(encoding) - len(body)
    room = len(body) if length is None else min(length - frame, len(body))
    if room < min(1, len(body)):
        raise InputError(
            f"beside the text that is read in windows stand {frame} tokens, and a window has {length}; "
            "shorten what stands beside it, such as the question"
        )
    step = max(1, room // 2) if stride is None else min(stride, room)
    spare = len(body) - room if body else 0
    starts = [*range(0, spare, step), spare] if spare else [0]
    before, after = range(begin), range(end, len(encoding))
    return [
        Window(
            encoding.keep([*before, *body[start : start + room], *after]),
            start,
            range(begin, begin + max(room, 0)),
        )
        for start in starts
    ]


def shortened(encoding: Encoding, length: int) -> Encoding:
    """As many tokens as there is room for: the end is left out, of two texts that of the longer one first."""
    shorter, longer = sorted((encoding.places(0), encoding.places(1)), key=len)
    room = length - (len(encoding) - len(shorter) - len(longer))
    if room < 1 + bool(shorter):
        raise InputError(
            f"a text has room for {room} tokens in {length} positions; use a model that has more"
        )
    few = shorter[: room // 2]
    kept = {*few, *longer[: room - len(few)]}
    return encoding.keep([place for place, of in enumerate(encoding.texts) if of is None or place in kept])
