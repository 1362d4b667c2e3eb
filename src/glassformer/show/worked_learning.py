"""The entries of gradients and updates with their numbers put in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glassformer.glass.gradients import SLOPES
from glassformer.glass.verify import as_array
from glassformer.show.numbers import summed

if TYPE_CHECKING:
    from glassformer.show.worked import Line, Writer

Array = NDArray[Any]
LineOf = Callable[["Writer", int, int], "Line"]


def whole(writer: Writer, place: int) -> Array:
    """An input as it is, all texts and heads of it."""
    return as_array(writer.board.trace.value(writer.board.step.inputs[place]))


def all_rows(values: Array) -> Array:
    """(B, T, C) or (B, H, T, D) -> (B * T, C): every row of every text, the heads side by side."""
    if values.ndim == 4:
        values = values.swapaxes(1, 2).reshape(values.shape[0], values.shape[2], -1)
    return values.reshape(-1, values.shape[-1])


def own_rows(writer: Writer, place: int) -> Array:
    """The rows of the text on the board, the heads side by side."""
    values: Array = whole(writer, place)[writer.board.text]
    if values.ndim == 3:
        values = values.swapaxes(0, 1).reshape(values.shape[1], -1)
    return values.reshape(-1, values.shape[-1])


def head_of(writer: Writer, place: int) -> Array:
    """(Q, K) or (K, D): one input's numbers in the head on the board; keys that heads share are those of its group."""
    values: Array = whole(writer, place)[writer.board.text]
    mine: Array = values[writer.board.head * len(values) // writer.board.heads]
    return mine


def linear_input(writer: Writer, row: int, column: int) -> Line:
    """A row of gradients times a column of the stored weight."""
    weight = whole(writer, 1)
    if writer.board.step.key == "attention_output.input":
        column += writer.board.head * writer.result.values.shape[1]
    return _products(writer, own_rows(writer, 0)[row], weight[:, column], "d_model")


def linear_weight(writer: Writer, row: int, column: int) -> Line:
    """What went in, times the gradient of what came out, over all positions."""
    return _products(
        writer, all_rows(whole(writer, 1))[:, column], all_rows(whole(writer, 0))[:, row], "d_model"
    )


def linear_bias(writer: Writer, row: int, column: int) -> Line:
    """The gradients of all positions, added."""
    return _sum(writer, all_rows(whole(writer, 0))[:, column])


def scores_query(writer: Writer, row: int, column: int) -> Line:
    """A row of gradients times a column of keys."""
    return _products(writer, head_of(writer, 0)[row], head_of(writer, 1)[:, column], "head_size")


def mixed_weights(writer: Writer, row: int, column: int) -> Line:
    """A row of gradients times a row of values."""
    return _products(writer, head_of(writer, 0)[row], head_of(writer, 1)[column], "")


def to_key(writer: Writer, row: int, column: int) -> Line:
    """Over all queries, and all heads that share the key: what each sends to this number of this key."""
    gradient, other = (whole(writer, place)[writer.board.text] for place in (0, 1))
    weights, rows = (gradient, other) if writer.board.step.key.startswith("scores") else (other, gradient)
    count = len(weights) // writer.board.step.constants["key_heads"]
    sharing = slice(writer.board.head * count, (writer.board.head + 1) * count)
    return _products(writer, weights[sharing, :, row].ravel(), rows[sharing, :, column].ravel(), "head_size")


def softmax(writer: Writer, row: int, column: int) -> Line:
    """A share times how far its gradient is above the row's mean."""
    gradient, shares = (as_array(writer.board.input(place).values[row]) for place in (0, 1))
    mean = float(gradient @ shares)
    y, g = float(shares[column]), float(gradient[column])
    return f"{writer.factor(y)}·({writer.number(g)} − {writer.factor(mean)})", y * (g - mean)


def log_softmax(writer: Writer, row: int, column: int) -> Line:
    """A gradient less the probability's part of the row's sum."""
    gradient, logs = (as_array(writer.board.input(place).values[row]) for place in (0, 1))
    g, y, total = float(gradient[column]), math.exp(float(logs[column])), float(gradient.sum())
    return f"{writer.number(g)} − {writer.factor(y)}·{writer.factor(total)}", g - y * total


def active(writer: Writer, row: int, column: int) -> Line:
    """A gradient times the slope."""
    g, x = (float(writer.board.input(place).values[row, column]) for place in (0, 1))
    slope = float(SLOPES[writer.board.step.constants["activation"]](np.asarray(x)))
    return f"{writer.factor(g)}·{writer.factor(slope)}", g * slope


def passed(writer: Writer, row: int, column: int) -> Line:
    """The same number."""
    value = float(writer.board.input(0).values[row, column])
    return writer.number(value), value


def total(writer: Writer, row: int, column: int) -> Line:
    """What each use sends back, added."""
    parts = [writer.board.matrix("", name).values[row, column] for name in writer.board.step.inputs]
    return _sum(writer, np.array([float(part) for part in parts]))


def table(writer: Writer, row: int, column: int) -> Line:
    """The gradients of the places that used this row."""
    constants = writer.board.step.constants
    used = whole(writer, 1).ravel() + constants.get("offset", 0) == row
    found = all_rows(whole(writer, 0))[used, column]
    if not len(found):
        return "0, since no position used this row", 0.0
    text, value = _sum(writer, found)
    root = constants.get("d_model")
    return (text, value) if root is None else (f"({text})·√{root}", (value or 0.0) * math.sqrt(root))


def mean_loss(writer: Writer, row: int, column: int) -> Line:
    """One part of all."""
    value, count = float(writer.board.input(0).values[row, column]), writer.board.step.constants["count"]
    return f"{writer.number(value)} / {count}", value / count


def choice(writer: Writer, row: int, column: int) -> Line:
    """Minus the gradient at the label."""
    gradient, label = float(writer.board.input(0).values[0, row]), int(writer.board.input(1).values[0, row])
    if label != column:
        return "0, since another label is wanted here", 0.0
    return f"−{writer.factor(gradient)}", -gradient


# ------------------------------------------------------------------ an update


def _numbers(writer: Writer, row: int, column: int) -> list[float]:
    found = []
    for place in range(len(writer.board.step.inputs)):
        values = writer.board.input(place).values
        found.append(float(values[row, column] if values.numel() > 1 else values[0, 0]))
    return found


def clip_factor(writer: Writer, row: int, column: int) -> Line:
    """1, or less where the gradient is too long."""
    (norm,), limit = _numbers(writer, 0, 0), writer.board.step.constants["clip_norm"]
    return f"min(1, {limit:g} / ({writer.number(norm)} + 0.000001))", min(1.0, limit / (norm + 1e-6))


def clipped(writer: Writer, row: int, column: int) -> Line:
    """A gradient times the factor."""
    gradient, factor = _numbers(writer, row, column)
    return f"{writer.factor(gradient)}·{writer.factor(factor)}", gradient * factor


def first_moment(writer: Writer, row: int, column: int) -> Line:
    """A share of what was, a share of the gradient."""
    (before, gradient), beta = _numbers(writer, row, column), writer.board.step.constants["beta"]
    text = f"{beta:g}·{writer.factor(before)} + {1 - beta:g}·{writer.factor(gradient)}"
    return text, beta * before + (1 - beta) * gradient


def second_moment(writer: Writer, row: int, column: int) -> Line:
    """The same of its square."""
    (before, gradient), beta = _numbers(writer, row, column), writer.board.step.constants["beta"]
    text = f"{beta:g}·{writer.factor(before)} + {1 - beta:g}·{writer.factor(gradient)}²"
    return text, beta * before + (1 - beta) * gradient**2


def corrected(writer: Writer, row: int, column: int) -> Line:
    """A mean that began at 0, made up for."""
    (moment,), constants = _numbers(writer, row, column), writer.board.step.constants
    beta, step = constants["beta"], constants["step"]
    return f"{writer.number(moment)} / (1 − {beta:g}^{step})", moment / (1 - beta**step)


def decayed(writer: Writer, row: int, column: int) -> Line:
    """A weight, a little smaller."""
    (weight,), constants = _numbers(writer, row, column), writer.board.step.constants
    rate, decay = constants["learning_rate"], constants["weight_decay"]
    return f"{writer.factor(weight)}·(1 − {rate:g}·{decay:g})", weight * (1 - rate * decay)


def moved(writer: Writer, row: int, column: int) -> Line:
    """Against the gradient."""
    (old, first, second), constants = _numbers(writer, row, column), writer.board.step.constants
    rate, eps = constants["learning_rate"], constants["eps"]
    text = f"{writer.number(old)} − {rate:g}·{writer.factor(first)} / (√{writer.factor(second)} + {eps:g})"
    return text, old - rate * first / (math.sqrt(second) + eps)


def _products(writer: Writer, left: Array, right: Array, root: str) -> Line:
    text, value = writer.products(left.tolist(), right.tolist())
    size = writer.board.step.constants.get(root)
    return (text, value) if size is None else (f"({text}) / √{size}", (value or 0.0) / math.sqrt(size))


def _sum(writer: Writer, values: Array) -> Line:
    parts = values.tolist()
    return summed(parts, lambda value: writer.factor(value) if value < 0 else writer.number(value)), math.fsum(parts)


MAPS = ("query", "key", "value", "attention_output", "up", "gate", "feed_forward_output", "projected", "logits")
LEARNING_LINES: Mapping[str, LineOf] = {
    **{f"{key}.input": linear_input for key in (*MAPS, "logits_scaled")},
    **{f"{key}.weight": linear_weight for key in (*MAPS, "logits_scaled")},
    **{f"{key}.bias": linear_bias for key in (*MAPS, "logits_scaled")},
    **{f"{key}.table": table for key in ("tokens", "tokens_scaled", "positions", "segments")},
    "same.input": passed,
    "sum.part": passed,
    "residual.part": passed,
    "gradient_total": total,
    "scores.query": scores_query,
    "scores_unscaled.query": scores_query,
    "scores.key": to_key,
    "scores_unscaled.key": to_key,
    "mixed.weights": mixed_weights,
    "mixed.value": to_key,
    "weights.scores": softmax,
    "biased_weights.scores": softmax,
    "biased_weights.bias": softmax,
    "active.input": active,
    "log_probabilities.logits": log_softmax,
    "cross_entropy.log_probabilities": choice,
    "mean_loss.total": mean_loss,
    "clip_factor": clip_factor,
    "clipped": clipped,
    "first_moment": first_moment,
    "second_moment": second_moment,
    "moment_corrected": corrected,
    "decayed": decayed,
    "moved": moved,
}
