"""Classification: how often the label is right, for which labels, and whether the probabilities mean what they say.

Shares are in percent. The figures are those of scikit-learn and torchmetrics, which the tests call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glassformer.data.examples import LabelledText
from glassformer.errors import InputError
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
from glassformer.evaluation.report import (
    Bin,
    Case,
    Confusion,
    Part,
    Report,
    Told,
    asked,
    by_length,
    cut_note,
    grouped,
    labelled,
    worst_of,
)
from glassformer.evaluation.score import Score, signature
from glassformer.model import Transformer
from glassformer.tasks.classification import THRESHOLD, Classification, Values
from glassformer.tasks.reading import encodings_of
from glassformer.tasks.task import Text

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
    given = (probabilities > THRESHOLD).astype(np.float64)
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
    labels = tuple(probabilities[0]) if probabilities else ()
    numbers = [numbered([label], labels)[0] for label in wanted]
    measured = single(np.array(numbers, dtype=np.int64), table(probabilities, labels))
    return measured.scores(SINGLE, signed(labels), bootstrap=bootstrap, seed=seed)


def signed(labels: Sequence[str]) -> str:
    """What the figures depend on beside the examples."""
    return signature(labels=len(labels), bins=BINS)


def table(probabilities: Sequence[Mapping[str, float]], labels: Sequence[str]) -> Array:
    """N K: the same numbers in the labels' order."""
    rows = [[row[label] for label in labels] for row in probabilities]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(labels))


def numbered(wanted: Sequence[str], labels: Sequence[str]) -> list[int]:
    """The numbers of a text's labels; one that the model has never heard of is refused."""
    for label in wanted:
        if label not in labels:
            name = "say what the numbers mean (--labels NAME,NAME)" if label.isdecimal() else "rename them"
            raise InputError(
                f"the data has the label {label!r}, but the model knows {', '.join(labels)}; "
                f"{name}, or use a model that was trained on such labels"
            )
    return [labels.index(label) for label in wanted]


@dataclass(frozen=True)
class Judged:
    """A model's answers beside the right ones."""

    examples: Sequence[LabelledText]
    labels: tuple[str, ...]
    wanted: Array  # N K of 0 and 1
    probabilities: Array  # N K
    measured: Measured
    multiple: bool

    @property
    def figures(self) -> tuple[str, ...]:
        """What such labels are measured by."""
        return MULTIPLE if self.multiple else SINGLE


def judged(
    task: Classification, model: Transformer, examples: Sequence[LabelledText], told: Told | None = None
) -> Judged:
    """Ask the model for the labels of all texts; the end of a text that is longer than the model is not read."""
    if task.kind == "number":
        raise InputError("this model says numbers, not labels; evaluate one that was trained on labels")
    labels, multiple = task.labels, task.kind == "any"
    wanted = np.zeros((len(examples), len(labels)))
    for number, example in enumerate(examples):
        if not multiple and len(example.labels) != 1:
            raise InputError(
                f"example {number + 1} has {len(example.labels)} labels, but the model gives each text one; "
                "leave out such examples, or use a model that gives any number"
            )
        wanted[number, numbered(example.labels, labels)] = 1
    answers = asked(
        examples,
        [len(example.text) + len(example.pair or "") for example in examples],
        lambda lot: task.answer(model, [text_of(example) for example in lot], truncate=True),
        told,
    )
    found = [answer.probabilities for answer in answers if not isinstance(answer, Values)]
    probabilities = table(found, labels)
    measured = multiple_or_single(wanted, probabilities, multiple)
    return Judged(examples, labels, wanted, probabilities, measured, multiple)


def multiple_or_single(wanted: Array, probabilities: Array, several: bool) -> Measured:
    """As the texts have any number of labels or one."""
    return multiple(wanted, probabilities) if several else single(wanted.argmax(-1), probabilities)


def text_of(example: LabelledText) -> Text:
    """A text, or two that are judged together."""
    return example.text if example.pair is None else (example.text, example.pair)


def evaluate(
    task: Classification, model: Transformer, examples: Sequence[LabelledText], *, told: Told | None = None
) -> dict[str, float]:
    """{"accuracy": ..., "macro_f1": ..., ...}: by these a training chooses its best weights."""
    found = judged(task, model, examples, told)
    values = found.measured.values()
    return {name: values[name] for name in found.figures}


def report(
    task: Classification,
    model: Transformer,
    examples: Sequence[LabelledText],
    *,
    bootstrap: int = 0,
    seed: int = SEED,
    told: Told | None = None,
) -> Report:
    """Everything that can be said about a model's labels."""
    found = judged(task, model, examples, told)
    measured, labels = found.measured, found.labels
    resampled = measured.resampled(bootstrap, seed)
    names, numbers = by_length([len(f"{example.text} {example.pair or ''}".split()) for example in examples])
    by_text = ("micro_f1", "macro_f1", "nll") if found.multiple else ("accuracy", "macro_f1", "nll")
    one = (
        None
        if found.multiple
        else confusion(found.wanted.argmax(-1), found.probabilities.argmax(-1), len(labels))
    )
    return Report(
        task="classification",
        scores=measured.scores(
            found.figures, signed(labels), bootstrap=bootstrap, seed=seed, resampled=resampled
        ),
        counts={"texts": len(examples)},
        notes=cut_note(
            [len(each) for each in encodings_of(task.tokenizer, [text_of(example) for example in examples])],
            model.config.limit,
        ),
        groupings=(
            labelled("label", labels, measured, resampled),
            grouped("words of the text", names, numbers, measured, by_text),
        ),
        confusion=None if one is None else Confusion(labels=labels, counts=tuple(map(tuple, one.tolist()))),
        calibration=bins(measured),
        worst=tuple(case(found, number) for number in worst_of(costs(found))),
        given=decided(found),
    )


def decided(found: Judged) -> tuple[tuple[int, ...], ...]:
    """The number of each text's label, or of all that it has."""
    if not found.multiple:
        return tuple((int(label),) for label in found.probabilities.argmax(-1))
    return tuple(tuple(np.flatnonzero(row > THRESHOLD).tolist()) for row in found.probabilities)


def costs(found: Judged) -> Array:
    """-log p of each text's labels, of those alone where not all is right."""
    right = found.measured.statistics["right"]
    return np.where(right > 0, 0.0, found.measured.statistics["nll"])


def case(found: Judged, number: int) -> Case:
    """A text, its labels, and what the model said."""
    example, row = found.examples[number], found.probabilities[number]
    given = np.flatnonzero(row > THRESHOLD) if found.multiple else [row.argmax()]
    said = ", ".join(f"{found.labels[label]} ({row[label]:.1%})" for label in given) or "no label"
    wanted = (
        ", ".join(f"{label} ({row[found.labels.index(label)]:.1%})" for label in example.labels) or "no label"
    )
    texts = {"text": example.text, "second text": example.pair, "wanted": wanted, "given": said}
    return Case(
        number=number + 1,
        figures={"nll": float(found.measured.statistics["nll"][number])},
        parts=tuple(Part(name=name, text=text) for name, text in texts.items() if text is not None),
    )
