"""The entries of a loss with their numbers put in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from glassformer.glass.verify import as_array
from glassformer.show.numbers import summed

if TYPE_CHECKING:
    from glassformer.show.worked import Line, Writer

NOTHING: Line = ("nothing is wanted here", 0.0)


def log_probability(writer: Writer, row: int, column: int) -> Line:
    """A score less the logarithm of the sum of all powers of e."""
    return _less_all(writer, [float(x) for x in writer.board.input(0).values[row]], column)


def log_probability_over_positions(writer: Writer, row: int, column: int) -> Line:
    """The same among the real positions."""
    scores = [float(x) for x in writer.board.input(0).values[:, column]]
    real = [True] * len(scores)
    if len(writer.board.step.inputs) > 1:
        real = [bool(x) for x in writer.board.input(1).values[0]]
    if not real[row]:
        return "padding", -math.inf
    seen = [score for score, here in zip(scores, real, strict=True) if here]
    return _less_all(writer, seen, sum(real[:row]))


def cross_entropy(writer: Writer, row: int, column: int) -> Line:
    """Minus the log-probability of what is wanted, and, smoothed, a share of all others'."""
    constants, label = writer.board.step.constants, int(writer.board.input(1).values[0, column])
    if label == int(constants["ignored"]):
        return NOTHING
    logs = as_array(writer.board.input(0).values[column])
    picked, share = float(logs[label]), constants.get("smoothing")
    if share is None:
        return f"−{writer.factor(picked)}", -picked
    mean = math.fsum(logs) / len(logs)
    text = f"−{1 - share:g}·{writer.factor(picked)} − {share:g}·{writer.factor(mean)}"
    return text, -(1.0 - share) * picked - share * mean


def weighted_cross_entropy(writer: Writer, row: int, column: int) -> Line:
    """The same, each label by its weight."""
    constants, label = writer.board.step.constants, int(writer.board.input(1).values[0, column])
    if label == int(constants["ignored"]):
        return NOTHING
    logs, weights = as_array(writer.board.input(0).values[column]), as_array(writer.board.input(2).values[0])
    picked, weight, share = float(logs[label]), float(weights[label]), constants.get("smoothing")
    if share is None:
        return f"−{writer.factor(weight)}·{writer.factor(picked)}", -weight * picked
    mean = math.fsum(logs * weights) / len(logs)
    text = f"−{1 - share:g}·{writer.factor(weight)}·{writer.factor(picked)} − {share:g}·{writer.factor(mean)}"
    return text, -(1.0 - share) * weight * picked - share * mean


def span_cross_entropy(writer: Writer, row: int, column: int) -> Line:
    """Minus the log-probability of the position that is wanted."""
    position = int(writer.board.input(1).values[0, column])
    picked = float(writer.board.input(0).values[position, column])
    return f"−{writer.factor(picked)}", -picked


def binary_cross_entropy(writer: Writer, row: int, column: int) -> Line:
    """The surprise at one label by itself."""
    score, label = (float(writer.board.input(place).values[0, column]) for place in (0, 1))
    text = f"ln(1 + e^{writer.factor(score)}) − {label:g}·{writer.factor(score)}"
    return text, max(score, 0.0) + math.log1p(math.exp(-abs(score))) - label * score


def squared_error(writer: Writer, row: int, column: int) -> Line:
    """How far a number is from the one that is wanted, squared."""
    found, wanted = (float(writer.board.input(place).values[0, column]) for place in (0, 1))
    return f"({writer.number(found)} − {writer.factor(wanted)})²", (found - wanted) ** 2


def total(writer: Writer, row: int, column: int) -> Line:
    """The losses of all labels, added; places where nothing is wanted add nothing."""
    step = writer.board.step
    each = as_array(writer.board.trace[step.inputs[0]].value).flatten().tolist()
    shown = [value for value in each if value] or [0.0]
    first, *rest = shown
    return " + ".join([writer.number(first), *map(writer.factor, rest)]), math.fsum(each)


def mean(writer: Writer, row: int, column: int) -> Line:
    """The total over the number of labels."""
    whole, count = float(writer.board.input(0).values[0, 0]), writer.board.step.constants["count"]
    return f"{writer.number(whole)} / {count}", whole / count


def both(writer: Writer, row: int, column: int) -> Line:
    """One loss and the other."""
    first, second = (float(writer.board.input(place).values[0, 0]) for place in (0, 1))
    return f"{writer.number(first)} + {writer.factor(second)}", first + second


def _less_all(writer: Writer, scores: list[float], place: int) -> Line:
    shift = max(scores)
    below = summed(scores, lambda score: f"e^{writer.factor(score)}")
    whole = shift + math.log(math.fsum(math.exp(score - shift) for score in scores))
    return f"{writer.number(scores[place])} − ln({below})", scores[place] - whole


LOSS_LINES: dict[str, Callable[[Writer, int, int], Line]] = {
    "log_probabilities": log_probability,
    "span_log_probabilities": log_probability_over_positions,
    "cross_entropy": cross_entropy,
    "smoothed_cross_entropy": cross_entropy,
    "weighted_cross_entropy": weighted_cross_entropy,
    "weighted_smoothed_cross_entropy": weighted_cross_entropy,
    "span_cross_entropy": span_cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "squared_error": squared_error,
    "total": total,
    "mean_loss": mean,
    "both_losses": both,
}
