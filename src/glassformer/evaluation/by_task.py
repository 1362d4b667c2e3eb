"""Which examples a model is evaluated on, and by what, found from its task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glassformer.data.columns import KindName
from glassformer.decoding.options import Decoding
from glassformer.decoding.shortlist import Shortlist
from glassformer.errors import InputError
from glassformer.evaluation import answering, classification, language, summarization, tagging, translation
from glassformer.evaluation.report import Report, Told
from glassformer.model import Transformer
from glassformer.tasks.answering import Answering
from glassformer.tasks.classification import Classification
from glassformer.tasks.filling import Filling
from glassformer.tasks.generation import Generation
from glassformer.tasks.rewriting import Rewriting
from glassformer.tasks.summarization import Summarization
from glassformer.tasks.tagging import Tagging
from glassformer.tasks.task import Task
from glassformer.tasks.translation import Translation

KINDS: dict[type[Any], KindName] = {
    Translation: "pairs",
    Summarization: "pairs",
    Classification: "labels",
    Tagging: "tags",
    Answering: "questions",
    Generation: "texts",
    Filling: "texts",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to evaluate; what a task has no use for it leaves alone."""

    decoding: Decoding | None = None  # None: the model's own
    lowercase: bool = False
    shortlist: Shortlist | None = None
    stemming: bool = False
    window: int | None = None
    stride: int | None = None
    bootstrap: int = 1000


def kind_of(task: Task) -> KindName:
    """The form of the examples that a task is evaluated on."""
    if type(task) not in KINDS:
        raise InputError(
            "this model has no head that gives answers, so there is nothing to evaluate; fine-tune it first"
        )
    return KINDS[type(task)]


def report_of(
    task: Task,
    model: Transformer,
    examples: Sequence[Any],
    options: Options,
    told: Told | None = None,
) -> Report:
    """Everything that can be said about a model's answers to examples of its kind."""
    sure: dict[str, Any] = {"bootstrap": options.bootstrap, "told": told}
    match task:
        case Translation():
            said: dict[str, Any] = {"lowercase": options.lowercase, "shortlist": options.shortlist}
            return translation.report(task, model, examples, options.decoding, **said, **sure)
        case Summarization():
            decoding, stemming = options.decoding, options.stemming
            return summarization.report(task, model, examples, decoding, stemming=stemming, **sure)
        case Classification():
            return classification.report(task, model, examples, **sure)
        case Tagging():
            return tagging.report(task, model, examples, **sure)
        case Answering():
            return answering.report(task, model, examples, **sure)
        case Generation() | Filling():
            window, stride = options.window, options.stride
            return language.report(task, model, examples, window=window, stride=stride, **sure)
    raise TypeError(f"{type(task).__name__} has a kind of examples, but no report")


def count_of(task: Task, examples: Sequence[Any]) -> int | None:
    """How many answers are asked for; of texts that are cut into windows nobody knows beforehand."""
    if isinstance(task, Rewriting):
        return len({pair.source for pair in examples})
    return None if kind_of(task) == "texts" else len(examples)
