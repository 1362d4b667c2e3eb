"""What a precision costs on the task: the evaluation's own figures, twice, and how many answers stay."""

from typing import Any

import pytest
import torch

from glassformer.data.examples import AnswerSpan, LabelledText, Pair, Question, TaggedSentence
from glassformer.engine.prepare import prepare, unprepare
from glassformer.errors import InputError
from glassformer.evaluation.by_task import Options, report_of
from glassformer.evaluation.precision import cost
from glassformer.native.library import native

from ..inspection.models import TEXTS, model_of

SENTENCES = TEXTS[:3]
EXAMPLES: dict[str, list[Any]] = {
    "rewriting": [Pair(one, other) for one, other in zip(SENTENCES, SENTENCES[::-1], strict=True)],
    "classification": [LabelledText(text=text, labels=(f"label-{n}",)) for n, text in enumerate(SENTENCES)],
    "tagging": [
        TaggedSentence(words=tuple(words), tags=("B-PER", *["O"] * (len(words) - 1)))
        for words in map(str.split, SENTENCES)
    ],
    "answering": [
        Question(id=str(n), question="what sat", context=t, answers=(AnswerSpan(text=t[:5], start=0),))
        for n, t in enumerate(SENTENCES)
    ],
    "generation": list(SENTENCES),
    "filling": list(SENTENCES),
}  # fmt: skip


@pytest.mark.parametrize("kind", EXAMPLES)
def test_both_reports_are_the_evaluations_own(kind: str) -> None:
    model = model_of(kind, dtype="float32")
    examples, options = EXAMPLES[kind], Options(bootstrap=50)
    found = cost(model.task, model.transformer, examples, "bfloat16", options)
    assert model.transformer.twin is None
    for precision, own in (("float32", found.before), ("bfloat16", found.after)):
        prepare(model.transformer, precision)
        again = report_of(model.task, model.transformer, examples, options)
        assert again.scores == own.scores
        assert again.given == own.given
    unprepare(model.transformer)
    same = sum(one == other for one, other in zip(found.before.given, found.after.given, strict=True))
    assert found.equal == pytest.approx(100 * same / len(found.before.given))
    for name, score in found.before.scores.items():
        assert found.change(name) == found.after.scores[name].value - score.value
        assert found.as_dict()["scores"][name]["before"]["low"] == score.low
        assert score.name in str(found)


def test_answers_at_the_same_precision_are_all_equal() -> None:
    model = model_of("classification", dtype="float32")
    found = cost(model.task, model.transformer, EXAMPLES["classification"], "float32", Options(bootstrap=0))
    assert found.equal == 100.0
    assert all(found.change(name) == 0 for name in found.before.scores)


@pytest.mark.skipif(native() is None, reason="the native engine is not built, or this processor is of another kind")
def test_tokens_foretold_change_at_four_bits() -> None:
    model = model_of("generation", dtype="float32")
    with torch.no_grad():
        model.transformer.tokens.weight.mul_(0.05)  # near each other, so that rounding decides
    found = cost(model.task, model.transformer, SENTENCES * 3, "int4", Options(bootstrap=0))
    assert len(found.before.given) == found.before.counts["tokens"]
    assert found.equal < 100.0


def test_nothing_to_evaluate_on_is_refused() -> None:
    model = model_of("classification", dtype="float32")
    with pytest.raises(InputError, match="no examples to evaluate on"):
        cost(model.task, model.transformer, [], "bfloat16")


def test_a_report_for_files_holds_no_answers() -> None:
    model = model_of("classification", dtype="float32")
    report = report_of(model.task, model.transformer, EXAMPLES["classification"], Options(bootstrap=0))
    assert len(report.given) == 3
    assert "given" not in report.to_dict()
