"""The formulas of one update of the parameters.

Kingma and Ba 2015, algorithm 1; decay beside the gradient: Loshchilov and Hutter 2019, algorithm 2; clipping: Pascanu,
Mikolov and Bengio 2013, section 3.2.
"""

import numpy as np

from glassformer.glass.formula import Array, Formula

TINY = 1e-6  # torch adds so much to a norm before it divides by it


def _norm(*gradients: Array) -> Array:
    norm: Array = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    return norm


def _factor(norm: Array, *, clip_norm: float) -> Array:
    return np.minimum(1.0, clip_norm / (norm + TINY))


def _clipped(gradient: Array, factor: Array) -> Array:
    return gradient * factor


def _first(before: Array, gradient: Array, *, beta: float) -> Array:
    return beta * before + (1.0 - beta) * gradient


def _second(before: Array, gradient: Array, *, beta: float) -> Array:
    return beta * before + (1.0 - beta) * gradient**2


def _corrected(moment: Array, *, beta: float, step: int) -> Array:
    return moment / (1.0 - beta**step)


def _decayed(parameter: Array, *, learning_rate: float, weight_decay: float) -> Array:
    return parameter * (1.0 - learning_rate * weight_decay)


def _moved(decayed: Array, first: Array, second: Array, *, learning_rate: float, eps: float) -> Array:
    return decayed - learning_rate * first / (np.sqrt(second) + eps)


UPDATES: dict[str, Formula] = {
    "gradient_norm": Formula(
        "n",
        "n = √(Σ of all gradients squared)",
        r"n = \sqrt{\textstyle\sum g^2}",
        _norm,
        says="How long the gradient of all parameters together is.",
    ),
    "clip_factor": Formula(
        "c",
        "c = min(1, <clip_norm> / (n + 0.000001))",
        r"c = \min(1, \frac{<clip_norm>}{n + 10^{-6}})",
        _factor,
        says="A gradient that is too long is shortened, all parameters alike; a short one stays.",
    ),
    "clipped": Formula(
        "g", "g = ∂W·c", r"g = c\,\partial W", _clipped, says="The gradient that the update goes by."
    ),
    "first_moment": Formula(
        "m",
        "m = <beta>·m_before + (1 − <beta>)·g",
        r"m = <beta>\, m_{\text{before}} + (1 - <beta>)\, g",
        _first,
        says="Which way the gradient has pointed lately: a mean that forgets slowly.",
    ),
    "second_moment": Formula(
        "v",
        "v = <beta>·v_before + (1 − <beta>)·g²",
        r"v = <beta>\, v_{\text{before}} + (1 - <beta>)\, g^2",
        _second,
        says="How large it has been lately, squared: a mean that forgets more slowly still.",
    ),
    "moment_corrected": Formula(
        "m̂",
        "m̂ = m / (1 − <beta>^<step>)",
        r"\hat m = \frac{m}{1 - <beta>^{<step>}}",
        _corrected,
        says="The mean began at 0, so it is too small at first; this makes up for it.",
    ),
    "decayed": Formula(
        "W'",
        "W' = W·(1 − <learning_rate>·<weight_decay>)",
        r"W' = W (1 - <learning_rate> \cdot <weight_decay>)",
        _decayed,
        says="Every weight shrinks a little, whatever its gradient; biases and norms do not.",
    ),
    "moved": Formula(
        "W_new",
        "W_new = W' − <learning_rate>·m̂ / (√v̂ + <eps>)",
        r"W_{\text{new}} = W' - <learning_rate> \frac{\hat m}{\sqrt{\hat v} + <eps>}",
        _moved,
        says="Each number goes against its gradient, by about the learning rate where the gradient is steady.",
    ),
}
