"""Question answering: how much of the right answer was found, as the SQuAD scripts 1.1 and 2.0 count it.

Rajpurkar et al. 2016 and 2018. Version 2.0 is for sets with questions that have no answer; it differs in small ways
even where there is one.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glassformer.data.examples import Question
from glassformer.errors import InputError
from glassformer.evaluation.bootstrap import SEED, Array, Measured, Sums, share
from glassformer.evaluation.report import (
    Case,
    Mark,
    Part,
    Report,
    Told,
    apart,
    asked,
    by_length,
    by_name,
    grouped,
    worst_of,
)
from glassformer.evaluation.score import Score, signature
from glassformer.model import Transformer
from glassformer.tasks.answering import Answering, Span

Version = Literal["1.1", "2.0"]

FIGURES = ("exact_match", "f1")
BY_KIND = ("answerable_exact_match", "answerable_f1", "unanswerable_accuracy")
AT_BEST = ("best_exact_match", "best_f1")
ARTICLES = re.compile(r"\b(a|an|the)\b")
NONE = "(no answer)"
ASKING = frozenset({"what", "who", "whom", "whose", "which", "when", "where", "why", "how"})
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(text: str) -> str:
    """Lower case without punctuation, articles and surplus space."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def overlap(given: str, right: str, version: Version = "2.0") -> float:
    """F1 of the words of two answers; in 2.0 two empty ones are the same."""
    found, wanted = normalized(given).split(), normalized(right).split()
    if version == "2.0" and not (found and wanted):
        return float(found == wanted)
    same = sum((Counter(found) & Counter(wanted)).values())
    if not same:
        return 0.0
    precision, recall = same / len(found), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def accepted(question: Question, version: Version) -> list[str]:
    """The answers that count as right; in 2.0 those without a word do not, and none means the empty answer."""
    answers = [answer.text for answer in question.answers]
    if version == "1.1":
        return answers
    return [answer for answer in answers if normalized(answer)] or [""]


def compared(given: str, question: Question, version: Version) -> tuple[float, float]:
    """(exact match, F1) with the answer that is most like the one given."""
    right = accepted(question, version)
    exact = any(normalized(given) == normalized(answer) for answer in right)
    return float(exact), max((overlap(given, answer, version) for answer in right), default=0.0)


def version_of(questions: Sequence[Question]) -> Version:
    """2.0 as soon as one question has no answer."""
    return "1.1" if all(question.answers for question in questions) else "2.0"


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """From which likelihood of no answer on it is best to say so, and who would be answered then."""

    value: float  # above it: no answer
    answered: NDArray[np.bool_]


def best_threshold(scores: Array, given: Sequence[str], answerable: Array, no_answer: Array) -> Threshold:
    """Every threshold tried, as the script does: from none answered to all answered."""
    gain = np.where(answerable > 0, scores, [-1.0 if text else 0.0 for text in given])
    order = np.argsort(no_answer, kind="stable")
    reached = np.concatenate([[0.0], np.cumsum(gain[order])])
    best = int(reached.argmax())
    answered = np.zeros(len(order), dtype=np.bool_)
    answered[order[:best]] = True
    lowest = min(0.0, float(np.nextafter(no_answer.min(), -np.inf)))  # below all: no question is answered
    return Threshold(value=float(no_answer[order[best - 1]]) if best else lowest, answered=answered)


def measured(
    given: Sequence[str],
    questions: Sequence[Question],
    *,
    version: Version | None = None,
    no_answer: Sequence[float] | None = None,
    threshold: float = math.inf,
) -> Measured:
    """Of the answers given to questions; "" says that there is none.

    `no_answer` is how likely it is that each question has none: above `threshold` that is said in place of the answer
    given, and there are two more figures, at the thresholds that suit this set best.
    """
    if len(given) != len(questions):
        raise InputError(f"{len(given)} answers came with {len(questions)} questions; give one for each")
    version = version or version_of(questions)
    pairs = [compared(*pair, version) for pair in zip(given, questions, strict=True)]
    exact, f1 = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    answerable = np.array([bool(question.answers) for question in questions], dtype=np.float64)
    best: dict[str, Array] = {}
    if no_answer is not None:
        likely = np.array(no_answer, dtype=np.float64)
        for name, each in (("exact", exact), ("f1", f1)):
            answered = best_threshold(each, given, answerable, likely).answered
            kept = np.where(
                answerable > 0, each, [not text for text in given]
            )  # any word is one too many there
            best[f"best_{name}"] = np.where(answered, kept, 1 - answerable)
        exact, f1 = (np.where(likely > threshold, 1 - answerable, each) for each in (exact, f1))
    statistics = {
        "examples": np.ones(len(given)),
        "exact": exact,
        "f1": f1,
        "answerable": answerable,
        "answerable_exact": exact * answerable,
        "answerable_f1": f1 * answerable,
        "unanswerable_right": exact * (1 - answerable),
        **best,
    }
    return Measured(statistics, measure)


def measure(sums: Sums) -> Sums:
    """Means over all questions, over those with an answer, and how often it was seen that there is none."""
    count, answerable = sums["examples"], sums["answerable"]
    best = {"best_exact": "best_exact_match", "best_f1": "best_f1"}
    return {
        "exact_match": share(sums["exact"], count),
        "f1": share(sums["f1"], count),
        "answerable_exact_match": share(sums["answerable_exact"], answerable),
        "answerable_f1": share(sums["answerable_f1"], answerable),
        "unanswerable_accuracy": share(sums["unanswerable_right"], count - answerable),
        **{name: share(sums[each], count) for each, name in best.items() if each in sums},
    }


def figures_of(questions: Sequence[Question], version: Version, thresholds: bool) -> tuple[str, ...]:
    """Which figures such questions have."""
    if version == "1.1":
        return FIGURES
    mixed = any(question.answers for question in questions)
    return (*FIGURES, *(BY_KIND if mixed else ()), *(AT_BEST if thresholds else ()))


def score(
    given: Sequence[str],
    questions: Sequence[Question],
    *,
    version: Version | None = None,
    no_answer: Sequence[float] | None = None,
    threshold: float = math.inf,
    bootstrap: int = 0,
    seed: int = SEED,
) -> dict[str, Score]:
    """The figures of the answers given to questions; see `measured`."""
    version = version or version_of(questions)
    found = measured(given, questions, version=version, no_answer=no_answer, threshold=threshold)
    names = figures_of(questions, version, no_answer is not None)
    return found.scores(names, signature(squad=version), bootstrap=bootstrap, seed=seed)


@dataclass(frozen=True)
class Judged:
    """A model's answers to questions: the best piece of each context, and how much likelier it is that it has none."""

    questions: Sequence[Question]
    spans: Sequence[Span]
    version: Version
    threshold: float  # of the margin; above it the model says that there is none

    @property
    def texts(self) -> list[str]:
        """The best pieces."""
        return [span.text for span in self.spans]

    @property
    def margins(self) -> list[float] | None:
        """What the thresholds are tried on; where every question has an answer there is nothing to try."""
        return None if self.version == "1.1" else [span.margin for span in self.spans]

    @property
    def figures(self) -> tuple[str, ...]:
        """What such questions are measured by."""
        return figures_of(self.questions, self.version, self.margins is not None)

    def measured(self) -> Measured:
        """As the model would answer."""
        if self.margins is not None:
            return measured(
                self.texts, self.questions, version="2.0", no_answer=self.margins, threshold=self.threshold
            )
        return measured([said(span, self.threshold) for span in self.spans], self.questions, version="1.1")


def judged(
    task: Answering, model: Transformer, questions: Sequence[Question], told: Told | None = None
) -> Judged:
    """Ask the model all questions."""
    spans = asked(
        questions,
        [len(question.question) + len(question.context) for question in questions],
        lambda lot: task.answer(model, [(each.question, each.context) for each in lot], no_answer=False),
        told,
    )
    threshold = task.search.threshold if task.no_answer else math.inf
    return Judged(questions, spans, version_of(questions), threshold)


def said(span: Span, threshold: float) -> str:
    """The answer, or "" where none is likelier."""
    return "" if span.margin > threshold else span.text


def evaluate(
    task: Answering, model: Transformer, questions: Sequence[Question], *, told: Told | None = None
) -> dict[str, float]:
    """{"exact_match": ..., "f1": ..., ...}: by these a training chooses its best weights.

    Where some questions have no answer, `best_f1` is the figure at the threshold that suits them best, and
    `best_threshold` that threshold.
    """
    found = judged(task, model, questions, told)
    values = found.measured().values()
    chosen = {name: values[name] for name in found.figures}
    return chosen if found.margins is None else {**chosen, "best_threshold": threshold_of(found)}


def threshold_of(found: Judged) -> float:
    """Above which margin it is best to say that there is no answer, by F1."""
    statistics = measured(found.texts, found.questions, version="2.0").statistics
    margins = np.array([span.margin for span in found.spans])
    return best_threshold(statistics["f1"], found.texts, statistics["answerable"], margins).value


def report(
    task: Answering,
    model: Transformer,
    questions: Sequence[Question],
    *,
    bootstrap: int = 0,
    seed: int = SEED,
    told: Told | None = None,
) -> Report:
    """Everything that can be said about a model's answers."""
    found = judged(task, model, questions, told)
    counted = found.measured()
    figures = ("exact_match", "f1")
    lengths = by_length([len(question.context.split()) for question in questions])
    kinds = by_name([first_word(question.question) for question in questions])
    search = task.search
    return Report(
        task="answering",
        scores=counted.scores(found.figures, signature(squad=found.version), bootstrap=bootstrap, seed=seed),
        counts={"questions": len(questions), "without answer": sum(not each.answers for each in questions)},
        settings={
            "window": search.window,
            "stride": search.stride,
            "longest answer": search.longest,
            "may say no answer": search.no_answer,
            **({"threshold": search.threshold} if search.no_answer else {}),
            **({} if found.margins is None else {"best threshold here": threshold_of(found)}),
        },
        groupings=(
            grouped("first word of the question", *kinds, counted, figures),
            grouped("words of the context", *lengths, counted, figures),
        ),
        worst=tuple(
            case(found, number, float(counted.statistics["f1"][number]))
            for number in worst_of(1 - counted.statistics["f1"], [span.probability for span in found.spans])
        ),
        given=tuple(said(span, found.threshold) for span in found.spans),
    )


def first_word(question: str) -> str:
    """What kind of question it is, for most."""
    words = normalized(question).split()
    return words[0] if words and words[0] in ASKING else "other"


def case(found: Judged, number: int, f1: float) -> Case:
    """A question, the right answers, the one given, and where they stand."""
    question, span = found.questions[number], found.spans[number]
    given = said(span, found.threshold)
    marks = [Mark(start=span.start, end=span.end, name="given", kind="wrong")] if given else []
    for answer in question.answers:
        end = answer.start + len(answer.text)
        marks.append(Mark(start=answer.start, end=end, name="wanted", kind="missed"))
    right = " · ".join(dict.fromkeys(answer.text for answer in question.answers)) or NONE
    return Case(
        number=number + 1,
        figures={"f1": 100 * f1, "probability": span.probability},
        parts=(
            Part(name="question", text=question.question),
            Part(name="wanted", text=right),
            Part(name="given", text=given or NONE),
            Part(name="context", text=question.context, marks=apart(marks)),
        ),
    )
