"""The formulas of a loss: how far a model's probabilities are from the answer that is wanted.

`y` are probabilities, `L` logits, a label is the number of what is wanted; where none is wanted stands `ignored`.
"""


import numpy as np

from glassformer.glass.formula import Array, Formula


def log_softmax(x: Array, axis: int = -1) -> Array:
    """The logarithm of softmax, shifted by the maximum so that nothing overflows."""
    shifted: Array = x - x.max(axis=axis, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return found


def _span_log_probabilities(logits: Array, mask: Array | None = None) -> Array:
    hidden = logits if mask is None else np.where(mask.astype(bool)[..., None], logits, -np.inf)
    return log_softmax(hidden, axis=1)


def _wanted(log_probabilities: Array, labels: Array, ignored: int) -> tuple[Array, Array]:
    """ln y of each label, and which labels count."""
    counted: Array = labels != ignored
    places = np.where(counted, labels, 0)[..., None]
    picked: Array = np.take_along_axis(log_probabilities, places, axis=-1)[..., 0]
    return picked, counted


def _cross_entropy(log_probabilities: Array, labels: Array, *, ignored: int) -> Array:
    picked, counted = _wanted(log_probabilities, labels, ignored)
    return np.where(counted, -picked, 0.0)


def _smoothed_cross_entropy(
    log_probabilities: Array, labels: Array, *, ignored: int, smoothing: float
) -> Array:
    picked, counted = _wanted(log_probabilities, labels, ignored)
    spread = log_probabilities.mean(axis=-1)
    return np.where(counted, -(1.0 - smoothing) * picked - smoothing * spread, 0.0)


def _weighted_cross_entropy(
    log_probabilities: Array, labels: Array, weights: Array, *, ignored: int, smoothing: float = 0.0
) -> Array:
    _, counted = _wanted(log_probabilities, labels, ignored)
    weighed = log_probabilities * weights
    picked, _ = _wanted(weighed, labels, ignored)
    return np.where(counted, -(1.0 - smoothing) * picked - smoothing * weighed.mean(axis=-1), 0.0)


def _span_cross_entropy(log_probabilities: Array, labels: Array) -> Array:
    picked: Array = np.take_along_axis(log_probabilities, labels[:, None, :], axis=1)[:, 0]
    return -picked


def _binary_cross_entropy(logits: Array, labels: Array) -> Array:
    found: Array = np.logaddexp(0.0, logits) - labels * logits
    return found


def _squared_error(logits: Array, labels: Array) -> Array:
    found: Array = (logits - labels) ** 2
    return found


def _total(each: Array) -> Array:
    return np.asarray(each.sum())


def _both(first: Array, second: Array) -> Array:
    return first + second


def _mean(total: Array, *, count: int) -> Array:
    return np.asarray(total / count)


LOSS_FORMULAS: dict[str, Formula] = {
    "log_probabilities": Formula(
        "ln y",
        "ln y = L − ln Σ exp(L)",
        r"\ln y = L - \ln \textstyle\sum_j e^{L_j}",
        log_softmax,
        says="The logarithm of each probability, straight from the scores so that no digit is lost.",
    ),
    "span_log_probabilities": Formula(
        "ln y",
        "ln y = L − ln Σ exp(L), over positions",
        r"\ln y_t = L_t - \ln \textstyle\sum_s e^{L_s}",
        _span_log_probabilities,
        says="How likely the answer is to start, and to end, at each real position, as logarithms.",
    ),
    "cross_entropy": Formula(
        "ℓ",
        "ℓ = −ln y[label], 0 where none is wanted",
        r"\ell = -\ln y_{\text{label}}",
        _cross_entropy,
        says="The surprise at what is wanted: nothing where it was certain, much where it was unlikely.",
    ),
    "smoothed_cross_entropy": Formula(
        "ℓ",
        "ℓ = −(1 − <smoothing>)·ln y[label] − <smoothing>·mean(ln y), 0 where none is wanted",
        r"\ell = -(1 - <smoothing>) \ln y_{\text{label}} - <smoothing>\, \overline{\ln y}",
        _smoothed_cross_entropy,
        says="The surprise at what is wanted, and a little at everything, so that no answer is held for certain.",
    ),
    "weighted_cross_entropy": Formula(
        "ℓ",
        "ℓ = −w[label]·ln y[label], 0 where none is wanted",
        r"\ell = -w_{\text{label}} \ln y_{\text{label}}",
        _weighted_cross_entropy,
        says="The surprise at what is wanted, more where that label is rare and so weighs more.",
    ),
    "weighted_smoothed_cross_entropy": Formula(
        "ℓ",
        "ℓ = −(1 − <smoothing>)·w[label]·ln y[label] − <smoothing>·mean(w ⊙ ln y), 0 where none is wanted",
        r"\ell = -(1 - <smoothing>)\, w_{\text{label}} \ln y_{\text{label}} - <smoothing>\, \overline{w \odot \ln y}",
        _weighted_cross_entropy,
        says="The same, and a little at everything, each label by its weight.",
    ),
    "span_cross_entropy": Formula(
        "ℓ",
        "ℓ = −ln y[position of the label]",
        r"\ell = -\ln y_{\text{position}}",
        _span_cross_entropy,
        says="The surprise at where the answer starts, and at where it ends.",
    ),
    "binary_cross_entropy": Formula(
        "ℓ",
        "ℓ = ln(1 + exp(L)) − label·L",
        r"\ell = \ln(1 + e^{L}) - \mathrm{label} \cdot L",
        _binary_cross_entropy,
        says="The surprise at each label by itself, whose probability is sigmoid(L): that it holds, or does not.",
    ),
    "squared_error": Formula(
        "ℓ",
        "ℓ = (L − label)²",
        r"\ell = (L - \mathrm{label})^2",
        _squared_error,
        says="How far a number is from the one that is wanted, squared.",
    ),
    "total": Formula(
        "Λ", "Λ = Σ ℓ", r"\Lambda = \textstyle\sum \ell", _total, says="The losses of all labels together."
    ),
    "mean_loss": Formula(
        "loss",
        "loss = Λ / <count>",
        r"\mathrm{loss} = \frac{\Lambda}{<count>}",
        _mean,
        says="The loss of a label in the mean: what training makes smaller.",
    ),
    "both_losses": Formula(
        "loss",
        "loss = loss_1 + loss_2",
        r"\mathrm{loss} = \mathrm{loss}_1 + \mathrm{loss}_2",
        _both,
        says="Two questions at once: the loss of the hidden words, and that of which text follows which.",
    ),
}
