"""What the rows and columns of a step are called: tokens, words of the vocabulary, labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from glassformer.glass.names import Names
from glassformer.glass.step import Step
from glassformer.glass.trace import Trace

if TYPE_CHECKING:
    from glassformer.tasks.model import Model

SPAN = ("start", "end")
SIDES = ("encoder", "decoder")


def names_of(model: Model, name: str = "") -> Names:
    """What a loaded model can say about the numbers of its traces, under the name that it was asked for by."""
    return replace(model.names, model=name)


class Labels:
    """The names along each axis of one trace."""

    def __init__(self, trace: Trace, names: Names | None = None) -> None:
        self.trace, self.names = trace, names or trace.names
        decodes = any(name.startswith("decoder.") for name in trace)
        self.last = "decoder" if decodes else "encoder"  # which stack the head reads
        self.words: dict[str, tuple[str, ...]] = {}
        self.met = {side: self._met(side) for side in SIDES}
        self.spans = any(step.key == "span_probabilities" for step in trace.values())

    def side(self, name: str) -> str:
        """The stack that a step belongs to; a head belongs to the last."""
        part = name.removeprefix("gradient.").partition(".")[0]
        return part if part in SIDES else self.last

    def tokens(self, side: str, text: int = 0) -> tuple[str, ...]:
        """The tokens that a stack reads."""
        texts = self.trace.tokens.get(side, [])
        return tuple(texts[text]) if text < len(texts) else ()

    def word(self, side: str, number: int) -> str:
        """The word of a number in the vocabulary; the number itself where nobody knows the word."""
        known = self.names.source_word if side == "encoder" and self.last == "decoder" else self.names.word
        if number in self.met[side]:
            return self.met[side][number]
        return known(number) if known is not None else f"#{number}"

    def vocabulary(self, side: str, size: int) -> tuple[str, ...]:
        """All words by number."""
        if side not in self.words:
            self.words[side] = tuple(self.word(side, number) for number in range(size))
        return self.words[side]

    def along(self, step: Step, axis: int, text: int = 0) -> tuple[str, ...] | None:
        """The names along one axis of a step; None where positions in a row are all there is to say."""
        letter, size = step.axes.split()[axis], step.value.shape[axis]
        found = self._along(step.name, letter, size, text)
        return found if found is not None and len(found) == size else None

    def _along(self, name: str, letter: str, size: int, text: int) -> tuple[str, ...] | None:
        side = self.side(name)
        if letter in "TQN":
            crossing = letter == "N" and ".cross_attention." in name
            return self.tokens("encoder" if crossing else side, text)
        if letter in "KS":
            crossing = letter == "S" or ".cross_attention." in name or ".memory" in name
            return self.tokens("encoder" if crossing else side, text)
        if letter == "A":
            return tuple(row[-1] for row in self.trace.tokens.get("decoder", []))
        if letter == "P" and name.startswith("search."):
            return self.tokens("search")
        if letter == "V":
            return self.vocabulary(side, size)
        if letter == "L":
            return SPAN if self.spans else tuple(self.names.labels)
        return None

    def _met(self, side: str) -> dict[int, str]:
        """The words of the text itself, by number."""
        name = f"{side}.ids"
        if name not in self.trace:
            return {}
        rows = zip(self.trace[name].value.tolist(), self.trace.tokens.get(side, []), strict=False)
        return {number: token for row in rows for number, token in zip(*row, strict=False)}
