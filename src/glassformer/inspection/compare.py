"""Two runs held against each other: which steps differ, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.naming import Keep, unknown
from glassformer.glass.step import Step
from glassformer.glass.trace import Trace
from glassformer.inspection.drawing import drawn
from glassformer.tasks.model import Model
from glassformer.tasks.task import Text

Places = dict[str, tuple[list[int], list[int]]]  # stack -> positions of the first run, and those of the second
Align = Literal["tokens", "positions"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far one step is from the same step of the other run."""

    step: str
    axes: str
    largest: float  # the largest absolute difference
    relative: float  # the length of the difference over that of the first value
    cosine: float  # 1: the same direction; not a number where one of both is nothing


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Every step that both runs have, those that differ most first."""

    first: str
    second: str
    answers: tuple[str, str]
    differences: tuple[Difference, ...]
    unlike: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]  # steps whose shapes do not go together
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    aligned: Mapping[str, tuple[int, int, int]]  # stack -> tokens of the first, of the second, held against each other

    def of(self, step: str) -> Difference:
        """The difference of one step."""
        for each in self.differences:
            if each.step == step:
                return each
        raise unknown(step, [each.step for each in self.differences])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; what is not a number is null."""
        return {
            "first": self.first,
            "second": self.second,
            "answers": list(self.answers),
            "aligned": {side: list(counts) for side, counts in self.aligned.items()},
            "differences": [
                {name: None if isinstance(value, float) and not math.isfinite(value) else value
                 for name, value in vars(each).items()}
                for each in self.differences
            ],
            "unlike": [{"step": name, "first": list(one), "second": list(two)} for name, one, two in self.unlike],
            "only_first": list(self.only_first),
            "only_second": list(self.only_second),
        }  # fmt: skip

    def plot(self, path: str | None = None, **options: Any) -> Any:
        """Relative differences, kinds of steps by layers, by matplotlib; written to `path` where one is given."""
        return drawn("comparison", self, path, **options)

    def __str__(self) -> str:
        lines = [f"first:  {self.first}  ->  {self.answers[0]}", f"second: {self.second}  ->  {self.answers[1]}"]
        for side, (one, two, both) in self.aligned.items():
            if one != two or both != one:
                lines.append(f"{side}: {one} and {two} tokens, of which {both} are held against each other")
        equal = sum(each.largest == 0.0 for each in self.differences)
        count = len(self.differences)
        lines.append(f"{count} step{'s' * (count != 1)} in both, {equal} of them equal")
        lines += [f"{name} has shape {one} in the first and {two} in the second" for name, one, two in self.unlike[:3]]
        if len(self.unlike) > 3:
            lines.append(f"... and {len(self.unlike) - 3} more of different shapes")
        for names, which in ((self.only_first, "first"), (self.only_second, "second")):
            if names:
                lines.append(f"only in the {which}: {len(names)} step{'s' * (len(names) != 1)}, such as {names[0]}")
        shown = [each for each in self.differences if each.largest][:20]
        if not shown:
            return "\n".join(lines)
        wide = max(len(each.step) for each in shown)
        lines.append(f"{'step':<{wide}}  relative   largest   cosine")
        for each in shown:
            cosine = "" if math.isnan(each.cosine) else f"{each.cosine:7.4f}"
            lines.append(f"{each.step:<{wide}}  {each.relative:8.4f}  {each.largest:8.2e}  {cosine}".rstrip())
        return "\n".join(lines)


def compare(
    first: Model | Trace,
    second: Model | Trace | None = None,
    *,
    text: Text | None = None,
    other: Text | None = None,
    keep: str | Sequence[str] = "*",
    align: Align = "tokens",
    **options: Any,
) -> Comparison:
    """Which steps of two runs differ: of two texts, of two models (before and after fine-tuning), or of two traces.

    `compare(model, text=..., other=...)`: two texts. `compare(before, after, text=...)`: two models, the text once, or
    each one's own. Steps are paired by name. Of texts with different tokens those that are equal are held against each
    other ("tokens"), or those of the same number as far as both reach ("positions").
    """
    if align not in ("tokens", "positions"):
        raise InputError(f"align is {align!r}; expected 'tokens' or 'positions'")
    runs, called = [], []
    for place, (given, own) in enumerate(((first, text), (second, other))):
        given = first if given is None and place else given
        own = text if own is None else own
        if isinstance(given, Trace):
            runs.append(given)
            called.append(given.answer or f"trace {place + 1}")
        elif own is None:
            raise InputError("a model was given without a text; say compare(model, text=..., other=...)")
        else:
            assert isinstance(given, Model)
            runs.append(given.trace(own, keep=keep, **options))
            called.append(own if isinstance(own, str) else " / ".join(own))
    if second is None and (other is None or isinstance(first, Trace)):
        raise InputError("one run alone was given; give another trace, another model, or another text: other=...")
    return compared(runs[0], runs[1], (called[0], called[1]), keep, align)


def compared(
    one: Trace, two: Trace, called: tuple[str, str] = ("first", "second"), keep: str | Sequence[str] = "*",
    align: Align = "tokens",
) -> Comparison:  # fmt: skip
    """Two traces step by step."""
    wanted = Keep(keep)
    names = [name for name in one if name in two and wanted(name) and one[name].value.is_floating_point()]
    places, found, unlike = aligned(one, two, align), [], []
    for name in names:
        try:
            first, second = paired(one[name], two[name], places)
        except InputError:
            unlike.append((name, tuple(one[name].value.shape), tuple(two[name].value.shape)))
            continue
        found.append(difference(name, one[name].axes, first, second))
    return Comparison(
        first=called[0],
        second=called[1],
        answers=(one.answer, two.answer),
        differences=tuple(sorted(found, key=lambda each: -each.relative)),
        unlike=tuple(unlike),
        only_first=tuple(name for name in one if name not in two and wanted(name)),
        only_second=tuple(name for name in two if name not in one and wanted(name)),
        aligned={side: (count(one, side), count(two, side), len(rows)) for side, (rows, _) in places.items()},
    )


def count(trace: Trace, side: str) -> int:
    """How many tokens a stack read."""
    return len(trace.tokens[side][0])


def aligned(one: Trace, two: Trace, align: Align) -> Places:
    """Which positions of each stack are held against each other."""
    found = {}
    for side in one.tokens:
        if side not in two.tokens:
            continue
        first, second = one.tokens[side][0], two.tokens[side][0]
        if align == "positions":
            rows = list(range(min(len(first), len(second))))
            found[side] = (rows, rows)
            continue
        blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
        found[side] = (
            [block.a + n for block in blocks for n in range(block.size)],
            [block.b + n for block in blocks for n in range(block.size)],
        )
        if len(first) == len(second):  # as many tokens: each stands against that of its number, equal or not
            found[side] = (list(range(len(first))),) * 2
    return found


def paired(one: Step, two: Step, places: Places) -> tuple[Tensor, Tensor]:
    """The values of both at the positions that belong together, in float64."""
    values = [one.value.detach().double().cpu(), two.value.detach().double().cpu()]
    letters = one.axes.split()
    if letters != two.axes.split():
        raise InputError(f"{one.name} has the axes {one.axes} and {two.axes}")
    last = "decoder" if "decoder" in places else "encoder"
    own = one.name.partition(".")[0]
    own = own if own in ("encoder", "decoder") else last
    for axis, letter in enumerate(letters):
        crossing = letter == "S" or (".cross_attention." in one.name and letter in "KN")
        side = "encoder" if crossing else own
        if letter in "TQKNS" and side in places:
            for number, rows in enumerate(places[side]):
                values[number] = values[number].index_select(axis, torch.tensor(rows, dtype=torch.long))
    if values[0].shape != values[1].shape:
        raise InputError(f"{one.name} has shape {tuple(values[0].shape)} and {tuple(values[1].shape)}")
    return values[0], values[1]


def difference(name: str, axes: str, one: Tensor, two: Tensor) -> Difference:
    """How far apart."""
    first, second = one.flatten().numpy(), two.flatten().numpy()
    most = max(float(np.abs(first).max(initial=0.0)), float(np.abs(second).max(initial=0.0))) or 1.0
    first, second = first / most, second / most  # masks hold the lowest numbers there are, whose squares are none
    apart = np.where(first == second, 0.0, first - second)
    size, other = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    gap = float(np.linalg.norm(apart))
    return Difference(
        step=name,
        axes=axes,
        largest=float(np.abs(apart).max(initial=0.0)) * most,
        relative=gap / size if size else math.inf if gap else 0.0,
        cosine=float(first @ second) / (size * other) if size and other else math.nan,
    )
