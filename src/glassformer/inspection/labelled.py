"""An array whose axes and rows have names: what a sweep over layers, heads or positions finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassformer.errors import InputError
from glassformer.inspection.drawing import drawn

WIDTH, LABEL, CELL = 110, 28, 7  # of a printed table, of its row labels beside several columns, of a number in it


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """Numbers, the name of each axis and the labels along it, and what the numbers are."""

    values: NDArray[np.float64]
    axes: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    measure: str
    facts: Mapping[str, Any] = field(default_factory=dict)  # what else is to be known, such as both runs' values

    def __post_init__(self) -> None:
        sizes = tuple(map(len, self.labels))
        if self.values.shape != sizes or len(self.axes) != len(sizes):
            raise ValueError(f"the values have shape {self.values.shape}, the labels {sizes}, the axes {self.axes}")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self.values.astype(dtype or np.float64)

    def numpy(self) -> NDArray[np.float64]:
        """The numbers alone."""
        return self.values

    def at(self, *labels: str) -> float:
        """The number under these labels, one for each axis."""
        place = []
        for axis, known, label in zip(self.axes, self.labels, labels, strict=True):
            if label not in known:
                raise InputError(f"there is no {axis} {label!r}; there are {', '.join(known)}")
            place.append(known.index(label))
        return float(self.values[tuple(place)])

    def strongest(self, count: int = 10) -> list[tuple[tuple[str, ...], float]]:
        """The numbers furthest from nothing, each under its labels."""
        order = np.argsort(-np.abs(self.values), axis=None, kind="stable")[:count]
        places = [np.unravel_index(number, self.values.shape) for number in order]
        return [
            (tuple(self.labels[axis][int(at)] for axis, at in enumerate(place)), float(self.values[place]))
            for place in places
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "measure": self.measure,
            "axes": list(self.axes),
            "labels": {axis: list(names) for axis, names in zip(self.axes, self.labels, strict=True)},
            "values": self.values.tolist(),
            **self.facts,
        }

    def plot(self, path: str | None = None, **options: Any) -> Any:
        """A heat map (of one axis: bars) by matplotlib, written to `path` where one is given. Extra: plot."""
        return drawn("labelled", self, path, **options)

    def __str__(self) -> str:
        told = [f"{self.measure}: {' by '.join(self.axes)}"]
        told += [f"  {name.replace('_', ' ')}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}"
                 for name, value in self.facts.items()]  # fmt: skip
        rows = self.labels[0]
        if self.values.ndim == 1:
            return "\n".join([*told, *table(rows, ("",), self.values[:, None])])
        return "\n".join([*told, *table(rows, self.labels[1], self.values.reshape(len(rows), -1))])


def table(rows: Sequence[str], columns: Sequence[str], values: NDArray[Any]) -> list[str]:
    """Lines of numbers under their labels; what is too wide goes on below."""
    widest = LABEL if len(columns) > 1 else WIDTH - CELL - 1
    beside = min(widest, max(map(len, rows), default=0))
    cell = max(CELL, min(12, max(map(len, columns), default=0)))
    across = max(1, (WIDTH - beside) // (cell + 1))
    lines = []
    for start in range(0, len(columns), across):
        part = range(start, min(start + across, len(columns)))
        if any(columns):
            lines.append(" " * beside + "".join(f" {clipped(columns[c], cell):>{cell}}" for c in part))
        for row, name in enumerate(rows):
            cells = "".join(f" {rounded(values[row, c], 3):>{cell}.3f}" for c in part)
            lines.append(f"{clipped(name, beside):<{beside}}{cells}")
    return lines


def rounded(value: float, digits: int) -> float:
    """A number as it is shown: what rounds to nothing has no sign."""
    return round(float(value), digits) + 0.0


def clipped(text: str, width: int) -> str:
    """A label no wider than its place."""
    return text if len(text) <= width else text[: width - 1] + "…"


def told_apart(tokens: Sequence[str]) -> tuple[str, ...]:
    """Tokens as labels: those that come twice get their number."""
    twice = {token for token in tokens if list(tokens).count(token) > 1}
    return tuple(f"{token}·{place}" if token in twice else token for place, token in enumerate(tokens))
