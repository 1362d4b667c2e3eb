"""Question answering: how much of the right answer was found, as the SQuAD scripts 1.1 and 2.0 count it.

Rajpurkar et al. 2016 and 2018. Version 2.0 is for sets with questions that have no answer; it differs in small ways
even where there is one.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from glassformer.data.examples import Question
from glassformer.errors import InputError
from glassformer.evaluation.bootstrap import SEED, Array, Measured, Sums, share
from glassformer.evaluation.score import Score, signature

Version = Literal["1.1", "2.0"]

FIGURES = ("exact_match", "f1")
BY_KIND = ("answerable_exact_match", "answerable_f1", "unanswerable_accuracy")
AT_BEST = ("best_exact_match", "best_f1")
ARTICLES = re.compile(r"\b(a|an|the)\b")
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
    """Above which probability of no answer it is best to say so, and what that would give."""

    value: float
    figure: float  # in percent


def best_threshold(scores: Array, given: Sequence[str], answerable: Array, no_answer: Array) -> Threshold:
    """Every threshold tried, as the script does: from none answered to all answered."""
    gain = np.where(answerable > 0, scores, [-1.0 if text else 0.0 for text in given])
    order = np.argsort(no_answer, kind="stable")
    reached = np.concatenate([[0.0], np.cumsum(gain[order])]) + (answerable == 0).sum()
    best = int(reached.argmax())
    value = float(no_answer[order[best - 1]]) if best else 0.0
    return Threshold(value=value, figure=100 * float(reached[best]) / len(given))


def measured(
    given: Sequence[str],
    questions: Sequence[Question],
    *,
    version: Version | None = None,
    no_answer: Sequence[float] | None = None,
) -> Measured:
    """Of the answers given to questions; "" says that there is none.

    `no_answer` is how likely each question has none: then `given` is what would be answered otherwise, and there are
    two more figures, at the thresholds that suit this set best.
    """
    if len(given) != len(questions):
        raise InputError(f"{len(given)} answers came with {len(questions)} questions; give one for each")
    version = version or version_of(questions)
    exact, f1 = (
        np.array([compared(*pair, version) for pair in zip(given, questions, strict=True)]).reshape(-1, 2).T
    )
    answerable = np.array([bool(question.answers) for question in questions], dtype=np.float64)
    statistics = {
        "examples": np.ones(len(given)),
        "exact": exact,
        "f1": f1,
        "answerable": answerable,
        "answerable_exact": exact * answerable,
        "answerable_f1": f1 * answerable,
        "unanswerable_right": exact * (1 - answerable),
    }
    if no_answer is not None:
        likely = np.array(no_answer, dtype=np.float64)
        for name, each in (("exact", exact), ("f1", f1)):
            silent = likely > best_threshold(each, given, answerable, likely).value
            statistics[f"best_{name}"] = np.where(silent, 1 - answerable, each)
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
    bootstrap: int = 0,
    seed: int = SEED,
) -> dict[str, Score]:
    """The figures of the answers given to questions; see `measured`."""
    version = version or version_of(questions)
    found = measured(given, questions, version=version, no_answer=no_answer)
    names = figures_of(questions, version, no_answer is not None)
    return found.scores(names, signature(squad=version), bootstrap=bootstrap, seed=seed)
