"""Which part of a run carries the answer: every part of one text's run put into another's, one at a time.

Vig et al. 2020; Meng et al. 2022; Wang et al. 2023. All parts of one layer go into one run, a row for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.naming import chosen, unknown
from glassformer.glass.place import axis_of
from glassformer.glass.step import Step
from glassformer.glass.trace import Edit
from glassformer.inspection.asking import Asked, question_of
from glassformer.inspection.attribute import layer_steps
from glassformer.inspection.labelled import Labelled, told_apart
from glassformer.inspection.machine import Machine, in_lots, machine_of
from glassformer.inspection.question import Question
from glassformer.tasks.model import Model
from glassformer.tasks.task import Text

Over = Literal["positions", "heads", "steps"]
Measure = Literal["share", "number"]
Steps = Mapping[str, Step]


def patching(
    model: Model,
    clean: Text,
    corrupt: Text,
    *,
    over: Over = "positions",
    steps: str | None = None,
    side: str | None = None,
    direct: bool = False,
    measure: Measure = "share",
    corrupt_written: str | None = None,
    float64: bool = False,
    **asked: Any,
) -> Labelled:
    """How much of the clean text's answer comes back when one part of its run is put into the corrupt text's.

    `over` says which parts: "positions" (layers by positions: what each layer hands on), "heads" (layers by heads: what
    each brings together) or "steps" (each step whole). `steps` names other steps of the layers, such as
    "cross_attention.output", or, over "steps", a pattern; `side` a stack, by default the one that reads the text.

    Which number: `target`, `against`, `position` and `written`, as `attribute` has them; without a target it is the
    model's answer to the clean text. `corrupt_written` is what stands before the
    token in the corrupt run, if that differs. A share of 0 is the corrupt run's number, 1 the clean one's;
    `measure="number"` gives the number itself. `direct` patches paths: all other heads are held as the corrupt text has
    them, so that a head acts on the answer by itself alone, or through feed-forwards (Wang et al. 2023, section 3.1).
    """
    check(over, measure, direct)
    question = question_of(model, clean, Asked(**asked))
    there_asked = as_asked(question, Asked(**asked))
    if corrupt_written is not None:
        there_asked = replace(there_asked, written=corrupt_written)
    other = question_of(model, corrupt, there_asked)
    other = replace(other, terms=moved(question, other))
    stack = side or question.read
    with machine_of(model.transformer, question, float64) as machine:
        given = machine.steps()
        there = Machine(machine.model, other)
        sweep = Sweep(given, there, float(machine()[0].detach()), direct)
        kinds = {"positions": sweep.positions, "heads": sweep.heads}
        if over == "steps":
            labels, values = sweep.whole(steps or f"{stack}.*")
            axes: tuple[str, ...] = ("step",)
        else:
            labels, values = kinds[over](stack, steps)
            axes = ("layer", over.removesuffix("s"))
    change = sweep.clean - sweep.corrupt
    if measure == "share":
        if not change:
            raise InputError("both texts give the same number, so nothing can be brought back; choose others")
        values = (values - sweep.corrupt) / change
    return Labelled(
        values=values,
        axes=axes,
        labels=labels,
        measure=f"{question.words}, {'share brought back' if measure == 'share' else 'patched'}",
        facts={"clean": sweep.clean, "corrupt": sweep.corrupt},
    )


def check(over: str, measure: str, direct: bool) -> None:
    """Refuse words that mean nothing here."""
    for name, value, known in (
        ("over", over, ("positions", "heads", "steps")),
        ("measure", measure, ("share", "number")),
    ):
        if value not in known:
            raise InputError(f"{name} is {value!r}; expected one of {', '.join(known)}")
    if direct and over != "heads":
        raise InputError(f"paths are patched from heads, and over is {over!r}; say over='heads', or leave direct out")


def as_asked(question: Question, asked: Asked) -> Asked:
    """The same question of another text: what the model answered to the first is the target, at the same place."""
    if asked.position is None:
        asked = replace(asked, position=question.token)
    if asked.target is not None or not question.terms:
        return asked
    if question.terms[0].position is not None and len(question.terms) == 2 and not question.contrast:
        return asked  # both ends of an answer: each text's own
    return replace(asked, target=question.terms[0].column)


def moved(question: Question, other: Question) -> tuple[Any, ...]:
    """The first question's logits, at the places that the other text has for them."""
    return tuple(
        replace(term, position=there.position)
        for term, there in zip(question.terms, other.terms, strict=True)
    )


class Sweep:
    """Parts of one run put into another, many at once."""

    def __init__(self, given: Steps, there: Machine, clean: float, direct: bool) -> None:
        self.given, self.there, self.clean, self.direct = given, there, clean, direct
        self.own = there.steps()
        with torch.no_grad():
            self.corrupt = float(there()[0])

    def positions(self, stack: str, part: str | None) -> tuple[tuple[tuple[str, ...], ...], Any]:
        """Layers by positions; texts of different length go by number, as far as both reach."""
        names = self.named(stack, part)
        if part is None:
            names = [f"{stack}.embedding.output", *names]
        values, tokens = [], self.there.question.side(stack).tokens
        for name in names:
            axis = self.axis("position", name)
            count = min(self.given[name].value.shape[axis], self.own[name].value.shape[axis])
            row = np.full(len(tokens), self.corrupt)
            row[:count] = self.each(name, axis, count)
            values.append(row)
        layers = tuple(map(str, range(len(names) - (part is None))))
        return (("embedding", *layers) if part is None else layers, told_apart(tokens)), np.stack(values)

    def heads(self, stack: str, part: str | None) -> tuple[tuple[tuple[str, ...], ...], Any]:
        """Layers by heads, at all positions."""
        names = self.named(stack, part or "self_attention.mixed")
        values = []
        for name in names:
            axis = self.axis("head", name)
            values.append(np.array(self.each(name, axis, self.own[name].value.shape[axis])))
        heads = tuple(map(str, range(len(values[0]))))
        return (tuple(map(str, range(len(names)))), heads), np.stack(values)

    def whole(self, pattern: str) -> tuple[tuple[tuple[str, ...], ...], Any]:
        """Each step by itself, but for those that are given and those whose shapes differ between the texts."""
        fitting = chosen(pattern, self.own)
        if not fitting:
            raise unknown(pattern, self.own)
        names = [
            name
            for name in fitting
            if self.own[name].value.is_floating_point()
            and self.own[name].key not in ("given", "probabilities")
            and name in self.given
            and self.own[name].value.shape == self.given[name].value.shape
        ]
        if not names:
            sizes = tuple(self.given[fitting[0]].value.shape), tuple(self.own[fitting[0]].value.shape)
            raise InputError(
                f"{fitting[0]} has shape {sizes[0]} for the clean text and {sizes[1]} for the corrupt one; choose "
                "texts of as many tokens, or patch over positions"
            )
        values = []
        with torch.no_grad():
            for name in names:
                value = self.given[name].value
                values.append(float(self.there({name: lambda _, value=value: value})[0]))  # type: ignore[misc]
        return (tuple(names),), np.array(values)

    def named(self, stack: str, part: str | None) -> list[str]:
        """The step of every layer."""
        if stack not in [side.name for side in self.there.question.sides]:
            sides = " and ".join(side.name for side in self.there.question.sides)
            raise InputError(f"this model has no {stack!r}; it has {sides}")
        return layer_steps(list(self.own), stack, part or "")

    def axis(self, what: str, name: str) -> int:
        """The axis along which a step is taken apart; all others must be of one size, but for that of positions."""
        letters = self.own[name].axes.split()
        axis, places = axis_of(what, letters), axis_of("position", letters)
        if axis is None:
            raise InputError(f"{name} has no {what}; its axes are {self.own[name].axes}")
        sizes = [tuple(steps[name].value.shape) for steps in (self.given, self.own)]
        free = {places} if what == "position" else set()
        if any(a != b for number, (a, b) in enumerate(zip(*sizes, strict=True)) if number not in free):
            raise InputError(
                f"{name} has shape {sizes[0]} for the clean text and {sizes[1]} for the corrupt one; choose texts of "
                "as many tokens, or patch over positions"
            )
        return axis

    def each(self, name: str, axis: int, count: int) -> list[float]:
        """The number with each place along an axis taken from the clean run."""
        found: list[float] = []
        with torch.no_grad():
            for lot in in_lots(count):
                edits: dict[str, Edit] = {name: self.placed(name, axis, list(lot))}
                if self.direct:
                    edits = {**self.held(name), **edits}
                found += self.there(edits, len(lot)).tolist()
        return found

    def placed(self, name: str, axis: int, places: Sequence[int]) -> Edit:
        """Row i as it is but for place i along the axis, which is the clean run's."""
        clean, own = self.given[name].value, self.own[name].value

        def edit(value: Tensor) -> Tensor:
            value = (own.expand_as(value) if self.direct else value).clone()
            for row, place in enumerate(places):
                value[row].select(axis - 1, place).copy_(clean[0].select(axis - 1, place))
            return value

        return edit

    def held(self, name: str) -> dict[str, Edit]:
        """Every other attention as the corrupt run has it."""
        others = [each for each in self.own if each.endswith("_attention.mixed") and each != name]
        return {each: (lambda value, own=self.own[each].value: own.expand_as(value)) for each in others}  # type: ignore[misc]
