"""The edits that are in force: each step is offered to them as it is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glassformer.errors import InputError
from glassformer.glass.changes import Change, Seen
from glassformer.glass.edits import WeightEdit
from glassformer.glass.naming import chosen, fits, unknown
from glassformer.glass.place import Place
from glassformer.glass.standing import Standing


@dataclass(frozen=True, eq=False)
class Ready:
    """An edit for which everything is known."""

    pattern: str
    place: Place
    change: Change

    def __call__(self, name: str, axes: str, value: Tensor, standing: Standing) -> Tensor:
        """The step's value with the chosen part replaced."""
        self.place.check(name, axes, value.shape)
        mask = self.place.mask(name, axes, value, standing)
        new = self.change(Seen(name, axes, value, standing, str(id(self))))
        return new.clone() if mask is None else torch.where(mask, new, value)


class Touch:
    """Edits in the order in which they work on a step: those of the outer context first."""

    def __init__(self, edits: Sequence[Ready], outer: Touch | None = None) -> None:
        self.edits: tuple[Ready, ...] = (*(outer.edits if outer else ()), *edits)
        self._of: dict[str, tuple[Ready, ...]] = {}

    def of(self, name: str) -> tuple[Ready, ...]:
        """The edits of this step; a name is matched once."""
        found = self._of.get(name)
        if found is None:
            found = self._of[name] = tuple(edit for edit in self.edits if fits(edit.pattern, name))
        return found

    def __call__(self, name: str, axes: str, value: Tensor, standing: Standing | None) -> Tensor:
        """The value, or what the edits make of it."""
        for edit in self.of(name):
            if standing is None:
                raise InputError(f"{name} belongs to no text that is read; edit a step of the model")
            value = edit(name, axes, value, standing)
        return value


@contextmanager
def changed(model: nn.Module, edit: WeightEdit) -> Iterator[None]:
    """A parameter otherwise for a while, whatever happens meanwhile."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    names = chosen(edit.parameter, parameters)
    if not names:
        near = str(unknown(edit.parameter, parameters)).replace("step", "parameter")
        raise InputError(near)
    kept: list[tuple[Tensor, Tensor]] = []
    try:
        with torch.no_grad():
            for name in names:
                part = part_of(parameters[name], name, edit)
                new = value_of(edit, name, part)
                kept.append((part, part.clone()))
                part.copy_(new)
        yield
    finally:
        with torch.no_grad():
            for part, value in reversed(kept):
                part.copy_(value)


def part_of(parameter: Tensor, name: str, edit: WeightEdit) -> Tensor:
    """The row or entry that is meant, as a view."""
    for axis, number in enumerate((edit.row, edit.column)):
        if number is None:
            continue
        if axis >= parameter.ndim or not -parameter.shape[axis] <= number < parameter.shape[axis]:
            what = ("row", "column")[axis]
            raise InputError(f"{name} has no {what} {number}; its shape is {tuple(parameter.shape)}")
    part = parameter if edit.row is None else parameter[edit.row]
    return part if edit.column is None else part[edit.column]


def value_of(edit: WeightEdit, name: str, part: Tensor) -> Tensor:
    """What the part becomes."""
    if isinstance(edit.to, int | float):
        return torch.full_like(part, edit.to)
    new = edit.to if isinstance(edit.to, Tensor) else edit.to(part.clone())
    if new.shape != part.shape:
        raise InputError(
            f"the value for {name} has shape {tuple(new.shape)}; what it replaces has {tuple(part.shape)}"
        )
    return new.to(part)
