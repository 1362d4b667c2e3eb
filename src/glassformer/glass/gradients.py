"""The arithmetic of the backward rules, in NumPy float64: what each input's gradient is made of.

Every function takes the gradient of a step's value first, then the recorded values that its rule names.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from glassformer.glass.formula import Array
from glassformer.glass.formulas import ACTIVATIONS, ERF, buckets, turned


def passed(gradient: Array) -> Array:
    """A sum hands its gradient to each of its parts."""
    return gradient


def as_rows(x: Array) -> Array:
    """(..., C) -> (N, C): every position of every text below one another."""
    return x.reshape(-1, x.shape[-1])


def flat(gradient: Array) -> Array:
    """(B, H, T, D) -> (B, T, H * D): the heads side by side."""
    return gradient.swapaxes(1, 2).reshape(gradient.shape[0], gradient.shape[2], -1)


def linear_input(gradient: Array, weight: Array) -> Array:
    """Through a linear map, back to its input."""
    return gradient @ weight


def linear_weight(gradient: Array, x: Array) -> Array:
    """(..., out), (..., in) -> (out, in), as the weight is stored."""
    return as_rows(gradient).T @ as_rows(x)


def linear_bias(gradient: Array) -> Array:
    """A bias meets every row."""
    total: Array = as_rows(gradient).sum(axis=0)
    return total


def heads_input(gradient: Array, weight: Array, **_: Any) -> Array:
    """The same for a map whose result is cut into heads."""
    return linear_input(flat(gradient), weight)


def heads_weight(gradient: Array, x: Array, **_: Any) -> Array:
    """(B, H, T, D), (B, T, C) -> (H * D, C)."""
    return linear_weight(flat(gradient), x)


def heads_bias(gradient: Array, **_: Any) -> Array:
    """(B, H, T, D) -> (H * D,)."""
    return linear_bias(flat(gradient))


def joined_input(gradient: Array, weight: Array, *, heads: int) -> Array:
    """(B, T, C) -> (B, H, T, D): back through the output projection, cut into heads again."""
    back = linear_input(gradient, weight)
    return back.reshape(*back.shape[:2], heads, -1).swapaxes(1, 2)


def joined_weight(gradient: Array, mixed: Array) -> Array:
    """The heads' rows side by side meet the gradient."""
    return linear_weight(gradient, flat(mixed))


def scaled_input(gradient: Array, weight: Array, *, d_model: int) -> Array:
    """Through logits that were divided by the root of d_model."""
    return linear_input(gradient, weight) / math.sqrt(d_model)


def scaled_weight(gradient: Array, x: Array, *, d_model: int) -> Array:
    """The same for their weight."""
    return linear_weight(gradient, x) / math.sqrt(d_model)


def scaled_bias(gradient: Array, **_: Any) -> Array:
    """The bias comes after the division."""
    return linear_bias(gradient)


def pooled_input(gradient: Array, weight: Array, output: Array) -> Array:
    """tanh' is 1 - tanh², read off the result."""
    return linear_input(gradient * (1.0 - output**2), weight)


def pooled_weight(gradient: Array, x: Array, output: Array) -> Array:
    """The same for the weight."""
    return linear_weight(gradient * (1.0 - output**2), x)


def pooled_bias(gradient: Array, output: Array) -> Array:
    """The same for the bias."""
    return linear_bias(gradient * (1.0 - output**2))


def gathered(gradient: Array, ids: Array, *, rows: int, offset: int = 0) -> Array:
    """Every row of a table collects the gradients of the places where it was used."""
    table = np.zeros((rows, gradient.shape[-1]))
    np.add.at(table, ids + offset, gradient)
    return table


def gathered_scaled(gradient: Array, ids: Array, *, rows: int, d_model: int) -> Array:
    """The same where the rows were lengthened."""
    return gathered(gradient, ids, rows=rows) * math.sqrt(d_model)


def relative_table(
    gradient: Array, queries: Array, keys: Array, *, rows: int, distance: int, both_ways: bool
) -> Array:
    """Every bucket collects, head by head, the gradients of the scores it was added to."""
    found = buckets(keys[:, None, :] - queries[:, :, None], rows, distance, both_ways)
    return gathered(gradient.transpose(0, 2, 3, 1), found, rows=rows)


def turned_back(gradient: Array, ids: Array, **turns: Any) -> Array:
    """A turn is undone by the same turn the other way."""
    return turned(gradient, -ids, **turns)


def appended_past(gradient: Array, past: Array) -> Array:
    """The first positions belong to what was kept."""
    part: Array = gradient[:, :, : past.shape[2]]
    return part


def appended_new(gradient: Array, past: Array) -> Array:
    """The others to what came new."""
    part: Array = gradient[:, :, past.shape[2] :]
    return part


def gathered_heads(x: Array, heads: int) -> Array:
    """(B, H, K, D) -> (B, G, K, D): query heads that share a key add up."""
    total: Array = x.reshape(len(x), heads, -1, *x.shape[2:]).sum(axis=2)
    return total


def scores_query(gradient: Array, key: Array, *, head_size: int = 1) -> Array:
    """Each query collects the keys that it met."""
    shared = key.repeat(gradient.shape[1] // key.shape[1], axis=1)
    return gradient @ shared / math.sqrt(head_size)


def scores_key(gradient: Array, query: Array, *, key_heads: int, head_size: int = 1) -> Array:
    """Each key collects the queries that met it."""
    return gathered_heads(gradient.swapaxes(-1, -2) @ query, key_heads) / math.sqrt(head_size)


def mixed_weights(gradient: Array, value: Array) -> Array:
    """A weight is worth what its value tells the gradient."""
    return gradient @ value.repeat(gradient.shape[1] // value.shape[1], axis=1).swapaxes(-1, -2)


def mixed_value(gradient: Array, weights: Array, *, key_heads: int) -> Array:
    """A value collects the gradients of all that read it, as much as they read."""
    return gathered_heads(weights.swapaxes(-1, -2) @ gradient, key_heads)


def softmax_input(gradient: Array, output: Array, *, axis: int = -1) -> Array:
    """What is above the row's weighted mean rises, the rest falls."""
    above: Array = output * (gradient - (gradient * output).sum(axis=axis, keepdims=True))
    return above


def span_logits(gradient: Array, output: Array) -> Array:
    """The same over the positions; a padded one has probability 0, and so no gradient."""
    return softmax_input(gradient, output, axis=1)


def sigmoid_input(gradient: Array, output: Array) -> Array:
    """sigmoid' is y(1 - y), read off the result."""
    return gradient * output * (1.0 - output)


def _relu(x: Array) -> Array:
    return (x > 0).astype(np.float64)


def _gelu(x: Array) -> Array:
    inner: Array = 0.5 * (1.0 + ERF(x / math.sqrt(2.0))) + x * np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
    return inner


def _gelu_tanh(x: Array) -> Array:
    root = math.sqrt(2.0 / math.pi)
    t = np.tanh(root * (x + 0.044715 * x**3))
    slope: Array = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t**2) * root * (1.0 + 3.0 * 0.044715 * x**2)
    return slope


def _silu(x: Array) -> Array:
    y = 1.0 / (1.0 + np.exp(-x))
    slope: Array = y * (1.0 + x * (1.0 - y))
    return slope


SLOPES: dict[str, Callable[[Array], Array]] = {
    "relu": _relu,
    "gelu": _gelu,
    "gelu-tanh": _gelu_tanh,
    "silu": _silu,
}


def active_input(gradient: Array, x: Array, *, activation: str) -> Array:
    """The slope of the activation where its input stood."""
    return gradient * SLOPES[activation](x)


def gated_gate(gradient: Array, gate: Array, up: Array, *, activation: str) -> Array:
    """A gate is worth what it lets through, at the slope where it stands."""
    return gradient * up * SLOPES[activation](gate)


def gated_up(gradient: Array, gate: Array, *, activation: str) -> Array:
    """What comes up is worth as much as its gate is open."""
    return gradient * ACTIVATIONS[activation](gate)


def layer_norm_input(gradient: Array, x: Array, weight: Array, *, eps: float) -> Array:
    """Shifts and stretches of the whole row change nothing, so what goes in those directions is taken out."""
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    normed, pulled = centred / deviation, gradient * weight
    along = (pulled * normed).mean(axis=-1, keepdims=True)
    result: Array = (pulled - pulled.mean(axis=-1, keepdims=True) - normed * along) / deviation
    return result


def layer_norm_weight(gradient: Array, x: Array, *, eps: float) -> Array:
    """Each stretch collects the normed rows."""
    centred = x - x.mean(axis=-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return linear_bias(gradient * normed)


def layer_norm_bias(gradient: Array, **_: Any) -> Array:
    """The learned shift meets every row."""
    return linear_bias(gradient)


def rms_norm_input(gradient: Array, x: Array, weight: Array, *, eps: float) -> Array:
    """A stretch of the whole row changes nothing, so what goes in that direction is taken out."""
    size = np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps)
    pulled = gradient * weight
    result: Array = (pulled - x * (pulled * x).mean(axis=-1, keepdims=True) / size**2) / size
    return result


def rms_norm_from_one_input(gradient: Array, x: Array, weight: Array, *, eps: float) -> Array:
    """The same for a stretch that starts from one."""
    return rms_norm_input(gradient, x, 1.0 + weight, eps=eps)


def rms_norm_weight(gradient: Array, x: Array, *, eps: float) -> Array:
    """Each stretch collects the normed rows."""
    return linear_bias(gradient * x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps))


def _placed(gradient: Array, places: Array, positions: int) -> Array:
    spread = np.zeros((len(gradient), positions, gradient.shape[-1]))
    spread[np.arange(len(gradient)), places] = gradient
    return spread


def first_rows(gradient: Array, mask: Array) -> Array:
    """Only the first real position was read."""
    return _placed(gradient, mask.astype(bool).argmax(axis=1), mask.shape[1])


def last_rows(gradient: Array, mask: Array) -> Array:
    """Only the last real position was read."""
    last = mask.shape[1] - 1 - mask.astype(bool)[:, ::-1].argmax(axis=1)
    return _placed(gradient, last, mask.shape[1])


def log_softmax_input(gradient: Array, output: Array, *, axis: int = -1) -> Array:
    """Every score moves all probabilities, so each takes its share of what the others are told."""
    found: Array = gradient - np.exp(output) * gradient.sum(axis=axis, keepdims=True)
    return found


def span_log_softmax_input(gradient: Array, output: Array) -> Array:
    """The same over positions."""
    return log_softmax_input(gradient, output, axis=1)


def smoothed_choice(
    gradient: Array, labels: Array, *, choices: int, ignored: float, smoothing: float
) -> Array:
    """The label's logarithm counts most, and all others a little; nothing counts where none is wanted."""
    counted = labels != ignored
    wanted = np.eye(choices)[np.where(counted, labels, 0).astype(np.int64)]
    shares = -(1.0 - smoothing) * wanted - smoothing / choices
    found: Array = np.where(counted, gradient, 0.0)[..., None] * shares
    return found


def choice(gradient: Array, labels: Array, *, choices: int, ignored: float) -> Array:
    """Only the label's own logarithm counts."""
    return smoothed_choice(gradient, labels, choices=choices, ignored=ignored, smoothing=0.0)


def weighted_choice(
    gradient: Array, labels: Array, weights: Array, *, choices: int, ignored: float, smoothing: float = 0.0
) -> Array:
    """The same, each logarithm by its label's weight."""
    return weights * smoothed_choice(gradient, labels, choices=choices, ignored=ignored, smoothing=smoothing)


def span_choice(gradient: Array, labels: Array, *, positions: int) -> Array:
    """Only the logarithm at the label's position counts."""
    wanted = np.arange(positions)[None, :, None] == labels[:, None, :]
    found: Array = np.where(wanted, -gradient[:, None, :], 0.0)
    return found


def each_label(gradient: Array, logits: Array, labels: Array) -> Array:
    """The probability that was given, less the one that is wanted."""
    found: Array = gradient * (np.exp(-np.logaddexp(0.0, -logits)) - labels)
    return found


def squared(gradient: Array, logits: Array, labels: Array) -> Array:
    """Twice the difference."""
    found: Array = 2.0 * gradient * (logits - labels)
    return found


def summed(gradient: Array, each: Array) -> Array:
    """Each part of a sum counts the same."""
    return np.full(each.shape, float(gradient))


def mean(gradient: Array, *, count: int) -> Array:
    """Each of many counts little."""
    return gradient / count


def one(loss: Array) -> Array:
    """The loss rises by one when it rises by one."""
    return np.ones(loss.shape)


def total(*parts: Array) -> Array:
    """A value that several steps use has the sum of what they send back."""
    whole: Array = np.sum(parts, axis=0)
    return whole
