"""Classification: how often the label is right, for which labels, and whether the probabilities mean what they say.

Shares are in percent. The figures are those of scikit-learn and torchmetrics, which the tests call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glassformer.evaluation.bootstrap import (
    SEED,
    Array,
    Measured,
    Numbers,
    Sums,
    mean_where,
    precision_recall_f1,
    share,
)
from glassformer.evaluation.score import Score, signature

BINS = 15  # Guo et al. 2017
SMALLEST = float(np.finfo(np.float32).tiny)  # a probability of 0 would cost an infinity

SINGLE = ("accuracy", "macro_f1", "matthews", "nll", "brier", "calibration_error")
MULTIPLE = ("micro_f1", "macro_f1", "subset_accuracy", "nll", "brier", "calibration_error")


def single(wanted: Numbers, probabilities: Array) -> Measured:
    """Of texts with one label each: the label's number (N), and the probability of each (N K)."""
    count, labels = probabilities.shape
    given = probabilities.argmax(-1)
    everyone, known = np.arange(count), np.eye(labels)
    right = (given == wanted).astype(np.float64)
    target = known[wanted]
    statistics = {
        "examples": np.ones(count),
        "right": right,
        "nll": -np.log(np.maximum(probabilities[everyone, wanted], SMALLEST)),
        "brier": ((probabilities - target) ** 2).sum(-1),
        "matched": target * right[:, None],
        "found": known[given],
        "wanted": target,
        **reliability(probabilities[everyone, given], right),
    }
    return Measured(statistics, measure_single)


def measure_single(sums: Sums) -> Sums:
    """Accuracy; F1 of each label and their mean; Matthews 1975 as Gorodkin 2004 has it for many labels; Brier 1950;
    the expected calibration error of Naeini et al. 2015.
    """
    count, labels = sums["examples"], per_label(sums)
    return {
        "accuracy": share(sums["right"], count),
        "macro_f1": mean_where(labels["label_f1"], sums["found"] + sums["wanted"] > 0),
        "matthews": matthews(sums["right"], count, sums["found"], sums["wanted"]),
        "nll": sums["nll"] / np.maximum(count, 1),
        "brier": sums["brier"] / np.maximum(count, 1),
        "calibration_error": calibration_error(sums),
        **labels,
    }


def multiple(wanted: Array, probabilities: Array) -> Measured:
    """Of texts with any number of labels: which they are (N K of 0 and 1), and the probability of each (N K)."""
    given = (probabilities > 0.5).astype(np.float64)
    right = np.where(wanted > 0, probabilities, 1 - probabilities)
    statistics = {
        "examples": np.ones(len(wanted)),
        "right": (given == wanted).all(-1).astype(np.float64),
        "nll": -np.log(np.maximum(right, SMALLEST)).mean(-1),
        "brier": ((probabilities - wanted) ** 2).mean(-1),
        "matched": given * wanted,
        "found": given,
        "wanted": wanted,
        **reliability(probabilities, wanted),
    }
    return Measured(statistics, measure_multiple)


def measure_multiple(sums: Sums) -> Sums:
    """F1 over all decisions together, and the mean of the labels' own; how often a whole set is right."""
    count, labels = sums["examples"], per_label(sums)
    together = precision_recall_f1(*(sums[name].sum(-1) for name in ("matched", "found", "wanted")))
    return {
        "micro_f1": together["f1"],
        "macro_f1": mean_where(labels["label_f1"], sums["found"] + sums["wanted"] > 0),
        "subset_accuracy": share(sums["right"], count),
        "nll": sums["nll"] / np.maximum(count, 1),
        "brier": sums["brier"] / np.maximum(count, 1),
        "calibration_error": calibration_error(sums),
        **labels,
    }


def per_label(sums: Sums) -> Sums:
    """Precision, recall and F1 of each label."""
    found = precision_recall_f1(sums["matched"], sums["found"], sums["wanted"])
    return {f"label_{name}": values for name, values in found.items()}


def matthews(right: Array, count: Array, found: Array, wanted: Array) -> Array:
    """Correlation of given and wanted labels, -100 to 100; 0 where one of them never changes."""
    together = right * count - (found * wanted).sum(-1)
    apart = (count**2 - (found**2).sum(-1)) * (count**2 - (wanted**2).sum(-1))
    return share(together, np.sqrt(apart))


def reliability(confidence: Array, right: Array) -> dict[str, Array]:
    """For each example and each of the bins of confidence: decisions, their confidence, how many were right.

    Both are N, or N K where an example is K decisions.
    """
    count = len(confidence)
    bins = np.clip(
        np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1
    )  # (0, 1/15], (1/15, 2/15], ...
    rows = np.broadcast_to(np.arange(count).reshape(count, *[1] * (confidence.ndim - 1)), bins.shape)
    found = {}
    for name, values in (("decisions", np.ones_like(confidence)), ("sure", confidence), ("hits", right)):
        found[f"bin_{name}"] = np.zeros((count, BINS))
        np.add.at(found[f"bin_{name}"], (rows, bins), values)
    return found


def calibration_error(sums: Sums) -> Array:
    """How far confidence and truth are apart, on average over the decisions."""
    apart = np.abs(sums["bin_sure"] - sums["bin_hits"]).sum(-1)
    return share(apart, sums["bin_decisions"].sum(-1))


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Decisions of like confidence: how many, how sure on average, how often right."""

    low: float
    high: float
    decisions: int
    confidence: float
    right: float


def bins(measured: Measured) -> tuple[Bin, ...]:
    """The reliability diagram (DeGroot and Fienberg 1983); bins without a decision are left out."""
    sums = {name: measured.statistics[f"bin_{name}"].sum(0) for name in ("decisions", "sure", "hits")}
    rows = zip(*(sums[name].tolist() for name in ("decisions", "sure", "hits")), strict=True)
    return tuple(
        Bin(
            low=place / BINS,
            high=(place + 1) / BINS,
            decisions=round(decisions),
            confidence=sure / decisions,
            right=hits / decisions,
        )
        for place, (decisions, sure, hits) in enumerate(rows)
        if decisions
    )


def confusion(wanted: Numbers, given: Numbers, labels: int) -> Numbers:
    """How many texts of each label (row) were given each label (column)."""
    cells = np.bincount(wanted * labels + given, minlength=labels * labels)
    return cells.reshape(labels, labels).astype(np.int64)


def score(
    wanted: Sequence[str],
    probabilities: Sequence[Mapping[str, float]],
    *,
    bootstrap: int = 0,
    seed: int = SEED,
) -> dict[str, Score]:
    """The figures of texts with one label each; each text's probabilities are by label."""
    labels = list(probabilities[0]) if probabilities else []
    numbers = {label: number for number, label in enumerate(labels)}
    measured = single(
        np.array([numbers[label] for label in wanted]),
        np.array([[row[label] for label in labels] for row in probabilities]),
    )
    return measured.scores(SINGLE, signature(labels=len(labels), bins=BINS), bootstrap=bootstrap, seed=seed)
