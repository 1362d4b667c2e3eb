"""A run as a workbook whose cells are live formulas: change a weight or an embedding, and all that follows recomputes.

The formulas come from the same table as every other view (glass/spreadsheet); beside each stands the value that the
model computed, so that a viewer that recomputes nothing shows the numbers too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from glassformer.errors import InputError
from glassformer.files import writing
from glassformer.glass.names import Names
from glassformer.glass.spreadsheet.cells import Cells
from glassformer.glass.spreadsheet.table import CELLS as WRITERS
from glassformer.glass.step import Step
from glassformer.glass.trace import Trace
from glassformer.show.labels import Labels
from glassformer.show.workbook_heads import of_heads
from glassformer.show.workbook_index import write_index
from glassformer.show.workbook_layout import (
    CELLS,
    COLUMNS,
    INPUT,
    LEFT,
    ROWS,
    SHEETS,
    VALUE,
    Placed,
    chosen,
    count,
    placed,
)
from glassformer.show.workbook_looks import OPENINGS, Looks

LONGEST = 8_000  # letters of a formula; spreadsheets allow 8192
BORN = datetime(2000, 1, 1)  # the same run makes the same file
PATTERNS = ("{side}.*", "{side}.layers.0.*", "{side}.layers.0.{part}.*", "{side}.layers.0.{part}.weights")


def write_workbook(
    trace: Trace,
    path: str | Path,
    names: Names | None = None,
    *,
    keep: str | Iterable[str] = "*",
    heads: int | Sequence[int] | None = None,
) -> None:
    """Write the steps that fit `keep` as formulas; what they are made from and is not among them is written as values.

    With `heads` every attention has only these, and of its maps only their rows. A workbook holds up to 200,000
    numbers; a larger one is refused with the part of the run that would fit.
    """
    path = Path(path)
    if path.suffix.lower() != ".xlsx":
        raise InputError(f"{path} is no name of a workbook; give one that ends in .xlsx")
    steps = chosen(trace, keep)
    numbers = None if heads is None else [heads] if isinstance(heads, int) else list(heads)
    if numbers is not None:
        trace, steps = of_heads(trace, steps, numbers)
    blocks = fitting(trace, steps)
    library = _library()
    with writing(path, library.exceptions.FileCreateError) as partial:
        workbook = library.Workbook(str(partial), {"strings_to_numbers": False, "nan_inf_to_errors": True})
        Book(workbook, trace, Labels(trace, names), blocks, numbers).write()
        workbook.close()


def fitting(trace: Trace, steps: list[Step]) -> dict[str, Placed]:
    """Every value at its place, if there is room for all."""
    numbers = count(trace, steps)
    blocks = {} if numbers > CELLS else placed(trace, steps)
    wide = [block.name for block in blocks.values() if LEFT + block.columns > COLUMNS]
    high = [block.name for block in blocks.values() if block.top + block.height > ROWS]
    if blocks and not wide and not high:
        return blocks
    if numbers > CELLS:
        raise InputError(f"the workbook would need {numbers:,} numbers, and {CELLS:,} fit; {advice(trace)}")
    raise InputError(f"the workbook has no sheet wide enough for {(wide + high)[0]}; {advice(trace)}")


def advice(trace: Trace) -> str:
    """The largest part of a run that would fit, as a sentence's end; of an attention too large, one head of it."""
    for pattern in _parts(trace):
        steps = chosen(trace, pattern)
        ways = [("", trace, steps)]
        if pattern.endswith("attention.*") and any("H" in step.axes.split() for step in trace.values()):
            ways.append((", heads=0", *of_heads(trace, steps, [0])))
        for said, run, own in ways:
            numbers = count(run, own)
            widest = max(run.value(step.name).shape[-1] if run.value(step.name).ndim else 1 for step in own)
            if numbers <= CELLS and widest < COLUMNS - LEFT:
                return f"keep='{pattern}'{said} would fit with {numbers:,}"
    return "choose fewer steps with keep"


def _parts(trace: Trace) -> list[str]:
    """Patterns for ever smaller parts of a run, those of this run alone."""
    found = []
    for pattern in PATTERNS:
        for side in ("encoder", "decoder"):
            for part in ("self_attention", "feed_forward") if "{part}" in pattern else ("",):
                wanted = pattern.format(side=side, part=part)
                begins = wanted.removesuffix("*").removesuffix("weights")
                if any(name.startswith(begins) for name in trace) and not (
                    wanted.endswith("weights") and f"{begins}weights" not in trace
                ):
                    found.append(wanted)
    return found


class Book:
    """Writes the blocks of one run."""

    def __init__(
        self,
        workbook: Any,
        trace: Trace,
        labels: Labels,
        blocks: Mapping[str, Placed],
        heads: Sequence[int] | None = None,
    ) -> None:
        self.workbook, self.trace, self.labels, self.blocks = workbook, trace, labels, blocks
        self.heads = heads  # those that were chosen; None: all
        self.looks = Looks(workbook)

    def write(self) -> None:
        """All sheets, the index first."""
        self.workbook.set_properties({"title": "glassformer", "created": BORN})
        index = self.workbook.add_worksheet("Index")
        used = [name for name in SHEETS if any(block.sheet == name for block in self.blocks.values())]
        sheets = {name: self.workbook.add_worksheet(name) for name in used}
        for name, sheet in sheets.items():
            self.begin(name, sheet)
        for block in self.blocks.values():
            self.block(sheets[block.sheet], block)
        write_index(index, self.looks, self.trace, self.labels, list(self.blocks.values()), used)

    def begin(self, name: str, sheet: Any) -> None:
        """A sheet's title, what it is about, and what stays in sight."""
        sheet.set_column(0, 0, 30)
        sheet.set_column(1, 60, 11)
        sheet.write_string(0, 0, name, self.looks.sheet_title)
        sheet.write_string(0, 1, OPENINGS[name], self.looks.prose)
        sheet.write_url(1, 0, "internal:Index!A1", self.looks.link, "back to the index")
        sheet.freeze_panes(2, 1)
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.set_tab_color(self.looks.tab(name))

    # ------------------------------------------------------------------ one block

    def block(self, sheet: Any, block: Placed) -> None:
        """Title, formula, idea, names of rows and columns, numbers."""
        sheet.write_string(block.top, 0, block.name, self.looks.title)
        sheet.write_string(block.top + 1, 0, self.formula(block), self.looks.formula)
        sheet.write_string(block.top + 2, 0, self.idea(block), self.looks.prose)
        for column in range(block.columns):
            sheet.write_blank(block.top, column + 1, None, self.looks.title)
        rows, columns = self.names(block)
        for piece in range(block.pieces):
            top = block.first_row(piece)
            sheet.write_string(top - 1, 0, self.piece(block, piece), self.looks.corner)
            for place, called in enumerate(columns):
                sheet.write_string(top - 1, LEFT + place, called, self.looks.column)
            for place, called in enumerate(rows):
                sheet.write_string(top + place, 0, called, self.looks.row)
        self.numbers(sheet, block)

    def numbers(self, sheet: Any, block: Placed) -> None:
        """Every number, with the formula that makes it."""
        live = block.kind not in (INPUT, VALUE)
        looks = self.looks.numbers(block)
        cells = self.cells(block) if live else None
        for index in block.indices():
            row, column = block.place(index)
            value = as_cell(block.values[index])
            if cells is None:
                sheet.write(row, column, value, looks)
                continue
            written = self.written(block, cells, index)
            if written is None:
                sheet.write(row, column, value, self.looks.value)
            else:
                sheet.write_formula(row, column, f"={written}", looks, value)

    def cells(self, block: Placed) -> Cells:
        """Where the inputs of a step stand."""
        assert block.step is not None, "a parameter has no formula"
        inputs = tuple(self.blocks[name] for name in block.step.inputs)
        return Cells(inputs, block, block.step.constants)

    @staticmethod
    def written(block: Placed, cells: Cells, index: tuple[int, ...]) -> str | None:
        """The formula of one cell; None where it is longer than a cell may hold."""
        assert block.step is not None, "a parameter has no formula"
        found = WRITERS[block.step.key](cells, index).replace(f"{block.sheet}!", "")
        return found if len(found) <= LONGEST else None

    # ------------------------------------------------------------------ what it is called

    @staticmethod
    def formula(block: Placed) -> str:
        """The formula in words, or what stands in its place."""
        if block.step is None:
            return "a parameter: change it"
        if block.kind == VALUE:
            return f"{block.step.written}   (written as values: what makes them is not in this workbook)"
        return "change it" if block.step.key == "given" else block.step.written

    @staticmethod
    def idea(block: Placed) -> str:
        """The idea in a sentence."""
        if block.step is None:
            matrix = len(block.shape) > 1 and block.sheet == "Weights"
            return "As it is stored: a row for each number that comes out." if matrix else ""
        return block.step.formula.says

    def piece(self, block: Placed, piece: int) -> str:
        """Which text and head a rectangle belongs to."""
        if block.step is None or (block.pieces == 1 and self.heads is None):
            return ""
        letters = block.step.axes.split()[:-2]
        places = np.unravel_index(piece, block.shape[:-2])
        called = {"B": "text", "H": "head", "G": "key/value head"}
        said = [
            f"{called[letter]} {self.head(int(place)) if letter == 'H' else place}"
            for letter, place, size in zip(letters, places, block.shape, strict=False)
            if letter in called and (size > 1 or letter == "H" and self.heads is not None)
        ]
        return ", ".join(said)

    def head(self, place: int) -> int:
        """The number of a head."""
        return place if self.heads is None else self.heads[place]

    def names(self, block: Placed) -> tuple[list[str], list[str]]:
        """What rows and columns are called: tokens, words, labels; else their numbers."""
        shape = block.shape
        rows, columns = [str(n) for n in range(block.rows)], [str(n) for n in range(block.columns)]
        if block.step is None or block.name.startswith(("gradient.", "update.")):
            side = self.table_side(block.name)
            if side is not None and len(shape) == 2:
                words = self.labels.vocabulary(side, shape[0])
                rows = [f"{number}  {word}" for number, word in enumerate(words)]
        step = block.step
        if step is not None:
            for axis, called in ((len(shape) - 2, rows), (len(shape) - 1, columns)):
                found = self.labels.along(step, axis) if axis >= 0 else None
                if found is not None:
                    called[:] = found
        if len(shape) < 2:
            rows = [""]
        return rows, columns if shape else [""]

    def table_side(self, name: str) -> str | None:
        """Whose words the rows of a table belong to."""
        if name.endswith("source_tokens.weight") or ".source_tokens.weight." in name:
            return "encoder"
        alone = name.removeprefix("gradient.").removeprefix("update.")
        words = alone.startswith(("tokens.weight", "head.output."))
        return self.labels.last if words else None


def as_cell(value: Any) -> float | int | str:
    """A number as a cell holds it; what no cell can hold, as a sign."""
    if isinstance(value, np.bool_ | np.integer):
        return int(value)
    if np.isneginf(value):
        return "−∞"
    return float(value)


def _library() -> Any:
    """xlsxwriter, imported when a workbook is asked for."""
    try:
        return import_module("xlsxwriter")
    except ImportError as error:
        raise InputError("a workbook needs xlsxwriter; run pip install 'glassformer[workbook]'") from error


