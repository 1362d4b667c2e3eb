"""One named number of a run, and the glossary of axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from glassformer.glass.formula import Formula
from glassformer.glass.table import ALL
from glassformer.glass.views import view

if TYPE_CHECKING:
    from glassformer.glass.trace import Trace

AXES: dict[str, str] = {
    "B": "batch",
    "T": "position",
    "Q": "query position",
    "K": "key position",
    "P": "earlier key position",
    "N": "new key position",
    "S": "source position",
    "A": "candidate",
    "H": "head",
    "G": "key/value head",
    "D": "head size",
    "C": "d_model",
    "E": "embedding size",
    "F": "d_ff",
    "V": "vocabulary",
    "L": "label",
    "O": "row of a parameter",
    "I": "column of a parameter",
    "1": "shared by all",
}


def _nothing() -> None:
    """A step alone is of no run."""


@dataclass(frozen=True, slots=True)
class Step:
    """One named value of a run: what it is, what its axes mean, and how it was made."""

    name: str
    axes: str  # one letter for each axis of the value, spelt out in AXES
    value: Tensor
    key: str  # which formula
    inputs: tuple[str, ...]  # parameters and earlier steps, in the formula's order
    constants: Mapping[str, Any] = field(default_factory=dict)
    edited: bool = False
    run: Callable[[], Trace | None] = field(default=_nothing, repr=False, compare=False)  # a weak reference

    @property
    def trace(self) -> Trace | None:
        """The run that it is a step of, as long as that is held."""
        return self.run()

    @property
    def formula(self) -> Formula:
        """The formula's row in the table."""
        return ALL[self.key]

    @property
    def written(self) -> str:
        """The formula as this step uses it, in plain text."""
        return self.formula.written(len(self.inputs), self.constants)

    @property
    def typeset(self) -> str:
        """The formula as this step uses it, in LaTeX."""
        return self.formula.typeset(len(self.inputs), self.constants)

    def __repr__(self) -> str:
        shape = " ".join(f"{a}={n}" for a, n in zip(self.axes.split(), self.value.shape, strict=True))
        return f"{self.name}  [{shape}]  {self.written}"

    def _repr_html_(self) -> str:
        """The step in a notebook: its formula, and its numbers as a heat map."""
        return str(view("step", self))
