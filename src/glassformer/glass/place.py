"""The part of a step that an edit replaces: heads, neurons, positions, steps of writing."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypedDict

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.standing import PADDING, Standing

Numbers = int | Sequence[int]
AXES_OF = {  # what an edit calls an axis -> its letters, the first that a step has
    "head": "HG",
    "neuron": "FCEDVL",
    "position": "TQNKS",
    "key_position": "KS",
}


class Where(TypedDict, total=False):
    """How an edit says which part it means; what it does not say is all of it."""

    head: Numbers
    neuron: Numbers  # a number of the last axis: a unit of the feed-forward, a dimension of the residual stream
    position: Numbers  # of tokens in their text; below 0 from the end, where a text is written from its given end
    key_position: Numbers
    generation_step: Numbers  # 0 is the reading that makes the first new token


@dataclass(frozen=True, kw_only=True)
class Place:
    """The chosen numbers along each axis; None: all of them."""

    head: tuple[int, ...] | None = None
    neuron: tuple[int, ...] | None = None
    position: tuple[int, ...] | None = None
    key_position: tuple[int, ...] | None = None
    generation_step: tuple[int, ...] | None = None

    @classmethod
    def of(cls, where: Where) -> "Place":
        """From what the user said."""
        known = [field.name for field in fields(cls)]
        for name in where:
            if name not in known:
                raise InputError(f"an edit has no {name!r}; it has {', '.join(known)}")
        return cls(**{name: _numbers(name, value) for name, value in where.items() if value is not None})

    def check(self, name: str, axes: str, shape: Sequence[int]) -> None:
        """Refuse an axis that a step does not have, and a number beyond its end."""
        letters = axes.split()
        for what in ("head", "neuron", "position", "key_position"):
            chosen = getattr(self, what)
            if chosen is None:
                continue
            axis = axis_of(what, letters)
            if axis is None:
                word = what.replace("_", " ")
                raise InputError(f"{name} has no {word}; its axes are {axes}, its shape {tuple(shape)}")
            if what in ("head", "neuron"):
                _check_size(what, name, chosen, shape[axis])
        if self.generation_step is not None and ("position" not in _has(letters) or name.startswith("encoder.")):
            raise InputError(f"{name} is not made anew at each generation step; leave generation_step out")

    def mask(self, name: str, axes: str, value: Tensor, standing: Standing) -> Tensor | None:
        """True at the chosen numbers of a step's value, of a shape that goes with it; None: all."""
        letters = axes.split()
        parts = []
        for what in ("head", "neuron"):
            chosen, axis = getattr(self, what), axis_of(what, letters)
            if chosen is not None and axis is not None:
                mask = torch.zeros(value.shape[axis], dtype=torch.bool, device=value.device)
                mask[list(chosen)] = True
                parts.append(_placed(mask, value.ndim, (axis,)))
        for what, chosen in (("position", self.position), ("key_position", self.key_position)):
            axis = axis_of(what, letters)
            if chosen is not None and axis is not None:
                numbers = standing.along(name, letters[axis])
                own = standing if numbers is not standing.source else None
                parts.append(_placed(_among(numbers, chosen, own), value.ndim, (0, axis)))
        axis = axis_of("position", letters)
        if self.generation_step is not None and axis is not None:
            steps = standing.written(standing.along(name, letters[axis]))
            parts.append(_placed(_isin(steps, self.generation_step), value.ndim, (0, axis)))
        return None if not parts else _all(parts)


def axis_of(what: str, letters: Sequence[str]) -> int | None:
    """Which axis of a step is meant by this word, if any; a key position stands beside that of a query."""
    if what == "key_position" and "Q" not in letters:
        return None
    if what == "neuron":
        return len(letters) - 1 if letters[-1] in AXES_OF[what] else None
    return next((letters.index(letter) for letter in AXES_OF[what] if letter in letters), None)


def _has(letters: Sequence[str]) -> list[str]:
    return [what for what in AXES_OF if axis_of(what, letters) is not None]


def _numbers(name: str, value: object) -> tuple[int, ...]:
    found = (value,) if isinstance(value, int) else tuple(value) if isinstance(value, Sequence | range) else ()
    if not found or not all(type(number) is int for number in found):
        raise InputError(f"{name} is {value!r}; expected a whole number, or several")
    if name == "generation_step" and min(found) < 0:
        raise InputError(f"generation_step is {value!r}; the first is 0")
    return found


def _check_size(what: str, name: str, chosen: Sequence[int], size: int) -> None:
    for number in chosen:
        if not -size <= number < size:
            raise InputError(f"there is no {what} {number} in {name}, which has {size}: 0 to {size - 1}")


def _isin(numbers: Tensor, chosen: Sequence[int]) -> Tensor:
    return torch.isin(numbers, torch.tensor(chosen, device=numbers.device))


def _among(numbers: Tensor, chosen: Sequence[int], standing: Standing | None) -> Tensor:
    """B L: whether each token is one of those chosen; below 0 they count from the end of what was given."""
    length = (numbers != PADDING).sum(1) if standing is None else standing.first
    found = torch.zeros_like(numbers, dtype=torch.bool)
    for number in chosen:
        wanted = length + number if number < 0 else torch.full_like(length, number)
        found |= (numbers == wanted[:, None]) & (numbers != PADDING)
    return found


def _placed(mask: Tensor, dimensions: int, axes: Sequence[int]) -> Tensor:
    """A mask along some axes as one of as many dimensions as the value."""
    shape = [1] * dimensions
    for axis, size in zip(axes, mask.shape, strict=True):
        shape[axis] = size
    return mask.reshape(shape)


def _all(parts: Sequence[Tensor]) -> Tensor:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part
    return whole
