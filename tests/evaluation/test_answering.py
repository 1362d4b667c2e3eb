"""Our figures are those of the SQuAD scripts: 1.1 as torchmetrics has it, 2.0 as it was published."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torchmetrics.functional.text import squad

from glassformer.data.examples import AnswerSpan, Question
from glassformer.errors import InputError
from glassformer.evaluation.answering import (
    accepted,
    evaluate,
    measured,
    normalized,
    overlap,
    report,
    score,
    version_of,
)
from glassformer.tasks.answering import Search, Span

GOLDEN = json.loads((Path(__file__).parent / "squad_v2.json").read_text("utf-8"))
ROWS = GOLDEN["rows"]
GIVEN = [row["prediction"] for row in ROWS]
LIKELY = [row["no_answer"] for row in ROWS]
NAMES = {
    "exact_match": "exact",
    "f1": "f1",
    "answerable_exact_match": "HasAns_exact",
    "answerable_f1": "HasAns_f1",
    "unanswerable_accuracy": "NoAns_exact",
    "best_exact_match": "best_exact",
    "best_f1": "best_f1",
}


def question(number: int, answers: Sequence[str], context: str = "") -> Question:
    """A question with these answers, wherever they stand."""
    spans = tuple(AnswerSpan(text=text, start=max(0, context.find(text))) for text in answers)
    return Question(id=str(number), question=f"What is {number}?", context=context, answers=spans)


QUESTIONS = [question(number, row["answers"]) for number, row in enumerate(ROWS)]


@pytest.mark.parametrize("threshold", [1.0, 0.5])
def test_version_2(threshold: float) -> None:
    official = GOLDEN["official"][str(threshold)]
    ours = score(GIVEN, QUESTIONS, no_answer=LIKELY, threshold=threshold, bootstrap=20)
    assert {name: each.value for name, each in ours.items()} == pytest.approx(
        {name: official[theirs] for name, theirs in NAMES.items()}
    )
    assert all(each.low <= each.high for each in ours.values())
    assert ours["f1"].signature.startswith("squad:2.0|")


def test_version_1_1() -> None:
    """torchmetrics counts answers without a word as 2.0 does; the script of 1.1 does not."""
    rows = [
        row for row in ROWS if row["answers"] and all(map(normalized, (*row["answers"], row["prediction"])))
    ]
    questions = [question(number, row["answers"]) for number, row in enumerate(rows)]
    given = [row["prediction"] for row in rows]
    assert version_of(questions) == "1.1"
    theirs = squad(
        [{"prediction_text": text, "id": str(number)} for number, text in enumerate(given)],
        [
            {
                "answers": {"answer_start": [0] * len(row["answers"]), "text": row["answers"]},
                "id": str(number),
            }
            for number, row in enumerate(rows)
        ],
    )
    ours = score(given, questions)
    assert {name: each.value for name, each in ours.items()} == pytest.approx(
        {name: float(theirs[name]) for name in ("exact_match", "f1")}, rel=1e-6
    )
    assert ours["f1"].signature.startswith("squad:1.1|")


def test_the_two_versions_differ_over_answers_without_a_word() -> None:
    assert normalized("The U.S.  an' a") == "us"
    assert (overlap("the", "a", "1.1"), overlap("the", "a", "2.0")) == (0.0, 1.0)
    assert accepted(question(1, ["the", "cat"]), "2.0") == ["cat"]
    assert accepted(question(1, ["the"]), "2.0") == [""]
    assert accepted(question(1, ["the"]), "1.1") == ["the"]


CONTEXT = "Anna lives in Paris and works in Rome."


class Scripted:
    """A task whose answers are planned, with how much likelier it is that there is none."""

    def __init__(self, answers: Sequence[tuple[str, float]], **search: Any) -> None:
        self.answers, self.search = answers, Search(**search)
        self.no_answer = self.search.no_answer

    def answer(self, model: Any, texts: Sequence[tuple[str, str]], *, no_answer: bool) -> list[Span]:
        assert not no_answer
        found = []
        for asked, context in texts:
            text, margin = self.answers[int(asked.removeprefix("What is ").removesuffix("?"))]
            start = context.find(text)
            end = start + len(text)
            found.append(Span(text=text, start=start, end=end, probability=0.5, margin=margin))
        return found


def test_a_task_that_may_say_that_there_is_no_answer() -> None:
    questions = [question(0, ["Paris"], CONTEXT), question(1, [], CONTEXT), question(2, ["in Rome"], CONTEXT)]
    answers = [("Paris", -2.0), ("Anna", 3.0), ("Rome", 1.0)]
    task: Any = Scripted(answers, no_answer=True, threshold=0.0)
    ours = evaluate(task, None, questions)  # type: ignore[arg-type]
    assert ours["exact_match"] == pytest.approx(100 * 2 / 3)  # Paris, and none for Anna; Rome is kept back
    assert ours["unanswerable_accuracy"] == 100
    assert ours["best_f1"] == pytest.approx(100 * (2 + 2 / 3) / 3)
    assert ours["best_threshold"] == 1.0
    never: Any = Scripted(answers)
    assert evaluate(never, None, questions)["unanswerable_accuracy"] == 0  # type: ignore[arg-type]
    found = report(task, None, questions, bootstrap=10)  # type: ignore[arg-type]
    assert found.settings["best threshold here"] == 1.0
    (case,) = found.worst
    assert case.number == 3
    parts = {part.name: part for part in case.parts}
    assert parts["given"].text == "(no answer)"
    assert [(CONTEXT[m.start : m.end], m.kind) for m in parts["context"].marks] == [("in Rome", "missed")]


def test_where_every_question_has_an_answer_nothing_is_tried() -> None:
    questions = [question(0, ["Paris"], CONTEXT), question(1, ["Rome"], CONTEXT)]
    task: Any = Scripted([("Paris", 5.0), ("Anna", 5.0)])
    assert evaluate(task, None, questions) == {"exact_match": 50, "f1": 50}  # type: ignore[arg-type]
    silent: Any = Scripted([("Paris", 5.0), ("Anna", 5.0)], no_answer=True)
    assert evaluate(silent, None, questions) == {"exact_match": 0, "f1": 0}  # type: ignore[arg-type]


def test_best_is_to_answer_nothing_where_nothing_has_an_answer() -> None:
    questions = [question(number, []) for number in range(3)]
    found = measured(["a b", "c", "d"], questions, no_answer=[-3.0, -2.0, -1.0]).values()
    assert found["best_f1"] == 100
    assert found["f1"] == 0
    assert measured(["x"], questions[:1], no_answer=[0.2], threshold=math.inf).values()["f1"] == 0


def test_answers_and_questions_come_in_twos() -> None:
    with pytest.raises(InputError, match="1 answers came with 2 questions"):
        score(["a"], [question(0, []), question(1, [])])
