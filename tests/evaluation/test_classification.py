"""Our figures are scikit-learn's and torchmetrics'."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torchmetrics.classification import BinaryCalibrationError, MulticlassCalibrationError

from glassformer.data.examples import LabelledText
from glassformer.errors import InputError
from glassformer.evaluation.classification import (
    BINS,
    bins,
    confusion,
    evaluate,
    multiple,
    report,
    score,
    single,
)
from glassformer.tasks.classification import Label, Labels

COUNT, LABELS = 400, 4
RANDOM = np.random.default_rng(0)
PROBABILITIES = RANDOM.dirichlet(np.full(LABELS, 0.5), COUNT)
WANTED = np.array([RANDOM.choice(LABELS, p=0.6 * row + 0.4 / LABELS) for row in PROBABILITIES])
GIVEN = PROBABILITIES.argmax(-1)
SETS = (RANDOM.random((COUNT, LABELS)) < 0.3).astype(np.float64)
EACH = np.clip(SETS * 0.3 + RANDOM.random((COUNT, LABELS)) * 0.7, 0, 1)
NAMES = ("bad", "dull", "fine", "good")


def test_one_label() -> None:
    ours = single(WANTED, PROBABILITIES).figures()
    theirs = {
        "accuracy": 100 * metrics.accuracy_score(WANTED, GIVEN),
        "macro_f1": 100 * metrics.f1_score(WANTED, GIVEN, average="macro"),
        "matthews": 100 * metrics.matthews_corrcoef(WANTED, GIVEN),
        "nll": metrics.log_loss(WANTED, PROBABILITIES),
        "brier": metrics.brier_score_loss(WANTED, PROBABILITIES, scale_by_half=False),
    }
    assert {name: float(ours[name]) for name in theirs} == pytest.approx(theirs, rel=1e-9)
    assert ours["calibration_error"] == pytest.approx(100 * float(calibration()), rel=1e-6)  # float32 there
    by_label = metrics.precision_recall_fscore_support(WANTED, GIVEN)
    for name, expected in zip(("precision", "recall", "f1"), by_label, strict=False):
        assert ours[f"label_{name}"] == pytest.approx(100 * expected)
    assert (confusion(WANTED, GIVEN, LABELS) == metrics.confusion_matrix(WANTED, GIVEN)).all()


def calibration() -> torch.Tensor:
    metric = MulticlassCalibrationError(num_classes=LABELS, n_bins=BINS, norm="l1").set_dtype(torch.float64)
    return metric(torch.tensor(PROBABILITIES), torch.tensor(WANTED))


def test_a_label_that_never_occurs_counts_for_nothing() -> None:
    wanted, probabilities = np.array([0, 1, 0]), np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.4, 0.6, 0.0]])
    ours, given = single(wanted, probabilities).figures(), probabilities.argmax(-1)
    assert ours["macro_f1"] == pytest.approx(100 * metrics.f1_score(wanted, given, average="macro"))
    assert single(np.array([0, 0]), probabilities[:2]).figures()["matthews"] == 0  # sklearn says 0 as well


def test_any_number_of_labels() -> None:
    ours, given = multiple(SETS, EACH).figures(), EACH > 0.5
    binary = BinaryCalibrationError(n_bins=BINS, norm="l1").set_dtype(torch.float64)
    theirs = {
        "micro_f1": 100 * metrics.f1_score(SETS, given, average="micro"),
        "macro_f1": 100 * metrics.f1_score(SETS, given, average="macro"),
        "subset_accuracy": 100 * metrics.accuracy_score(SETS, given),
        "brier": metrics.mean_squared_error(SETS, EACH),
        "nll": metrics.log_loss(SETS.ravel(), EACH.ravel()),
    }
    assert {name: float(ours[name]) for name in theirs} == pytest.approx(theirs, rel=1e-9)
    # torchmetrics looks at the label's own probability only, as we do
    error = 100 * float(binary(torch.tensor(EACH.ravel()), torch.tensor(SETS.ravel()).long()))
    assert ours["calibration_error"] == pytest.approx(error, rel=1e-6)
    by_label = metrics.precision_recall_fscore_support(SETS, given)
    assert ours["label_recall"] == pytest.approx(100 * by_label[1])


def test_reliability_counts_every_decision_once() -> None:
    measured = single(WANTED, PROBABILITIES)
    found, confidence = bins(measured), PROBABILITIES.max(-1)
    assert sum(each.decisions for each in found) == COUNT
    for each in found:
        inside = (confidence > each.low) & (confidence <= each.high)
        assert each.decisions == inside.sum()
        assert each.confidence == pytest.approx(confidence[inside].mean())
        assert each.right == pytest.approx((GIVEN == WANTED)[inside].mean())
    apart = sum(each.decisions * abs(each.confidence - each.right) for each in found) / COUNT
    assert measured.figures()["calibration_error"] == pytest.approx(100 * apart)


def test_a_certain_mistake_costs_no_infinity() -> None:
    found = single(np.array([1]), np.array([[1.0, 0.0]])).figures()
    assert np.isfinite(found["nll"])
    assert found["nll"] > 80


class Scripted:
    """A task whose answers are planned."""

    def __init__(self, rows: np.ndarray, kind: str = "one") -> None:
        self.labels, self.kind, self.rows = NAMES, kind, rows
        self.tokenizer = SimpleNamespace(
            encode_batch=lambda texts, pairs=None: [[0] * len(text.split()) for text in texts]
        )

    def answer(self, model: Any, texts: Sequence[Any], *, truncate: bool) -> list[Any]:
        assert truncate
        found = []
        for text in texts:
            row = self.rows[int((text if isinstance(text, str) else text[0]).split()[0])]
            named = dict(zip(NAMES, row.tolist(), strict=True))
            best = max(named, key=named.__getitem__)
            above = tuple(name for name in NAMES if named[name] > 0.5)
            found.append(
                Label(label=best, probability=named[best], probabilities=named)
                if self.kind == "one"
                else Labels(labels=above, probabilities=named)
            )
        return found


MODEL: Any = SimpleNamespace(config=SimpleNamespace(limit=9))
EXAMPLES = [
    LabelledText(text=f"{number} " + "word " * (number % 12), labels=(NAMES[label],))
    for number, label in enumerate(WANTED.tolist())
]


def test_a_task_is_asked_and_its_answers_put_back_in_order() -> None:
    told: list[int] = []
    ours = evaluate(Scripted(PROBABILITIES), MODEL, EXAMPLES, told=told.append)  # type: ignore[arg-type]
    expected = single(WANTED, PROBABILITIES).values()
    assert ours == {name: expected[name] for name in ours}
    assert list(ours) == ["accuracy", "macro_f1", "matthews", "nll", "brier", "calibration_error"]
    assert sum(told) == COUNT
    scores = score(
        [each.labels[0] for each in EXAMPLES], [dict(zip(NAMES, row, strict=True)) for row in PROBABILITIES]
    )
    assert {name: each.value for name, each in scores.items()} == ours


def test_sets_of_labels_are_asked_for() -> None:
    examples = [
        LabelledText(text=f"{number} a", pair="b", labels=tuple(np.array(NAMES)[row > 0]))
        for number, row in enumerate(SETS)
    ]
    ours = evaluate(Scripted(EACH, "any"), MODEL, examples)  # type: ignore[arg-type]
    expected = multiple(SETS, EACH).values()
    assert ours == {name: expected[name] for name in ours}
    assert "subset_accuracy" in ours


def test_a_report_holds_it_all() -> None:
    found = report(Scripted(PROBABILITIES), MODEL, EXAMPLES, bootstrap=50)  # type: ignore[arg-type]
    assert found.scores["accuracy"].low < found.scores["accuracy"].value < found.scores["accuracy"].high
    assert found.scores["accuracy"].signature.endswith("|bs:50|seed:12345")
    assert found.confusion is not None
    assert found.confusion.counts == tuple(map(tuple, confusion(WANTED, GIVEN, LABELS).tolist()))
    labels, lengths = found.groupings
    assert [group.name for group in labels.groups] == list(NAMES)
    assert [group.examples for group in labels.groups] == np.bincount(WANTED).tolist()
    low, high = labels.groups[0].intervals["f1"]
    assert low <= labels.groups[0].figures["f1"] <= high
    assert [group.name for group in lengths.groups] == ["1 to 4", "5 to 8", "9 to 16"]
    assert sum(group.examples for group in lengths.groups) == COUNT
    costs = -np.log(PROBABILITIES[np.arange(COUNT), WANTED]) * (GIVEN != WANTED)
    assert [case.number - 1 for case in found.worst] == np.argsort(-costs, kind="stable")[:20].tolist()
    longer = sum(len(each.text.split()) > 9 for each in EXAMPLES)
    assert found.notes[0].startswith(f"{longer} texts are longer than the 9 tokens")


@pytest.mark.parametrize(
    ("example", "kind", "said"),
    [
        (LabelledText(text="0", labels=("odd",)), "one", "the label 'odd', but the model knows bad, dull"),
        (LabelledText(text="0", labels=("1",)), "one", "--labels"),
        (LabelledText(text="0", labels=("bad", "good")), "one", "example 1 has 2 labels"),
        (LabelledText(text="0", labels=("bad",)), "number", "numbers, not labels"),
    ],
)
def test_what_cannot_be_compared_is_refused(example: LabelledText, kind: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        evaluate(Scripted(PROBABILITIES, kind), MODEL, [example])  # type: ignore[arg-type]
