"""Edits: which step or parameter, which part of it, and what it becomes.

Each is a plain value that `model.edit(...)` puts in force for a while; what needs other texts is read then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Unpack

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.changes import (
    Change,
    Fixed,
    FromRun,
    Function,
    Push,
    mean_over_batch,
    mean_over_positions,
    nothing,
)
from glassformer.glass.place import Place, Where, axis_of
from glassformer.glass.step import Step

Look = Callable[[Any], Mapping[str, Step]]  # the steps meant, of the run of a text


class Source(Protocol):
    """A change that is only known once other texts are read."""

    def made(self, look: Look, place: Place) -> Change:
        """The change itself."""
        ...


@dataclass(frozen=True)
class StepEdit:
    """Steps whose name fits a pattern, the part of them that is meant, and what it becomes."""

    step: str
    place: Place
    source: Source


@dataclass(frozen=True)
class WeightEdit:
    """A parameter, or those whose names fit a pattern; one row of it, one entry, or all."""

    parameter: str
    to: float | Tensor | Function
    row: int | None = None
    column: int | None = None


AnyEdit = StepEdit | WeightEdit


@dataclass(frozen=True)
class Plain:
    """A change that asks for no other text."""

    change: Change

    def made(self, look: Look, place: Place) -> Change:
        """The change itself."""
        return self.change


@dataclass(frozen=True)
class Given:
    """A value that the user gives."""

    to: float | Tensor | Function

    def made(self, look: Look, place: Place) -> Change:
        """The value, which may leave out an axis in which one number is chosen."""
        alone = tuple(what for what in ("head", "neuron") if len(getattr(place, what) or ()) == 1)
        return Fixed(self.to, alone)


@dataclass(frozen=True)
class MeanOf:
    """The mean over all positions of some texts."""

    texts: tuple[Any, ...]

    def made(self, look: Look, place: Place) -> Change:
        """One mean for each step."""
        means = means_of([look(text) for text in self.texts])
        return lambda seen: Fixed(means[seen.name]).fitted(seen, means[seen.name].to(seen.value))


@dataclass(frozen=True)
class PatchFrom:
    """The values of another run: of a text, or a trace."""

    other: Any
    positions: tuple[int, ...] | None

    def made(self, look: Look, place: Place) -> Change:
        """The other run, and which of its positions goes where."""
        steps = self.other if isinstance(self.other, Mapping) else look(self.other)
        if self.positions is None:
            return FromRun(steps)
        here = place.position or ()
        if len(here) != len(self.positions) or min((*here, *self.positions)) < 0:
            raise InputError(
                f"from_position names {len(self.positions)} positions and position {len(here)}; name as many of both, "
                "none below 0"
            )
        return FromRun(steps, dict(zip(here, self.positions, strict=True)))


@dataclass(frozen=True)
class Difference:
    """From the mean of some texts to the mean of others, or a direction that the user has; so many times."""

    plus: tuple[Any, ...]
    minus: tuple[Any, ...]
    strength: float
    vector: Tensor | None

    def made(self, look: Look, place: Place) -> Change:
        """One direction for each step."""
        if self.vector is not None:
            vector = self.vector
            return lambda seen: Push({seen.name: vector}, self.strength)(seen)
        plus = means_of([look(text) for text in self.plus])
        minus = means_of([look(text) for text in self.minus]) if self.minus else {}
        return Push({name: mean - minus.get(name, 0.0) for name, mean in plus.items()}, self.strength)


def means_of(runs: Sequence[Mapping[str, Step]]) -> dict[str, Tensor]:
    """For each step the mean over texts of the mean over each one's positions, without those two axes."""
    found = {}
    for name, step in runs[0].items():
        letters = step.axes.split()
        axis = axis_of("position", letters)
        if axis is None or axis_of("key_position", letters) not in (None, axis):
            raise InputError(
                f"{name} has the axes {step.axes}; a mean over texts needs a step with one axis of positions"
            )
        each = [run[name].value.mean(axis)[0] for run in runs]
        mean = torch.stack(each).mean(0)
        found[name] = mean if axis == 1 else mean.unsqueeze(axis - 1)  # heads stand before positions
    return found


def zero(step: str, **where: Unpack[Where]) -> StepEdit:
    """Nothing in place of the value."""
    return StepEdit(step, Place.of(where), Plain(nothing))


def mean(
    step: str, over: Literal["positions", "batch"] | Sequence[Any] = "positions", **where: Unpack[Where]
) -> StepEdit:
    """A mean in place of the value: over the text's own positions, over the batch, or over a list of texts.

    Over the batch it is that of the same position in the texts that are read together; over a list of texts that of
    all their positions, each text counting alike. While an answer is written, a text's own positions are those given.
    """
    changes = {"positions": mean_over_positions, "batch": mean_over_batch}
    if isinstance(over, str):
        if over not in changes:
            raise InputError(f"over is {over!r}; expected 'positions', 'batch' or a list of texts")
        return StepEdit(step, Place.of(where), Plain(changes[over]))
    if not over:
        raise InputError("a mean over no texts was asked for; give one text or more")
    return StepEdit(step, Place.of(where), MeanOf(tuple(over)))


def value_of(to: Any) -> float | Tensor | Function:
    """What a user gives as a value; numbers in lists are a tensor."""
    if isinstance(to, int | float | Tensor) or callable(to):
        return to  # type: ignore[no-any-return]
    try:
        return torch.as_tensor(to, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{to!r} is no value; give a number, a list or tensor of numbers, or a function") from error


def replace(step: str, to: float | Tensor | Function, **where: Unpack[Where]) -> StepEdit:
    """Another value: a number, a tensor, or a function from the step's value to one of the same shape.

    A tensor is spread over the step from its last axis on, as in NumPy; an axis in which one head or neuron is
    chosen is left out of it.
    """
    return StepEdit(step, Place.of(where), Given(value_of(to)))


def patch(
    step: str, other: Any, *, from_position: int | Sequence[int] | None = None, **where: Unpack[Where]
) -> StepEdit:
    """The value that another text (or a trace) has there; Vig et al. 2020, Meng et al. 2022.

    Positions go by their number, so texts may differ in length: where the other is shorter nothing is replaced.
    `from_position` takes each of the chosen positions from another one of the other text.
    """
    positions = (from_position,) if isinstance(from_position, int) else from_position
    place = Place.of(where)
    return StepEdit(step, place, PatchFrom(other, None if positions is None else tuple(positions)))


def steer(
    step: str,
    plus: Any = (),
    minus: Any = (),
    *,
    strength: float = 1.0,
    vector: Tensor | None = None,
    **where: Unpack[Where],
) -> StepEdit:
    """The value and, so many times, the way from the mean of `minus` texts to that of `plus` texts, or a `vector`.

    Turner et al. 2023; Rimsky et al. 2024.
    """
    texts = [(side,) if isinstance(side, str) else tuple(side) for side in (plus, minus)]
    if (vector is None) == (not texts[0]):
        raise InputError("a direction is a vector, or texts on the plus side (and on the minus side); give one of both")
    return StepEdit(step, Place.of(where), Difference(texts[0], texts[1], strength, vector))


def weight(
    parameter: str, to: float | Tensor | Function, *, row: int | None = None, column: int | None = None
) -> WeightEdit:
    """Another value for a parameter, for one of its rows, or for one entry; what it was comes back in the end."""
    if column is not None and row is None:
        raise InputError("a column was named without its row; name both for one entry, or the row alone")
    return WeightEdit(parameter, value_of(to), row, column)
