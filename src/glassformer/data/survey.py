"""What is in files of examples, counted: sizes, lengths, labels, repetitions, and what was left out.

Everything is read as a stream; what is kept of an example is two numbers, by which repetitions are found.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from glassformer.data.columns import KindName
from glassformer.data.examples import LabelledText, Pair, Question, Skipped, TaggedSentence
from glassformer.data.kinds import scheme_of
from glassformer.data.readers import Files, find_tables, iterate_examples, source_of
from glassformer.data.reading import Reading
from glassformer.data.schemes import Scheme

TOGETHER = 1000  # texts that are tokenized at once

Ids = Callable[[Sequence[str]], Sequence[Sequence[int]]]  # texts -> the ids of their tokens


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How large some whole numbers are; 90 in a hundred are no larger than `percent_90`."""

    least: int
    median: int
    percent_90: int
    percent_99: int
    most: int
    mean: float
    total: int

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> "Spread":
        """Of numbers given as number -> how often it occurs."""
        ordered, number = sorted(counts), sum(counts.values())
        total = sum(value * often for value, often in counts.items())
        return cls(
            least=ordered[0],
            median=_quantile(counts, ordered, 0.5 * number),
            percent_90=_quantile(counts, ordered, 0.9 * number),
            percent_99=_quantile(counts, ordered, 0.99 * number),
            most=ordered[-1],
            mean=total / number,
            total=total,
        )


def _quantile(counts: Mapping[int, int], ordered: Sequence[int], wanted: float) -> int:
    """The least number that `wanted` of them do not exceed."""
    seen = 0
    for value in ordered:
        seen += counts[value]
        if seen >= wanted:
            return value
    return ordered[-1]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """One set of examples in figures.

    `lengths` are by part (text, question, ...) and unit (characters, words, tokens); `counts` tell how often each
    label, type or number of answers occurs; `repeated` examples are beyond the first of their kind, and `contradicted`
    inputs have more than one right answer. By `inputs`, of questions their contexts, sets are compared.
    """

    name: str
    kind: KindName
    scheme: Scheme | None
    examples: int
    lengths: Mapping[str, Mapping[str, Spread]]
    counts: Mapping[str, Mapping[str, int]]
    repeated: int
    contradicted: int
    shown: Sequence[Any]
    left_out: int
    problems: Sequence[Skipped]
    inputs: frozenset[int] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How many of the different inputs of the smaller of two sets stand in the larger as well."""

    larger: str
    smaller: str
    shared: int
    inputs: int


def survey(
    kind: KindName,
    files: Files,
    reading: Reading,
    *,
    folder: str | Path | None = None,
    ids: Ids | None = None,
    shown: int = 3,
    problems: int = 10,
) -> Survey:
    """Read some files as one set and count; `ids` is a tokenizer, for lengths in tokens without special ones."""
    tally = Tally(ids)
    first: list[Any] = []
    told: list[Skipped] = []
    left_out = 0
    for each in iterate_examples(kind, files, reading, folder=folder):
        if isinstance(each, Skipped):
            left_out += 1
            if len(told) < problems:
                told.append(each)
            continue
        tally.add(each)
        if len(first) < shown:
            first.append(each)
    lengths = {
        part: {unit: Spread.of(counts) for unit, counts in units.items()} for part, units in tally.spreads()
    }
    return Survey(
        name=", ".join(map(str, [files] if isinstance(files, str | Path) else files)),
        kind=kind,
        scheme=_scheme(files, reading, folder) if kind == "tags" else None,
        examples=tally.examples,
        lengths=lengths,
        counts={name: dict(counts.most_common()) for name, counts in tally.counts.items()},
        repeated=tally.examples - len(tally.different),
        contradicted=len(tally.contradicted),
        shown=first,
        left_out=left_out,
        problems=told,
        inputs=frozenset(tally.compared),
    )


def overlaps(surveys: Sequence[Survey]) -> list[Overlap]:
    """What each two sets of a kind share: a model is not to be tested on what it was trained on."""
    found = []
    for pair in combinations(surveys, 2):
        larger, smaller = sorted(pair, key=lambda each: len(each.inputs), reverse=True)
        if larger.kind == smaller.kind:
            shared = len(larger.inputs & smaller.inputs)
            found.append(
                Overlap(larger=larger.name, smaller=smaller.name, shared=shared, inputs=len(smaller.inputs))
            )
    return found


def _scheme(files: Files, reading: Reading, folder: str | Path | None) -> Scheme:
    table, beside = next(find_tables("tags", files, reading, folder))
    return scheme_of(source_of("tags", table, reading, beside))


class Tally:
    """Examples counted one by one."""

    def __init__(self, ids: Ids | None = None) -> None:
        self.ids = ids
        self.examples = 0
        self.counts: dict[str, Counter[str]] = {}
        self.different: set[int] = set()
        self.answers: dict[int, int] = {}  # an input's number -> that of the answer it had first
        self.contradicted: set[int] = set()
        self.compared: set[int] = set()
        self.lengths: dict[str, dict[str, Counter[int]]] = {}
        self.waiting: list[tuple[str, str]] = []  # parts still to be tokenized

    def add(self, example: Any) -> None:
        """One more."""
        self.examples += 1
        given, answer = (hash(each) for each in sides(example))
        self.different.add(hash((given, answer)))
        self.compared.add(hash(example.context) if isinstance(example, Question) else given)
        if self.answers.setdefault(given, answer) != answer:
            self.contradicted.add(given)
        for name, value in told(example):
            self.counts.setdefault(name, Counter())[value] += 1
        for part, text in parts(example):
            self.measure(part, "characters", len(text))
            self.measure(part, "words", len(text.split()))
            if self.ids is not None:
                self.waiting.append((part, text))
        if len(self.waiting) >= TOGETHER:
            self.tokenize()

    def measure(self, part: str, unit: str, length: int) -> None:
        """One more length."""
        self.lengths.setdefault(part, {}).setdefault(unit, Counter())[length] += 1

    def tokenize(self) -> None:
        """Lengths in tokens, many texts at once."""
        waiting, self.waiting = self.waiting, []
        if self.ids is not None and waiting:
            found = self.ids([text for _, text in waiting])
            for (part, _), ids in zip(waiting, found, strict=True):
                self.measure(part, "tokens", len(ids))

    def spreads(self) -> Iterator[tuple[str, Mapping[str, Counter[int]]]]:
        """All lengths by part and unit."""
        self.tokenize()
        yield from self.lengths.items()


def parts(example: Any) -> Iterator[tuple[str, str]]:
    """The texts of an example, by their names."""
    match example:
        case Pair(source=source, target=target):
            yield from (("source", source), ("target", target))
        case LabelledText(text=text, pair=pair):
            yield "text", text
            if pair is not None:
                yield "pair", pair
        case TaggedSentence(words=words):
            yield "sentence", " ".join(words)
        case Question(question=question, context=context, answers=answers):
            yield from (("question", question), ("context", context))
            yield from (("answer", answer.text) for answer in answers)
        case str():
            yield "text", example


def sides(example: Any) -> tuple[object, object]:
    """What a model is given, and what it is to say."""
    match example:
        case Pair(source=source, target=target):
            return source, target
        case LabelledText(text=text, pair=pair, labels=labels):
            return (text, pair), frozenset(labels)
        case TaggedSentence(words=words, tags=tags):
            return words, tags
        case Question(question=question, context=context, answers=answers):
            return (question, context), frozenset(answers)
    return example, None


def told(example: Any) -> Iterator[tuple[str, str]]:
    """What is counted of an example besides its length: each label, each entity's type, ..."""
    match example:
        case LabelledText(labels=labels):
            yield from (("label", label) for label in labels)
            yield "labels of a text", str(len(labels))
        case TaggedSentence(tags=tags):
            yield from (("entity", tag[2:]) for tag in tags if tag.startswith("B-"))
            yield from (("tag", tag) for tag in tags)
        case Question(answers=answers):
            yield "answers of a question", str(len(answers))
        case Pair(source=source, target=target) if source == target:
            yield "pair", "the same on both sides"
