"""A model that can be asked the same question many times, its steps replaced or followed backwards on the way.

Looking and touching are one mechanism: what is replaced, and what a gradient is taken of, are edits of a trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.trace import Edit, Trace
from glassformer.inspection.question import Number, Question
from glassformer.model import Transformer

ROWS = 32  # texts in one run


class Machine:
    """A question to a model."""

    def __init__(self, model: Transformer, question: Question) -> None:
        self.model, self.question = model, question

    def __call__(self, edits: Mapping[str, Edit] | None = None, rows: int = 1) -> Tensor:
        """The number that is asked about, once for each row (rows,)."""
        caught: list[Tensor] = []
        number, given = self.question.number, dict(edits or {})
        if number is not None:
            before = given.get(number.step)

            def catch(value: Tensor) -> Tensor:
                value = value if before is None else before(value)
                caught.append(value)
                return value

            given[number.step] = catch
        trace = Trace((), given)
        logits = self.model(**self.question.inputs(rows), trace=trace)
        trace.check()
        if number is None:
            return self.question.value(logits)
        return at(caught[0], number)

    def steps(self, keep: str | Sequence[str] = "*") -> Trace:
        """Every number of the run."""
        trace = Trace(keep)
        with torch.no_grad():
            self.model(**self.question.inputs(), trace=trace)
        return trace

    def value(self, name: str) -> Tensor:
        """The value of one step (1, ...)."""
        return self.steps(name)[name].value

    def gradients(
        self, names: Sequence[str], edits: Mapping[str, Edit] | None = None, rows: int = 1
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """The number (rows,), the values of some steps, and its gradient with respect to each of them."""
        values: dict[str, Tensor] = {}
        given = dict(edits or {})
        for name in names:
            given[name] = followed(name, given.get(name), values)
        with torch.enable_grad():
            number = self(given, rows)
            found = torch.autograd.grad(number.sum(), [values[name] for name in names])
        held = {name: value.detach() for name, value in values.items()}
        return number.detach(), held, dict(zip(names, found, strict=True))


def at(value: Tensor, number: Number) -> Tensor:
    """One number of a step for each row (rows,)."""
    shape = tuple(value.shape[1:])
    inside = (-size <= place < size for place, size in zip(number.place, shape, strict=False))
    if len(number.place) != len(shape) or not all(inside):
        raise InputError(f"{number.step} has no number at {number.place}; its shape behind the batch is {shape}")
    for place in number.place:
        value = value[:, place]
    return value


def followed(name: str, before: Edit | None, values: dict[str, Tensor]) -> Edit:
    """A step whose value is kept with what leads on from it, so that a gradient can be taken."""

    def edit(value: Tensor) -> Tensor:
        value = value if before is None else before(value)
        value = value.clone() if value.requires_grad else value.detach().clone().requires_grad_()
        values[name] = value
        return value

    return edit


def set_to(value: Tensor) -> Edit:
    """A step replaced by what is given."""
    return lambda _: value


def in_lots(count: int, rows: int = ROWS) -> Iterator[range]:
    """Numbers in lots of so many."""
    for start in range(0, count, rows):
        yield range(start, min(start + rows, count))


@contextmanager
def machine_of(model: Transformer, question: Question, float64: bool) -> Iterator[Machine]:
    """The model itself, at rest, or a copy of it in float64."""
    if float64 and model.tokens.weight.dtype != torch.float64:
        yield Machine(deepcopy(model).double().eval(), question)
        return
    training = model.training
    try:
        yield Machine(model.eval(), question)
    finally:
        model.train(training)


