"""The formulas of the transformer: one table, from which every walk, page, check and export is made.

A formula is written for row vectors, as on a board: `Q = X W_Q + b_Q`. The stored weight of a linear map has the
shape (out, in), so the board's W is its transpose. The NumPy functions take a step's inputs in float64, in order.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from glassformer.glass.formula import Array, Formula
from glassformer.glass.loss_formulas import LOSS_FORMULAS

# ------------------------------------------------------------------ the arithmetic


def _given(*_: Array, **__: Any) -> Array:
    raise LookupError("a given value has no formula to compute")


def _same(x: Array) -> Array:
    return x


def _sum(*parts: Array) -> Array:
    total: Array = np.sum(np.broadcast_arrays(*parts), axis=0)
    return total


def _affine(x: Array, weight: Array, bias: Array | float = 0.0) -> Array:
    return x @ weight.T + bias


def _heads(x: Array, weight: Array, bias: Array | float = 0.0, *, heads: int) -> Array:
    """(B, T, C) -> (B, heads, T, D)."""
    flat = _affine(x, weight, bias)
    return flat.reshape(*flat.shape[:2], heads, -1).swapaxes(1, 2)


def _shared(x: Array, heads: int) -> Array:
    """Each key/value head repeated for the query heads that share it (Ainslie et al. 2023)."""
    return x.repeat(heads // x.shape[1], axis=1)


def _scores(query: Array, key: Array, *, head_size: int = 1) -> Array:
    return query @ _shared(key, query.shape[1]).swapaxes(-1, -2) / math.sqrt(head_size)


def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) over the sum of exp(x), shifted by the maximum so that nothing overflows."""
    powers: Array = np.exp(x - x.max(axis=axis, keepdims=True))
    shares: Array = powers / powers.sum(axis=axis, keepdims=True)
    return shares


def _weights(scores: Array, mask: Array | float = 0.0) -> Array:
    return softmax(scores + mask)


def _biased_weights(scores: Array, bias: Array, mask: Array | float = 0.0) -> Array:
    return softmax(scores + bias + mask)


def _mixed(weights: Array, value: Array) -> Array:
    return weights @ _shared(value, weights.shape[1])


def _joined(mixed: Array, weight: Array, bias: Array | float = 0.0) -> Array:
    """(B, H, T, D) -> (B, T, C): the heads side by side, then a linear map."""
    return _affine(mixed.swapaxes(1, 2).reshape(mixed.shape[0], mixed.shape[2], -1), weight, bias)


ERF = np.vectorize(math.erf, otypes=[np.float64])

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "gelu": lambda x: 0.5 * x * (1.0 + ERF(x / math.sqrt(2.0))),
    "gelu-tanh": lambda x: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1.0 + np.exp(-x)),
}


def _active(x: Array, *, activation: str) -> Array:
    return ACTIVATIONS[activation](x)


def _gated(gate: Array, up: Array, *, activation: str) -> Array:
    return ACTIVATIONS[activation](gate) * up


def _layer_norm(x: Array, weight: Array, bias: Array, *, eps: float) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled: Array = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return scaled * weight + bias


def _rms_norm(x: Array, weight: Array, *, eps: float) -> Array:
    scaled: Array = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * weight
    return scaled


def _rms_norm_from_one(x: Array, weight: Array, *, eps: float) -> Array:
    return _rms_norm(x, 1.0 + weight, eps=eps)


def _tokens(ids: Array, weight: Array) -> Array:
    return weight[ids]


def _tokens_scaled(ids: Array, weight: Array, *, d_model: int) -> Array:
    return weight[ids] * math.sqrt(d_model)


def _position_ids(mask: Array, *, new: int) -> Array:
    numbers: Array = np.maximum(mask.astype(np.int64).cumsum(axis=1) - 1, 0)[:, -new:]
    return numbers


def _learned(ids: Array, weight: Array, *, offset: int) -> Array:
    rows: Array = weight[ids + offset]
    return rows


def _angles(ids: Array, size: int, base: float) -> Array:
    return ids[..., None] / base ** (np.arange(0, size, 2) / size)


def _sinusoidal(ids: Array, *, d_model: int) -> Array:
    angles = _angles(ids, d_model, 10_000.0)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(*ids.shape, d_model)


def _sinusoidal_halves(ids: Array, *, d_model: int) -> Array:
    angles = _angles(ids, d_model, 10_000.0)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def _sinusoidal_inclusive(ids: Array, *, last: int, offset: int) -> Array:
    angles = (ids + offset)[..., None] / 10_000.0 ** (np.arange(last + 1) / last)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def turning_rates(
    size: int,
    base: float,
    stretch: float = 1.0,
    length: int | None = None,
    low: float = 1.0,
    high: float = 4.0,
) -> Array:
    """How far each pair turns from one position to the next; the slow ones slower by `stretch`, for longer texts."""
    rates: Array = 1.0 / base ** (np.arange(0, size, 2) / size)
    kept = 0.0 if length is None else np.clip((length * rates / (2 * math.pi) - low) / (high - low), 0.0, 1.0)
    return rates * (kept + (1.0 - kept) / stretch)


def turned(x: Array, ids: Array, *, base: float, size: int | None = None, **stretched: Any) -> Array:
    """Each pair of numbers turned by an angle that grows with the position."""
    size = size or x.shape[-1]
    angles = ids[:, None, :, None] * turning_rates(size, base, **stretched)
    left, right = np.split(x[..., :size], 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([left * cos - right * sin, right * cos + left * sin, x[..., size:]], axis=-1)


def buckets(distance: Array, count: int, far: int, both_ways: bool) -> Array:
    """Near distances have a bucket each, far ones share wider and wider ones."""
    first = np.zeros_like(distance)
    if both_ways:
        count //= 2
        first = (distance > 0) * count
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    near = count // 2
    # in float32, as the published models count: at a border the last digit decides the bucket
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / near) / math.log(far / near)
    spread = near + (ratio * (count - near)).astype(np.int64)
    return first + np.where(distance < near, distance, np.minimum(spread, count - 1))


def _relative(queries: Array, keys: Array, table: Array, *, distance: int, both_ways: bool) -> Array:
    found = buckets(keys[:, None, :] - queries[:, :, None], len(table), distance, both_ways)
    return table[found].transpose(0, 3, 1, 2)


def _mask(mask: Array, *, queries: int, causal: bool, never: float, window: int | None = None) -> Array:
    """Zero where a query may look, `never` where not: at padding, (causal) at the future, or too far back."""
    allowed = np.broadcast_to(mask.astype(bool)[:, None, None, :], (len(mask), 1, queries, mask.shape[1]))
    if causal:
        keys = np.arange(mask.shape[1])
        allowed = allowed & (keys <= keys[-queries:, None])
        if window is not None:
            allowed = allowed & (keys > keys[-queries:, None] - window)
    return np.where(allowed, 0.0, never)


def _append(past: Array, new: Array) -> Array:
    return np.concatenate([past, new], axis=2)


def _last_real(x: Array, mask: Array) -> Array:
    last = mask.shape[1] - 1 - mask.astype(bool)[:, ::-1].argmax(axis=1)
    row: Array = x[np.arange(len(x)), last]
    return row


def _first_real(x: Array, mask: Array) -> Array:
    row: Array = x[np.arange(len(x)), mask.astype(bool).argmax(axis=1)]
    return row


def _pooled(x: Array, weight: Array, bias: Array) -> Array:
    return np.tanh(_affine(x, weight, bias))


def _scaled_logits(x: Array, weight: Array, bias: Array | float = 0.0, *, d_model: int) -> Array:
    return _affine(x / math.sqrt(d_model), weight, bias)


def _sigmoid(x: Array) -> Array:
    y: Array = np.exp(-np.logaddexp(0.0, -x))
    return y


def _span_probabilities(logits: Array, mask: Array) -> Array:
    return softmax(np.where(mask.astype(bool)[..., None], logits, -np.inf), axis=1)


# ------------------------------------------------------------------ the table

_WQ, _WK, _WV, _WO = (rf"W_{{{letter}}}" for letter in "QKVO")

FORMULAS: dict[str, Formula] = {
    "given": Formula("", "given", r"\text{given}", _given, says="What the run starts from."),
    "same": Formula(
        "X", "X", "X", _same, says="The last value of this part, under the name others know it by."
    ),
    "position_ids": Formula(
        "p",
        "p = number of real tokens before",
        r"p_t = \textstyle\sum_{s<t} m_s",
        _position_ids,
        says="Each token is numbered by how many real tokens stand before it; padding does not count.",
    ),
    "mask": Formula(
        "M",
        "M = 0 where a query may look, the lowest number where it may not",
        r"M_{qk} = 0 \text{ if } q \text{ may look at } k \text{, else } -\infty",
        _mask,
        says="Padding and (in a decoder) the future are hidden by a number so low that softmax gives them nothing.",
    ),
    "tokens": Formula(
        "E",
        "E = onehot(ids)·W_E",
        r"E = \mathrm{onehot}(ids)\,W_E",
        _tokens,
        says="A token's one-hot row times the embedding weights picks that token's row.",
    ),
    "tokens_scaled": Formula(
        "E",
        "E = onehot(ids)·W_E·√<d_model>",
        r"E = \mathrm{onehot}(ids)\,W_E\sqrt{<d_model>}",
        _tokens_scaled,
        says="A token's one-hot row times the embedding weights picks its row, lengthened by the root of its size.",
    ),
    "positions": Formula(
        "P",
        "P = W_P[p + <offset>]",
        r"P = W_P[p + <offset>]",
        _learned,
        says="Each position has a learned row of its own.",
    ),
    "sinusoidal": Formula(
        "P",
        "P[p, 2i] = sin(p / 10000^(2i/<d_model>)), P[p, 2i+1] = cos(p / 10000^(2i/<d_model>))",
        r"P_{p,2i} = \sin\frac{p}{10000^{2i/<d_model>}},\quad P_{p,2i+1} = \cos\frac{p}{10000^{2i/<d_model>}}",
        _sinusoidal,
        says="Alternating sine and cosine waves tell the positions apart.",
    ),
    "sinusoidal_halves": Formula(
        "P",
        "P[p] = [sin(p / 10000^(2i/<d_model>)) ..., cos(p / 10000^(2i/<d_model>)) ...]",
        r"P_p = \left[\sin\frac{p}{10000^{2i/<d_model>}},\ \cos\frac{p}{10000^{2i/<d_model>}}\right]",
        _sinusoidal_halves,
        says="Sine waves in the first half and cosine waves in the second tell the positions apart.",
    ),
    "sinusoidal_inclusive": Formula(
        "P",
        "P[p] = [sin((p + <offset>) / 10000^(i/<last>)) ..., cos((p + <offset>) / 10000^(i/<last>)) ...]",
        r"P_p = \left[\sin\frac{p + <offset>}{10000^{i/<last>}},\ \cos\frac{p + <offset>}{10000^{i/<last>}}\right]",
        _sinusoidal_inclusive,
        says="Sine waves, then cosine waves, the slowest exactly 10000 times slower than the first.",
    ),
    "segments": Formula(
        "G",
        "G = W_G[segment ids]",
        r"G = W_G[\mathrm{segment}]",
        _tokens,
        says="The first and the second text each have a learned row.",
    ),
    "sum": Formula(
        "X", "X = E + P{{ + G}}", r"X = E + P{{ + G}}", _sum, 3, "What a token means plus where it stands."
    ),
    "layer_norm": Formula(
        "X̂",
        "X̂ = (X − mean(X)) / √(var(X) + <eps>) ⊙ γ + β",
        r"\hat X = \frac{X - \mu(X)}{\sqrt{\sigma^2(X) + <eps>}} \odot \gamma + \beta",
        _layer_norm,
        says="Each row is shifted to mean 0 and scaled to variance 1, then stretched and moved by learned numbers.",
    ),
    "rms_norm": Formula(
        "X̂",
        "X̂ = X / √(mean(X²) + <eps>) ⊙ γ",
        r"\hat X = \frac{X}{\sqrt{\overline{X^2} + <eps>}} \odot \gamma",
        _rms_norm,
        says="Each row is scaled to a mean square of 1, then stretched by learned numbers.",
    ),
    "rms_norm_from_one": Formula(
        "X̂",
        "X̂ = X / √(mean(X²) + <eps>) ⊙ (1 + γ)",
        r"\hat X = \frac{X}{\sqrt{\overline{X^2} + <eps>}} \odot (1 + \gamma)",
        _rms_norm_from_one,
        says="Each row is scaled to a mean square of 1, then stretched by one plus learned numbers.",
    ),
    "query": Formula(
        "Q",
        "Q = X·W_Q{{ + b_Q}}",
        rf"Q = X {_WQ}{{{{ + b_Q}}}}",
        _heads,
        3,
        "What each position asks for.",
    ),
    "key": Formula(
        "K",
        "K = X·W_K{{ + b_K}}",
        rf"K = X {_WK}{{{{ + b_K}}}}",
        _heads,
        3,
        "What each position offers to be found by.",
    ),
    "value": Formula(
        "V",
        "V = X·W_V{{ + b_V}}",
        rf"V = X {_WV}{{{{ + b_V}}}}",
        _heads,
        3,
        "What each position hands over when found.",
    ),
    "turned": Formula(
        "R(X)",
        "R(X) = each pair (x_i, x_(i+D/2)) turned by p / <base>^(2i/D)",
        r"R_p(x)_{(i,\,i+D/2)} = \text{rotation by } p / <base>^{2i/D}",
        turned,
        says="Each pair of numbers is turned by an angle that grows with the position.",
    ),
    "turned_in_part": Formula(
        "R(X)",
        "R(X) = of the first <size> numbers, each pair (x_i, x_(i+<size>/2)) turned by p / <base>^(2i/<size>)",
        r"R_p(x)_{(i,\,i+<size>/2)} = \text{rotation by } p / <base>^{2i/<size>}",
        turned,
        says="Each pair among the first numbers is turned by an angle that grows with the position; the rest stay.",
    ),
    "turned_slowly": Formula(
        "R(X)",
        "R(X) = each pair (x_i, x_(i+<size>/2)) turned by p·r_i; r_i = <base>^(−2i/<size>), slow ones ÷ <stretch>",
        r"R_p(x)_{(i,\,i+<size>/2)} = \text{rotation by } p\,r_i,\quad r_i = <base>^{-2i/<size>}"
        r"\ (\text{slow ones} \div <stretch>)",
        turned,
        says="Each pair is turned by an angle that grows with the position; slow turns are slowed for longer texts.",
    ),
    "append": Formula(
        "[past, X]",
        "[past, X]",
        r"[\text{past},\, X]",
        _append,
        says="What was kept from earlier positions, then the new ones.",
    ),
    "relative_bias": Formula(
        "B",
        "B[h, q, k] = W_B[bucket(k − q), h]",
        r"B_{hqk} = W_B[\mathrm{bucket}(k - q),\, h]",
        _relative,
        says="One learned number per head for each bucket of distance.",
    ),
    "scores": Formula(
        "S",
        "S = Q·Kᵀ / √<head_size>",
        r"S = \frac{Q K^\top}{\sqrt{<head_size>}}",
        _scores,
        says="How well each query meets each key.",
    ),
    "scores_unscaled": Formula(
        "S",
        "S = Q·Kᵀ",
        r"S = Q K^\top",
        _scores,
        says="How well each query meets each key.",
    ),
    "weights": Formula(
        "A",
        "A = softmax(S{{ + M}})",
        r"A = \mathrm{softmax}(S{{ + M}})",
        _weights,
        2,
        "The scores of a query made positive, summing to 1.",
    ),
    "biased_weights": Formula(
        "A",
        "A = softmax(S + B{{ + M}})",
        r"A = \mathrm{softmax}(S + B{{ + M}})",
        _biased_weights,
        3,
        "The scores of a query, moved by distance, made positive, summing to 1.",
    ),
    "mixed": Formula("Z", "Z = A·V", "Z = A V", _mixed, says="The values, mixed by the weights."),
    "attention_output": Formula(
        "O",
        "O = Z·W_O{{ + b_O}}",
        rf"O = Z {_WO}{{{{ + b_O}}}}",
        _joined,
        3,
        "The heads side by side, brought back to the model's own dimensions.",
    ),
    "residual": Formula(
        "X",
        "X = X + O{{ + F}}",
        "X' = X + O{{ + F}}",
        _sum,
        3,
        "What was there, plus what the sub-layer adds.",
    ),
    "up": Formula(
        "U",
        "U = X·W_1{{ + b_1}}",
        r"U = X W_1{{ + b_1}}",
        _affine,
        3,
        "Each position alone, into the wide layer.",
    ),
    "gate": Formula(
        "G", "G = X·W_G{{ + b_G}}", r"G = X W_G{{ + b_G}}", _affine, 3, "How far each wide unit is opened."
    ),
    "active": Formula(
        "H",
        "H = <activation>(U)",
        r"H = \mathrm{<activation>}(U)",
        _active,
        says="What of the wide layer comes through.",
    ),
    "gated": Formula(
        "H",
        "H = <activation>(G) ⊙ U",
        r"H = \mathrm{<activation>}(G) \odot U",
        _gated,
        says="What of the wide layer its gates let through.",
    ),
    "feed_forward_output": Formula(
        "F",
        "F = H·W_2{{ + b_2}}",
        r"F = H W_2{{ + b_2}}",
        _affine,
        3,
        "Back from the wide layer.",
    ),
    "projected": Formula(
        "U",
        "U = X·W_T{{ + b_T}}",
        r"U = X W_T{{ + b_T}}",
        _affine,
        3,
        "One more linear map.",
    ),
    "logits": Formula(
        "L",
        "L = X·W_L{{ + b_L}}",
        r"L = X W_L{{ + b_L}}",
        _affine,
        3,
        "One score for each possible answer.",
    ),
    "logits_scaled": Formula(
        "L",
        "L = X·W_L / √<d_model>{{ + b_L}}",
        r"L = \frac{X W_L}{\sqrt{<d_model>}}{{ + b_L}}",
        _scaled_logits,
        3,
        "One score for each possible answer.",
    ),
    "probabilities": Formula(
        "y",
        "y = softmax(L)",
        r"y = \mathrm{softmax}(L)",
        softmax,
        says="The scores made positive, summing to 1.",
    ),
    "probability_of_each": Formula(
        "y",
        "y = sigmoid(L)",
        r"y = \mathrm{sigmoid}(L)",
        _sigmoid,
        says="How likely each label is by itself, whatever the others are.",
    ),
    "span_probabilities": Formula(
        "y",
        "y = softmax over positions of L",
        r"y = \mathrm{softmax}_t(L)",
        _span_probabilities,
        says="How likely the answer is to start, and to end, at each real position.",
    ),
    "first": Formula(
        "x",
        "x = X[first real position]",
        r"x = X_{\text{first}}",
        _first_real,
        says="The first position speaks for all.",
    ),
    "last": Formula(
        "x",
        "x = X[last real position]",
        r"x = X_{\text{last}}",
        _last_real,
        says="The last position has read all.",
    ),
    "pooled": Formula(
        "c", "c = tanh(x·W_C + b_C)", r"c = \tanh(x W_C + b_C)", _pooled, says="The whole text in one row."
    ),
    **LOSS_FORMULAS,
}
