"""What an evaluation found: the figures, where they come from, and the examples that a model does worst on."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np

from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.evaluation.bootstrap import Array, Measured, Numbers, Sums, interval
from glassformer.evaluation.score import Score

WORST = 20  # examples that are shown
LOT = 256  # examples that are asked for at once

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Told = Callable[[int], None]  # so many more are done


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some of the examples, or one of the labels: how many, their figures, and where 95 % of the resamples lie."""

    name: str
    examples: int
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """The examples parted by what they have in common."""

    title: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How many examples of each label, a row, were given each label, a column."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Decisions of like confidence: how many, how sure on average, how often right; shares of 1."""

    low: float
    high: float
    decisions: int
    confidence: float
    right: float


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Characters of a text that are said to be something, rightly or not."""

    start: int
    end: int
    name: str
    kind: Literal["right", "wrong", "missed"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One text of an example."""

    name: str
    text: str
    marks: tuple[Mark, ...] = ()  # in order, none within another


@dataclass(frozen=True, kw_only=True)
class Case:
    """One example, with what was wanted and what came."""

    number: int  # in the data, from 1
    figures: Mapping[str, float]
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it. What a task does not have is empty."""

    task: str
    scores: Mapping[str, Score]
    counts: Mapping[str, int]  # what was read, by its name
    model: str = ""
    data: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what a reader of the figures must know
    groupings: tuple[Grouping, ...] = ()
    confusion: Confusion | None = None
    calibration: tuple[Bin, ...] = ()
    worst: tuple[Case, ...] = ()
    given: tuple[Any, ...] = field(default=(), repr=False)  # every answer, in order; in no file

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {name: value for name, value in asdict(replace(self, given=())).items() if name != "given"}


def searched(decoding: Decoding) -> dict[str, Any]:
    """How texts were searched for, for a report's settings."""
    agreed = {"agreement_power": decoding.agreement_power} if decoding.by_agreement else {}
    return {"beams": decoding.num_beams, **agreed}


def searched_in_words(settings: Mapping[str, Any]) -> str:
    """The same for people; nothing where nothing is searched."""
    if "beams" not in settings:
        return ""
    agreed = f", agreement power {settings['agreement_power']:g}" if "agreement_power" in settings else ""
    return f", {settings['beams']} beam{'s' if settings['beams'] > 1 else ''}{agreed}"


def asked(
    items: Sequence[Item],
    lengths: Sequence[int],
    ask: Callable[[list[Item]], Sequence[Answer]],
    told: Told | None = None,
) -> list[Answer]:
    """The answer to each item, in order; those of like length are asked for together."""
    order = sorted(range(len(items)), key=lengths.__getitem__)
    found: dict[int, Answer] = {}
    for start in range(0, len(order), LOT):
        numbers = order[start : start + LOT]
        found.update(zip(numbers, ask([items[number] for number in numbers]), strict=True))
        if told is not None:
            told(len(numbers))
    return [found[number] for number in range(len(items))]


def grouped_by_source(sources: Sequence[str], references: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """A source on several lines has several references: every source once, in order of appearance."""
    if len(sources) != len(references):
        raise InputError(f"{len(sources)} sources came with {len(references)} references; give one for each")
    groups: dict[str, list[str]] = {}
    for source, reference in zip(sources, references, strict=True):
        known = groups.setdefault(source, [])
        if reference not in known:
            known.append(reference)
    return list(groups), list(groups.values())


def by_length(lengths: Sequence[int]) -> tuple[list[str], Numbers]:
    """Groups of doubling length (1 to 4, 5 to 8, 9 to 16, ...): their names, and the number of each item's."""
    doublings = np.ceil(np.log2(np.maximum(np.array(lengths, dtype=np.float64), 4))).astype(np.int64)
    there, numbers = np.unique(doublings, return_inverse=True)
    names = [f"{1 if power == 2 else 2 ** (power - 1) + 1:,} to {2**power:,}" for power in there.tolist()]
    return names, numbers.reshape(-1).astype(np.int64)


def by_name(names: Sequence[str]) -> tuple[list[str], Numbers]:
    """Groups of one name each, the most frequent first."""
    order = [name for name, _ in Counter(names).most_common()]
    return order, np.array([order.index(name) for name in names], dtype=np.int64)


def grouped(
    title: str, names: Sequence[str], numbers: Numbers, measured: Measured, figures: Sequence[str]
) -> Grouping:
    """The figures of each group of examples."""
    found, sizes = measured.groups(numbers, len(names)), np.bincount(numbers, minlength=len(names))
    groups = (
        Group(name=name, examples=int(sizes[row]), figures={key: float(found[key][row]) for key in figures})
        for row, name in enumerate(names)
    )
    return Grouping(title=title, groups=tuple(groups))


def labelled(title: str, names: Sequence[str], measured: Measured, resampled: Sums) -> Grouping:
    """Precision, recall and F1 of each label; how often it was wanted stands for the number of examples."""
    values, wanted = measured.figures(), measured.statistics["wanted"].sum(0)
    groups = []
    for row, name in enumerate(names):
        figures = {key: float(values[f"label_{key}"][row]) for key in ("precision", "recall", "f1")}
        known = {key: interval(resampled[f"label_{key}"][:, row]) for key in figures if resampled}
        intervals = {key: (each["low"], each["high"]) for key, each in known.items()}
        groups.append(Group(name=name, examples=int(wanted[row]), figures=figures, intervals=intervals))
    return Grouping(title=title, groups=tuple(groups))


def cut_note(lengths: Sequence[int], limit: int | None) -> tuple[str, ...]:
    """What a reader of the figures must know of texts that are longer than the model."""
    count = 0 if limit is None else sum(length > limit for length in lengths)
    if not count:
        return ()
    texts, its = ("1 text is", "its end was") if count == 1 else (f"{count:,} texts are", "their ends were")
    return (f"{texts} longer than the {limit:,} tokens that the model reads; {its} not read.",)


def worst_of(
    costs: Sequence[float] | Array, surer: Sequence[float] | Array | None = None, most: int = WORST
) -> list[int]:
    """The numbers of the examples that cost most, the worst first; those that cost nothing are not bad.

    Of two that cost the same the one that the model was `surer` of is worse.
    """
    costs = np.asarray(costs, dtype=np.float64)
    sure = np.zeros_like(costs) if surer is None else np.asarray(surer, dtype=np.float64)
    order = np.lexsort((-sure, -costs))[:most]
    return [int(number) for number in order if costs[number] > 0]


def apart(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Marks in order; of two that overlap the one given first stays."""
    kept: list[Mark] = []
    for mark in marks:
        if all(mark.end <= other.start or other.end <= mark.start for other in kept):
            kept.append(mark)
    return tuple(sorted(kept, key=lambda mark: mark.start))
