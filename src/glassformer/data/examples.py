"""What a line of data is, task by task: the forms in which readers hand examples to tasks."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Example = TypeVar("Example")


@dataclass(frozen=True)
class Pair:
    """A text and what it is to become: its translation, its summary."""

    source: str
    target: str


@dataclass(frozen=True, kw_only=True)
class LabelledText:
    """A text, or two that are judged together, and its label; a text of a multi-label set has any number."""

    text: str
    pair: str | None = None
    labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TaggedSentence:
    """Words, each with its tag, such as B-PER, I-PER, O."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerSpan:
    """An answer as it stands in its context: `context[start : start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, the text that may answer it, and every answer that counts as right; none: it has no answer."""

    id: str
    question: str
    context: str
    answers: tuple[AnswerSpan, ...] = ()


def having_only(examples: Sequence[LabelledText], labels: Collection[str]) -> list[LabelledText]:
    """Those that have no label but these."""
    known = set(labels)
    return [example for example in examples if known.issuperset(example.labels)]


def subject(example: Pair | LabelledText | TaggedSentence | Question | str) -> Hashable:
    """What an example is about, without its answer: what was learnt of one says something of another that shares it."""
    match example:
        case Pair():
            return example.source
        case LabelledText():
            return example.text, example.pair
        case TaggedSentence():
            return example.words
        case Question():
            return example.context
    return example


@dataclass(frozen=True)
class Skipped:
    """A line that did not fit, and why; where a file has no lines, its row or item of that number, from 1."""

    file: str
    line: int
    reason: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.line}: {self.reason}"


@dataclass(frozen=True)
class Found(Generic[Example]):
    """What was read, and what was left out and why."""

    examples: Sequence[Example]
    skipped: Sequence[Skipped]
