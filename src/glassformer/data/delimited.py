"""Tables whose cells stand between tabs, commas or semicolons."""

import csv
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from glassformer.data.columns import are_headings, asked_names
from glassformer.data.examples import Skipped
from glassformer.data.lines import Line, Unfit, checked, read_lines
from glassformer.data.reading import Column, Reading
from glassformer.data.table import Row, Table, counted, peek

DELIMITERS = (",", ";", "\t", "|")
OPEN = "unexpected end of data"  # csv's words for a quote that is not closed
LONGEST_RECORD = 10_000  # lines of one cell


class Record(NamedTuple):
    """The line that a record begins in, and its cells."""

    line: int
    cells: list[str]


Records = Iterator[Record | Skipped]


def read_tsv(path: Path, reading: Reading) -> Table:
    """Cells between tabs, without quoting.

    The first line names the columns if it holds nothing but usual names, or one that was asked for.
    """
    head, records = peek(_between_tabs(path, read_lines(path, reading.max_characters)))
    first = next((record.cells for record in head if isinstance(record, Record)), [])
    found = are_headings(first) or bool(asked_names(reading) & set(first))
    return _table(path, head, records, found if reading.headings is None else reading.headings)


def read_csv(path: Path, reading: Reading) -> Table:
    """Cells in quotes where need be (RFC 4180); the first line names the columns unless told otherwise."""
    first, lines = peek(read_lines(path, reading.max_characters), 1)
    delimiter = reading.delimiter or _delimiter(
        next((line.text for line in first if isinstance(line, Line)), "")
    )
    head, records = peek(iter(Quoted(str(path), lines, delimiter, reading.max_characters)))
    return _table(path, head, records, reading.headings is not False)


def _table(path: Path, head: Sequence[Record | Skipped], records: Records, headings: bool) -> Table:
    """Rows of as many cells as there are headings, or else as most of the first rows have."""
    good = [record for record in head if isinstance(record, Record)]
    names: tuple[Column, ...] = ()
    if good and headings:
        names = tuple(cell.strip() for cell in good[0].cells)
        records = (record for record in records if record is not good[0])
    elif good:
        ((width, _),) = Counter(len(record.cells) for record in good).most_common(1)
        names = tuple(range(width))
    return Table(file=str(path), names=names, rows=_rows(path, records, names))


def _rows(path: Path, records: Records, names: Sequence[Column]) -> Iterator[Row | Skipped]:
    for record in records:
        if isinstance(record, Skipped):
            yield record
        elif len(record.cells) != len(names):
            yield Skipped(
                str(path), record.line, f"it has {counted(len(record.cells), 'column')}, not {len(names)}"
            )
        else:
            yield Row(record.line, dict(zip(names, record.cells, strict=True)))


def _between_tabs(path: Path, lines: Iterator[Line | Skipped]) -> Records:
    for line in lines:
        if isinstance(line, Skipped):
            yield line
        elif not line.text.strip():
            yield Skipped(str(path), line.number, "it is empty")
        else:
            yield Record(line.number, line.text.split("\t"))


def _delimiter(headings: str) -> str:
    """What stands most often in the first line; a comma where nothing does."""
    return max(DELIMITERS, key=headings.count)


class Quoted:
    """The records of a csv, of which one may go over several lines.

    Where a record breaks off, only its first line is given up, and reading goes on with the next: a stray quote
    costs one line, not the rest of the file.
    """

    def __init__(
        self, file: str, lines: Iterator[Line | Skipped], delimiter: str, max_characters: int
    ) -> None:
        self.file, self.lines, self.delimiter, self.max_characters = file, lines, delimiter, max_characters
        self.waiting: deque[Line | Skipped] = deque()  # lines to be read again
        self.width: int | None = None

    def __iter__(self) -> Records:
        while (line := self._next()) is not None:
            if isinstance(line, Skipped):
                yield line
            elif not line.text.strip():
                yield Skipped(self.file, line.number, "it is empty")
            else:
                yield self._record(line)

    def _next(self) -> Line | Skipped | None:
        return self.waiting.popleft() if self.waiting else next(self.lines, None)

    def _record(self, first: Line) -> Record | Skipped:
        taken: list[Line | Skipped] = []
        try:
            cells = self._cells(first.text, taken)
            if self.width is None:
                self.width = len(cells)
            elif taken and len(cells) != self.width:
                raise Unfit(f"it has {counted(len(cells), 'column')}, not {self.width}")
        except Unfit as unfit:
            self.waiting.extendleft(reversed(taken))
            return Skipped(self.file, first.number, str(unfit))
        if broken := [line for line in taken if isinstance(line, Skipped)]:
            self.waiting.extendleft(reversed(broken))
            return Skipped(
                self.file, first.number, f"line {broken[0].line}, inside one of its cells, cannot be read"
            )
        return Record(first.number, cells)

    def _cells(self, text: str, taken: list[Line | Skipped]) -> list[str]:
        """The cells of a record; as long as a quote is open, the next line belongs to it."""
        cells = self._parsed(text)
        while cells is None:
            line = self._next() if len(taken) < LONGEST_RECORD else None
            if line is None:
                raise Unfit("it opens a quote that is not closed")
            taken.append(line)
            if isinstance(line, Line):
                text = checked(f"{text}\n{line.text}", self.max_characters)
                cells = self._parsed(text) if '"' in line.text else None
        return cells

    def _parsed(self, text: str) -> list[str] | None:
        """The cells of a whole record, or None while a quote is open."""
        usual = csv.field_size_limit(max(len(text), csv.field_size_limit()))
        try:
            (cells,) = csv.reader([text], delimiter=self.delimiter, strict=True)
        except csv.Error as error:
            if str(error) == OPEN:
                return None
            raise Unfit(f"it is not csv ({error})") from error
        finally:
            csv.field_size_limit(usual)
        return cells
