"""The way back through a run: the gradient of every step and parameter, each with its rule and inputs.

While a trace is made, each step is cut off from what made it, so that what flows back over every single use is
computed by itself (by torch's autograd) and can be compared with its rule. Rumelhart, Hinton and Williams 1986.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.backward import BACKWARD, OUTPUT, START, TOTAL, Rule

PARAMETER_AXES = ("", "O", "O I")  # of a number, a row, a matrix


@dataclass(frozen=True, slots=True)
class Cut:
    """One step on the tape: its value as it was made, and what it was made of."""

    name: str
    axes: str
    made: Tensor  # with the graph that leads to its inputs, and no further
    key: str
    inputs: tuple[str, ...]
    values: tuple[Tensor, ...]  # of the inputs
    constants: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """What one use of a value sends back to it."""

    user: str
    value: Tensor
    key: str
    inputs: tuple[str, ...]
    constants: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Gradient:
    """A gradient as a step: all that a trace records of it."""

    name: str
    axes: str
    value: Tensor
    key: str
    inputs: tuple[str, ...]
    constants: Mapping[str, Any] = field(default_factory=dict)


class Tape:
    """The steps of one run in order, and the walk back over them."""

    def __init__(self) -> None:
        self._cuts: list[Cut] = []
        self._sent: dict[str, list[Sent]] = {}

    def cut(
        self,
        name: str,
        axes: str,
        made: Tensor,
        key: str,
        inputs: Sequence[str],
        values: Sequence[Tensor],
        constants: Mapping[str, Any],
    ) -> Tensor:
        """Take a step onto the tape; what comes after is computed from a value that does not know where it is from."""
        if not made.requires_grad:
            return made
        self._cuts.append(Cut(name, axes, made, key, tuple(inputs), tuple(values), dict(constants)))
        return made.detach().requires_grad_()

    def back(self) -> Iterator[Gradient]:
        """From the last step to the first: the gradient of each step, then of each parameter met for the last time."""
        if not self._cuts:
            raise InputError("no parameter of this model learns, so there is no gradient; set requires_grad on some")
        last = self._cuts[-1]
        first_uses, steps = self._first_uses(), {cut.name for cut in self._cuts}
        for cut in reversed(self._cuts):
            if cut is last:
                whole = torch.ones_like(cut.made)
                yield Gradient(f"gradient.{cut.name}", cut.axes, whole, START, (cut.name,))
                self._send(cut, whole)
            elif cut.name in self._sent:  # what the loss does not depend on has no gradient
                sent = self._sent.pop(cut.name)
                yield from gathered(cut.name, cut.axes, sent)
                self._send(cut, summed(sent))
            for name in dict.fromkeys(cut.inputs):
                if name not in steps and first_uses[name] is cut and name in self._sent:
                    sent = self._sent.pop(name)
                    yield from gathered(name, PARAMETER_AXES[sent[0].value.ndim], sent)

    def _first_uses(self) -> dict[str, Cut]:
        uses: dict[str, Cut] = {}
        for cut in self._cuts:
            for name in cut.inputs:
                uses.setdefault(name, cut)
        return uses

    def _send(self, cut: Cut, whole: Tensor) -> None:
        """Through one step, to each of its inputs that learns."""
        places = [place for place, value in enumerate(cut.values) if value.requires_grad]
        found = torch.autograd.grad(cut.made, [cut.values[place] for place in places], whole)
        for place, value in zip(places, found, strict=True):
            rule = BACKWARD[cut.key][place]
            assert rule is not None, f"{cut.key} has no rule for its input {place}"
            taken = tuple(cut.name if wanted == OUTPUT else cut.inputs[wanted] for wanted in rule.takes)
            sent = Sent(
                cut.name,
                value,
                f"{cut.key}.{rule.name}",
                (f"gradient.{cut.name}", *taken),
                {**cut.constants, **_sizes(rule, cut)},
            )
            self._sent.setdefault(cut.inputs[place], []).append(sent)


def gathered(name: str, axes: str, sent: Sequence[Sent]) -> Iterator[Gradient]:
    """What came back to one value: over its only use, or over each and then the sum."""
    if len(sent) == 1:
        (only,) = sent
        yield Gradient(f"gradient.{name}", axes, only.value, only.key, only.inputs, only.constants)
        return
    through = [f"gradient.{name}.through.{each.user}" for each in sent]
    for called, each in zip(through, sent, strict=True):
        yield Gradient(called, axes, each.value, each.key, each.inputs, each.constants)
    yield Gradient(f"gradient.{name}", axes, summed(sent), TOTAL, tuple(through))


def summed(sent: Sequence[Sent]) -> Tensor:
    """What several uses send back, added."""
    total = sent[0].value
    for each in sent[1:]:
        total = total + each.value
    return total


def _sizes(rule: Rule, cut: Cut) -> dict[str, int]:
    return {name: cut.values[place].shape[axis] for name, (place, axis) in rule.sizes.items()}
