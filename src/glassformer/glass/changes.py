"""What an edit makes of a step's value: nothing, a mean, another value, another text's, a push in one direction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.place import axis_of
from glassformer.glass.standing import PADDING, Standing
from glassformer.glass.step import AXES, Step

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Seen:
    """A step at the moment it is made."""

    name: str
    axes: str
    value: Tensor
    standing: Standing
    key: str  # tells the values that this edit keeps from those of others

    @property
    def axis(self) -> int:
        """The axis of positions."""
        axis = axis_of("position", self.axes.split())
        if axis is None:
            raise InputError(f"{self.name} has no positions; its axes are {self.axes}")
        return axis

    @property
    def numbers(self) -> Tensor:
        """B L: the number of each token along it."""
        return self.standing.along(self.name, self.axes.split()[self.axis])


Change = Callable[[Seen], Tensor]  # the whole step as it would be if all of it were chosen


def nothing(seen: Seen) -> Tensor:
    """Zeros."""
    return torch.zeros_like(seen.value)


def mean_over_positions(seen: Seen) -> Tensor:
    """The mean of each text's own rows, padding left out; while an answer is written, of those that were given."""
    standing, key = seen.standing, f"{seen.key}/{seen.name}"
    axis, numbers = seen.axis, seen.numbers
    if standing.seen and key in standing.kept:
        return standing.kept[key].expand_as(seen.value)
    counted = numbers != PADDING
    if numbers is not standing.source:
        counted = counted & (numbers < standing.first[:, None])
    weights = _along(counted.to(seen.value.dtype), seen.value.ndim, axis)
    mean = (seen.value * weights).sum(axis, keepdim=True) / weights.sum(axis, keepdim=True).clamp(min=1)
    standing.kept[key] = mean
    return mean.expand_as(seen.value)


def mean_over_batch(seen: Seen) -> Tensor:
    """At each position the mean of the texts that are read together and are so long."""
    value, axis, numbers = seen.value, seen.axis, seen.numbers
    rows = value.movedim(axis, 1)  # B L ...
    real = numbers != PADDING
    count = int(numbers.max()) + 1
    sums = rows.new_zeros(count, *rows.shape[2:]).index_add(0, numbers[real], rows[real])
    counts = torch.bincount(numbers[real], minlength=count).clamp(min=1).to(value.dtype)
    means = sums / counts.reshape(-1, *[1] * (sums.ndim - 1))
    return means[numbers.clamp(min=0)].movedim(1, axis)


@dataclass(frozen=True)
class Fixed:
    """A number, or values of the step's shape; axes may be left out at the front, and where one number is chosen."""

    to: float | Tensor | Function
    dropped: tuple[str, ...] = ()  # words of the axes in which one number was chosen

    def __call__(self, seen: Seen) -> Tensor:
        """The value in the step's shape."""
        if isinstance(self.to, int | float):
            return torch.full_like(seen.value, self.to)
        if not isinstance(self.to, Tensor):
            new = self.to(seen.value)
            if not isinstance(new, Tensor) or new.shape != seen.value.shape:
                shape = tuple(new.shape) if isinstance(new, Tensor) else type(new).__name__
                raise InputError(
                    f"the edit of {seen.name} gives shape {shape}; expected {tuple(seen.value.shape)}"
                )
            return new
        return self.fitted(seen, self.to.to(seen.value))

    def fitted(self, seen: Seen, given: Tensor) -> Tensor:
        """A tensor spread over the step's value."""
        letters, shape = seen.axes.split(), seen.value.shape
        dropped = {axis_of(what, letters) for what in self.dropped}
        for left_out in (dropped, set()):
            try:
                spread = given.broadcast_to([size for axis, size in enumerate(shape) if axis not in left_out])
            except RuntimeError:
                continue
            for axis in sorted(axis for axis in left_out if axis is not None):
                spread = spread.unsqueeze(axis)
            return spread.expand(shape)
        raise InputError(
            f"the value for {seen.name} has shape {tuple(given.shape)}; it does not fit the step's {tuple(shape)} "
            f"({', '.join(AXES[letter] for letter in letters)})"
        )


@dataclass(frozen=True)
class Push:
    """The value and so much of a direction."""

    directions: Mapping[str, Tensor]  # step -> what is added, along its last axes
    strength: float

    def __call__(self, seen: Seen) -> Tensor:
        """The sum."""
        direction = self.directions[seen.name]
        return seen.value + self.strength * Fixed(direction).fitted(seen, direction.to(seen.value))


@dataclass(frozen=True)
class FromRun:
    """Another run's value of the same step, position by position; where that run has no such position, its own."""

    steps: Mapping[str, Step]
    positions: Mapping[int, int] | None = None  # position here -> position there; None: the same

    def __call__(self, seen: Seen) -> Tensor:
        """The other's rows where they belong."""
        if seen.name not in self.steps:
            raise InputError(f"the other run has no step {seen.name}; patch steps that both runs have")
        other, value = self.steps[seen.name].value.to(seen.value), seen.value
        letters = seen.axes.split()
        axis = axis_of("position", letters)
        apart = [here for place, here in enumerate(value.shape) if place not in (0, axis)]
        there = [size for place, size in enumerate(other.shape) if place not in (0, axis)]
        if apart != there or other.ndim != value.ndim:
            raise InputError(
                f"{seen.name} has shape {tuple(value.shape)} here and {tuple(other.shape)} in the other run; only the "
                "number of positions may differ"
            )
        if axis is None:
            return other[:1].expand_as(value)
        numbers = seen.numbers.clone()
        if self.positions is not None:
            numbers.fill_(PADDING)
            for here, whence in self.positions.items():
                numbers[seen.numbers == here] = whence
        inside = (numbers >= 0) & (numbers < other.shape[axis])
        rows = other[0].movedim(axis - 1, 0)[numbers.clamp(0, other.shape[axis] - 1)].movedim(1, axis)
        return torch.where(_along(inside, value.ndim, axis), rows, value)


def _along(rows: Tensor, dimensions: int, axis: int) -> Tensor:
    """(B, L) as one of so many dimensions, L along this axis."""
    shape = [1] * dimensions
    shape[0], shape[axis] = rows.shape
    return rows.reshape(shape)
