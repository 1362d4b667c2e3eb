"""Plain text: documents, and two texts side by side."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from glassformer.data.examples import Skipped
from glassformer.data.lines import Line, read_lines
from glassformer.data.reading import Reading
from glassformer.data.table import Row, Table
from glassformer.errors import InputError

ROLES = {"text": "text"}
Lines = Iterator[Line | Skipped]


def read_text(path: Path, reading: Reading) -> Table:
    """Documents: each line, or what stands between empty lines, or the whole file.

    A line that cannot be read is told and left out of the document around it.
    """
    lines = read_lines(path, reading.max_characters)
    rows = (
        _single(path, lines)
        if reading.documents == "lines"
        else _joined(lines, reading.documents == "paragraphs")
    )
    return Table(file=str(path), names=("text",), rows=rows, roles=ROLES)


def _single(path: Path, lines: Lines) -> Iterator[Row | Skipped]:
    for line in lines:
        if isinstance(line, Skipped):
            yield line
        elif not line.text.strip():
            yield Skipped(str(path), line.number, "it is empty")
        else:
            yield Row(line.number, {"text": line.text})


def _joined(lines: Lines, cut_at_empty: bool) -> Iterator[Row | Skipped]:
    held: list[Line] = []
    for line in lines:
        if isinstance(line, Skipped):
            yield line
        elif line.text.strip() or not cut_at_empty:
            held.append(line)
        else:
            yield from _document(held)
            held = []
    yield from _document(held)


def _document(held: list[Line]) -> Iterator[Row]:
    """The lines as one text, if there is anything in them."""
    text = "\n".join(line.text for line in held)
    if text.strip():
        yield Row(held[0].number, {"text": text})


def read_parallel(source: Path, target: Path, reading: Reading) -> Table:
    """Line i of one text with line i of the other."""
    left, right = (source.name, target.name) if source.name != target.name else (str(source), str(target))
    return Table(
        file=str(source),
        names=(left, right),
        rows=_side_by_side(source, target, reading, (left, right)),
        roles={"source": left, "target": right},
    )


def _side_by_side(
    source: Path, target: Path, reading: Reading, names: tuple[str, str]
) -> Iterator[Row | Skipped]:
    both = zip_longest(*(read_lines(path, reading.max_characters) for path in (source, target)))
    for number, (left, right) in enumerate(both, start=1):
        if left is None or right is None:
            longer = number + sum(1 for _ in both)
            counts = (longer, number - 1) if right is None else (number - 1, longer)
            raise InputError(
                f"{source} has {counts[0]} lines and {target} has {counts[1]}; parallel texts have equally many"
            )
        if isinstance(left, Skipped):
            yield left
        if isinstance(right, Skipped):
            yield right
        if isinstance(left, Line) and isinstance(right, Line):
            yield Row(number, dict(zip(names, (left.text, right.text), strict=True)))
