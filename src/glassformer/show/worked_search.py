"""The entries of a contrastive search's steps with their numbers put in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from glassformer.show.numbers import summed

if TYPE_CHECKING:
    from glassformer.show.worked import Line, Writer


def likeness(writer: Writer, row: int, column: int) -> Line:
    """Two rows multiplied, over the product of their lengths."""
    step = writer.board.step
    rows, written = (writer.board.trace[name].value for name in step.inputs)
    one, other = rows[row, -1].tolist(), written[column].tolist()
    pairs = list(zip(one, other, strict=True))
    lengths = math.hypot(*one), math.hypot(*other)
    text = summed(pairs, lambda pair: f"{writer.factor(pair[0])}·{writer.factor(pair[1])}")
    below = "·".join(map(writer.factor, lengths))
    return f"({text}) / ({below})", math.fsum(a * b for a, b in pairs) / math.prod(lengths)


def degeneration_penalty(writer: Writer, row: int, column: int) -> Line:
    """The greatest of a candidate's cosines."""
    found = [float(x) for x in writer.board.input(0).values[column]]
    return f"max({', '.join(map(writer.number, found))})", max(found)


def contrastive_score(writer: Writer, row: int, column: int) -> Line:
    """What speaks for a candidate, less what speaks against it."""
    alpha = float(writer.board.step.constants["alpha"])
    sure, penalty = (float(writer.board.input(place).values[0, column]) for place in (0, 1))
    if math.isinf(sure):
        return "forbidden", -math.inf
    text = f"{1 - alpha:g}·{writer.factor(sure)} − {alpha:g}·{writer.factor(penalty)}"
    return text, (1.0 - alpha) * sure - alpha * penalty


SEARCH_LINES: Mapping[str, Callable[[Writer, int, int], Line]] = {
    "likeness": likeness,
    "degeneration_penalty": degeneration_penalty,
    "contrastive_score": contrastive_score,
}
