"""Matrices set in text: brackets, labels, and equations that fit a given width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from glassformer.glass.verify import as_array
from glassformer.show.board import ARROW, Matrix, Term
from glassformer.show.numbers import PRECISION, grid, shape

LABEL = 12  # the widest a label gets
LABEL_STYLE, SYMBOL_STYLE, SIGN_STYLE, NOTE_STYLE = "cyan", "bold", "bold yellow", "dim"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a matrix is set: all of it up to `whole` rows or columns, else the first few."""

    rows: int = 8
    columns: int = 8
    whole_rows: int = 12
    whole_columns: int = 12

    def shown(self, rows: int, columns: int) -> tuple[int, int]:
        """How many rows and columns of a matrix of this size are set."""
        return (
            rows if rows <= self.whole_rows else min(self.rows, rows),
            columns if columns <= self.whole_columns else min(self.columns, columns),
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one width: heading lines, then body lines."""

    heading: tuple[Text, ...]
    body: tuple[Text, ...]
    left_out: tuple[int, int] = (0, 0)  # rows and columns that are not shown

    @property
    def width(self) -> int:
        """How many characters wide."""
        return max((line.cell_len for line in (*self.heading, *self.body)), default=0)


def clipped(label: str, width: int = LABEL) -> str:
    """A label no wider than its column may be."""
    return label if cell_len(label) <= width else set_cell_size(label, width - 1) + "…"


def padded(text: str, width: int, right: bool = False) -> str:
    """Filled with spaces up to a width, by the width of its characters."""
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def matrix_block(matrix: Matrix, limits: Limits, precision: int = PRECISION, labels: str = "left") -> Block:
    """A matrix below its symbol, its columns named, its rows named on one side (`left`, `right` or not)."""
    rows, columns = matrix.values.shape
    down, across = limits.shown(rows, columns)
    cells = grid(as_array(matrix.values[:down, :across]), precision)
    heads = [clipped(name) for name in (matrix.columns or ())[:across]]
    if heads:
        widths = [max(cell_len(head), len(cells[0][column])) for column, head in enumerate(heads)]
        cells = [[text.rjust(width) for text, width in zip(row, widths, strict=True)] for row in cells]
    more = " …" if across < matrix.size[1] else ""
    lines = [" ".join(row) + more for row in cells]
    inner = max((cell_len(line) for line in lines), default=0)
    if down < rows:
        lines.append("⋮".center(inner))
    names = [clipped(name) for name in (matrix.rows or ())[:down]] if labels else []
    beside = max(map(cell_len, names), default=0)
    names += [""] * (len(lines) - len(names))
    body = tuple(
        _row(line, place, len(lines), name, beside, labels)
        for place, (line, name) in enumerate(zip(lines, names, strict=True))
    )
    indent = beside + 1 if beside and labels == "left" else 0
    title = (
        matrix.symbol if (down, across) == matrix.size else f"{matrix.symbol} {shape(matrix.size)}".strip()
    )
    heading = [_title(title, inner + 4, indent)] if title else []
    if heads:
        named = " ".join(padded(head, width, right=True) for head, width in zip(heads, widths, strict=True))
        heading.append(Text(" " * (indent + 2) + named + more, LABEL_STYLE))
    return Block(tuple(heading), body, (rows - down, matrix.size[1] - across))


def indented(lines: Sequence[Text], indent: int) -> Text:
    """Lines that keep their spaces and their ends."""
    space = Text(" " * indent)
    text = Text("\n").join([space + line for line in lines])
    text.no_wrap, text.overflow = True, "ignore"
    return text


def wrapped(text: Text, width: int, indent: int = 0, hanging: int = 0) -> Text:
    """Prose in lines of at most this width, the later ones hanging a little to the right."""
    cuts: list[int] = []
    room = width - indent
    taken = 0
    for word in re.finditer(r" *[^ ]+", text.plain):
        size = cell_len(word[0])
        if taken and taken + size > room:
            cuts.append(word.end() - len(word[0].lstrip()))
            taken, room = cell_len(word[0].lstrip()), width - indent - hanging
        else:
            taken += size
    first, *rest = text.divide(cuts)
    lines = [first, *(Text(" " * hanging) + line for line in rest)]
    for line in lines:
        line.rstrip()
    return indented(lines, indent)


def _title(title: str, width: int, indent: int) -> Text:
    return Text(" " * (indent + max(0, (width - cell_len(title)) // 2)) + title, SYMBOL_STYLE)


def _row(line: str, place: int, count: int, name: str, beside: int, labels: str) -> Text:
    if count == 1:
        opening, closing = "[", "]"
    else:
        opening, closing = ("⎡", "⎤") if place == 0 else ("⎣", "⎦") if place == count - 1 else ("⎢", "⎥")
    text = Text.assemble((opening, NOTE_STYLE), " ", line, " ", (closing, NOTE_STYLE))
    if not beside:
        return text
    if labels == "left":
        return Text.assemble((padded(name, beside), LABEL_STYLE), " ", text)
    return Text.assemble(text, " ", (padded(name, beside), LABEL_STYLE))


def beside(parts: Sequence[Block | str], gap: int = 1) -> list[Text]:
    """Blocks and signs in one line: bodies centred on one another, each heading on its own body."""
    blocks = [part for part in parts if isinstance(part, Block)]
    above = max((len(block.heading) for block in blocks), default=0)
    tall = max((len(block.body) for block in blocks), default=1)
    lines = [Text() for _ in range(above + tall)]
    for number, part in enumerate(parts):
        block = part if isinstance(part, Block) else Block((), (Text(part, SIGN_STYLE),))
        start = above + (tall - len(block.body)) // 2 - len(block.heading)
        own = (*block.heading, *block.body)
        for place, line in enumerate(lines):
            piece = own[place - start] if 0 <= place - start < len(own) else Text()
            line.append(" " * (gap if number else 0))
            line.append(piece)
            line.append(" " * (block.width - piece.cell_len))
    for line in lines:
        line.rstrip()
    return [line for line in lines if line.cell_len]


def equation_lines(
    terms: Sequence[Term], result: Matrix, width: int, precision: int = PRECISION
) -> tuple[list[Text], tuple[int, int]]:
    """An equation in as few lines as the width allows; where three are not enough, with fewer columns shown.

    Also how many rows and columns of the result are not shown.
    """
    matrices = [term for term in (*terms, result) if isinstance(term, Matrix)]
    small = all(max(matrix.values.shape) <= Limits().whole_columns for matrix in matrices)
    for columns in (12, 8, 6, 4, 3, 2) if small else (4, 3, 2):
        limits = Limits(rows=6, columns=columns, whole_rows=12 if small else 8, whole_columns=columns)
        lines, left_out = _flow(terms, result, limits, precision, width)
        if len(lines) <= 3 and all(_width(parts) <= width for parts in lines):
            break
    return [line for parts in lines for line in beside(parts)], left_out


def _flow(
    terms: Sequence[Term], result: Matrix, limits: Limits, precision: int, width: int
) -> tuple[list[list[Block | str]], tuple[int, int]]:
    """The parts of an equation, broken into lines before a sign."""
    named = next((term for term in terms if isinstance(term, Matrix) and term.rows is not None), None)
    groups: list[list[Block | str]] = [[]]
    for term in terms:
        if (
            isinstance(term, str)
            and any(isinstance(part, Block) for part in groups[-1])
            and not term.startswith((")", "/"))
        ):
            groups.append([])
        groups[-1].append(
            term
            if isinstance(term, str)
            else matrix_block(term, limits, precision, "left" if term is named else "")
        )
    lines: list[list[Block | str]] = [groups[0]]
    for group in groups[1:]:
        if _width([*lines[-1], *group]) <= width:
            lines[-1] = [*lines[-1], *group]
        else:
            lines.append(group)
    equals = [] if groups[-1][-1] == ARROW else ["="]
    block = matrix_block(result, limits, precision, "right")
    if _width([*lines[-1], *equals, block]) <= width:
        lines[-1] = [*lines[-1], *equals, block]
    else:
        block = widest(result, width - 2, precision, limits.whole_rows)
        sign = "=" if equals else lines[-1].pop()
        lines.append([sign, block])
    return lines, block.left_out


def _width(parts: Sequence[Block | str]) -> int:
    return sum(part.width if isinstance(part, Block) else cell_len(part) for part in parts) + len(parts) - 1


def widest(matrix: Matrix, width: int, precision: int = PRECISION, rows: int = 12) -> Block:
    """As many columns as fit."""
    columns = min(matrix.values.shape[1], max(width // 3, 1))
    while True:
        limits = Limits(rows=rows if rows > 8 else 6, columns=columns, whole_rows=rows, whole_columns=columns)
        block = matrix_block(matrix, limits, precision)
        if block.width <= width or columns == 1:
            return block
        columns = min(columns - 1, max(1, columns * width // block.width))
