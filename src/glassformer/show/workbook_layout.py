"""Where everything stands in a workbook: which sheet a value is on, and which cells it fills."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassformer.glass.naming import Keep
from glassformer.glass.step import Step
from glassformer.glass.trace import Trace
from glassformer.glass.verify import as_array

SHEETS = ("Inputs", "Embeddings", "Weights", "Encoder", "Decoder", "Head", "Search", "Loss", "Backward", "Update")
ROWS, COLUMNS = 1_048_576, 16_384  # of a sheet, in every spreadsheet program
CELLS = 200_000  # of a workbook that is written in a minute and still opens and recomputes well
TOP, LEFT = 3, 1  # the first row and column of numbers
HEAD = 4  # rows above a block's numbers: title, formula, idea, column names
GAP = 2  # empty rows below a block

INPUT, STEP, RESULT, VALUE = "input", "step", "result", "value"
RESULTS = ("encoder.output", "decoder.output", "head.probabilities", "loss.mean")
TABLES = ("tokens.weight", ".positions.weight", ".segments.weight", ".table.weight")


def letters(column: int) -> str:
    """0 -> A, 25 -> Z, 26 -> AA."""
    found = ""
    column += 1
    while column:
        column, place = divmod(column - 1, 26)
        found = chr(65 + place) + found
    return found


@dataclass(frozen=True)
class Placed:
    """A value on a sheet: its last axis to the right, the one before it down, all others below one another."""

    name: str
    kind: str
    values: NDArray[Any]
    sheet: str
    top: int  # the row of its title
    step: Step | None = None  # None: a parameter

    @property
    def shape(self) -> tuple[int, ...]:
        """The size along each axis."""
        return tuple(self.values.shape)

    @property
    def rows(self) -> int:
        """Of one of its pieces."""
        return self.shape[-2] if len(self.shape) > 1 else 1

    @property
    def columns(self) -> int:
        """Of all of its pieces."""
        return self.shape[-1] if self.shape else 1

    @property
    def pieces(self) -> int:
        """How many rectangles stand below one another."""
        return prod(self.shape[:-2])

    @property
    def height(self) -> int:
        """All rows, from the title to the empty ones below."""
        return HEAD + self.pieces * (self.rows + 2) - 2 + GAP

    def first_row(self, piece: int) -> int:
        """The first row of numbers of a piece; the row above it names its columns."""
        return self.top + HEAD + piece * (self.rows + 2)

    def place(self, index: tuple[int, ...]) -> tuple[int, int]:
        """The row and column of one number, counted from 0."""
        before, row, column = index[:-2], index[-2] if len(index) > 1 else 0, index[-1] if index else 0
        piece = int(np.ravel_multi_index(before, self.shape[:-2])) if before else 0
        return self.first_row(piece) + row, LEFT + column

    def _named(self, row: int, column: int) -> str:
        return f"{letters(column)}{row + 1}"

    def _range(self, first: tuple[int, int], last: tuple[int, int]) -> str:
        if first == last:
            return f"{self.sheet}!{self._named(*first)}"
        return f"{self.sheet}!{self._named(*first)}:{self._named(*last)}"

    def cell(self, *index: int) -> str:
        """One number."""
        place = self.place(index)
        return self._range(place, place)

    def row(self, *before: int, start: int = 0, stop: int | None = None) -> str:
        """The numbers along the last axis, or some of them."""
        end = self.columns if stop is None else stop
        return self._range(self.place((*before, start)), self.place((*before, end - 1)))

    def column(self, *index: int, start: int = 0, stop: int | None = None) -> str:
        """The numbers along the axis before the last."""
        *before, number = index
        end = self.rows if stop is None else stop
        return self._range(self.place((*before, start, number)), self.place((*before, end - 1, number)))

    def whole(self) -> list[str]:
        """Each piece as one rectangle."""
        found = []
        for piece in range(self.pieces):
            row = self.first_row(piece)
            found.append(self._range((row, LEFT), (row + self.rows - 1, LEFT + self.columns - 1)))
        return found

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Every place of the value."""
        return np.ndindex(self.shape)


def sheet_of(name: str, kind: str, parameter: bool) -> str:
    """The sheet that a value belongs on."""
    if parameter:
        return "Embeddings" if name.endswith(TABLES) else "Weights"
    part = name.partition(".")[0]
    if part in ("gradient", "update"):
        return "Backward" if part == "gradient" else "Update"
    if kind in (INPUT, VALUE):
        return "Inputs"
    return part.capitalize()


def chosen(trace: Trace, keep: str | Iterable[str]) -> list[Step]:
    """The steps whose cells are to be formulas."""
    patterns = Keep(keep)
    patterns.check(list(trace))
    return [step for step in trace.values() if patterns(step.name)]


def kind_of(step: Step, trace: Trace) -> str:
    """What is to be seen of a step at once: whether one may change it, follows it, or has arrived."""
    if step.key == "given":
        return INPUT
    if step.edited or not all(name in trace or name in trace.parameters for name in step.inputs):
        return VALUE  # nothing here makes it
    made = step.name in RESULTS or (step.name.startswith("update.") and step.name.endswith(".new"))
    return RESULT if made else STEP


def sized(trace: Trace, steps: Iterable[Step]) -> dict[str, tuple[str, Step | None]]:
    """Everything that a workbook of these steps holds: their inputs first, each with its kind."""
    steps = list(steps)
    own = {step.name for step in steps}
    found: dict[str, tuple[str, Step | None]] = {}
    for step in steps:
        kind = kind_of(step, trace)
        for name in () if kind in (INPUT, VALUE) else step.inputs:
            if name in trace and name not in own:
                source = trace[name]
                found.setdefault(name, (INPUT if source.key == "given" else VALUE, source))
            elif name not in trace:
                found.setdefault(name, (INPUT, None))
        found[step.name] = kind, step
    return found


def count(trace: Trace, steps: Iterable[Step]) -> int:
    """How many numbers a workbook of these steps would hold."""
    return sum(trace.value(name).numel() for name in sized(trace, steps))


def placed(trace: Trace, steps: Iterable[Step]) -> dict[str, Placed]:
    """Every value on its sheet, one below the other."""
    next_row = dict.fromkeys(SHEETS, TOP)
    found: dict[str, Placed] = {}
    for name, (kind, step) in sized(trace, steps).items():
        sheet = sheet_of(name, kind, step is None)
        block = Placed(name, kind, as_array(trace.value(name)), sheet, next_row[sheet], step)
        next_row[sheet] += block.height
        found[name] = block
    return found
