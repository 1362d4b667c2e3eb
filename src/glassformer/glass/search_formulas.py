"""The formulas of a search that reads its candidates before it chooses one: contrastive search, Su et al. 2022."""

import numpy as np

from glassformer.glass.formula import Array, Formula

LEAST = 1e-12  # the shortest length that a row is divided by, as torch's normalize has it


def _directions(rows: Array) -> Array:
    found: Array = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), LEAST)
    return found


def likeness(rows: Array, written: Array) -> Array:
    """The cosine of each row (A C) with each that was written (P C): A P."""
    return _directions(rows) @ _directions(written).T


def _likeness(output: Array, written: Array) -> Array:
    return likeness(output[:, -1], written)


def _degeneration(found: Array) -> Array:
    most: Array = found.max(axis=-1)
    return most


def contrastive_score(confidence: Array, penalty: Array, *, alpha: float) -> Array:
    """What speaks for a candidate, less its likeness to what was written; nothing for one that is forbidden."""
    allowed: Array = np.isfinite(confidence)
    found: Array = (1.0 - alpha) * np.where(allowed, confidence, 0.0) - alpha * penalty
    return np.where(allowed, found, -np.inf)


SEARCHES: dict[str, Formula] = {
    "likeness": Formula(
        "c",
        "c = cos(X, W)",
        r"c_{vj} = \cos(X_v, W_j)",
        _likeness,
        says="How like each candidate's last row is to the row of every token before it: the cosine between them.",
    ),
    "degeneration_penalty": Formula(
        "d",
        "d = max(c)",
        r"d_v = \max_j c_{vj}",
        _degeneration,
        says="A candidate is as repetitive as it is like the likest of what was written.",
    ),
    "contrastive_score": Formula(
        "s",
        "s = (1 − <alpha>)·y − <alpha>·d",
        r"s_v = (1 - <alpha>)\, y_v - <alpha>\, d_v",
        contrastive_score,
        says="Sure, and yet something new: the candidate with the greatest score is written.",
    ),
}
