"""The first sheet of a workbook: what it is, what to change, and where everything stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glassformer.glass.trace import Trace
from glassformer.show.labels import SIDES, Labels
from glassformer.show.workbook_layout import Placed
from glassformer.show.workbook_looks import COLOURS, MEANINGS, OPENINGS, Looks

WIDTHS = (18, 74, 16, 12, 60)


def write_index(
    sheet: Any, looks: Looks, trace: Trace, labels: Labels, blocks: Sequence[Placed], used: Sequence[str]
) -> None:
    """Title, texts, colours, sheets, blocks."""
    for column, width in enumerate(WIDTHS):
        sheet.set_column(column, column, width)
    sheet.hide_gridlines(2)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    row = _opening(sheet, looks, trace, labels)
    row = _legend(sheet, looks, row)
    for name in used:
        sheet.write_url(row, 0, f"internal:{name}!A1", looks.link, name)
        sheet.write_string(row, 1, OPENINGS[name], looks.prose)
        row += 1
    _table(sheet, looks, blocks, row + 1)


def _opening(sheet: Any, looks: Looks, trace: Trace, labels: Labels) -> int:
    model = labels.names.model or "a transformer"
    sheet.write_string(0, 0, f"Every number of one run of {model}", looks.sheet_title)
    said = [("read", " ".join(labels.tokens(side))) for side in SIDES[:1] if labels.tokens(side)]
    said += [("written", " ".join(labels.tokens("decoder")))] if labels.tokens("decoder") else []
    said += [("answer", trace.answer)] if trace.answer else []
    said += [("wanted", trace.wanted)] if trace.wanted else []
    for row, (what, words) in enumerate(said, start=2):
        sheet.write_string(row, 0, what, looks.prose)
        sheet.write_string(row, 1, words, looks.plain)
    return len(said) + 3


def _legend(sheet: Any, looks: Looks, row: int) -> int:
    for kind in COLOURS:
        sheet.write_number(row, 0, 0.5, looks.kind(kind))
        sheet.write_string(row, 1, MEANINGS[kind], looks.plain)
        row += 1
    said = (
        "Change a yellow cell, and every number after it is computed anew; words, and the answer below, stay those of "
        "this run. Dropout is off."
    )
    sheet.write_string(row, 1, said, looks.prose)
    return row + 2


def _table(sheet: Any, looks: Looks, blocks: Sequence[Placed], row: int) -> None:
    for column, heading in enumerate(("sheet", "step or parameter", "size", "first cell", "formula")):
        sheet.write_string(row, column, heading, looks.heading)
    for block in sorted(blocks, key=lambda block: list(OPENINGS).index(block.sheet)):
        row += 1
        place = block.cell(*(0,) * len(block.shape)).partition("!")[2]
        sheet.write_string(row, 0, block.sheet, looks.plain)
        sheet.write_url(row, 1, f"internal:{block.sheet}!A{block.top + 1}", looks.link, block.name)
        sheet.write_string(row, 2, " × ".join(map(str, block.shape)) or "1", looks.plain)
        sheet.write_string(row, 3, place, looks.plain)
        sheet.write_string(row, 4, "" if block.step is None else block.step.written, looks.formula)
