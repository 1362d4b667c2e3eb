"""What every format becomes before it becomes examples: rows of cells, by name or by number."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from glassformer.data.examples import Skipped
from glassformer.data.reading import Column

HEAD = 100  # rows at the beginning by which a file without headings is understood

Item = TypeVar("Item")


class Row(NamedTuple):
    """The cells of one line, by their column's name, or where columns have none, number."""

    line: int
    cells: Mapping[Column, object]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file's rows as they come, and what is known of its columns.

    `roles` says what each column holds where the format decides it; `categories` names the values of columns whose
    cells are numbers.
    """

    file: str
    names: tuple[Column, ...]
    rows: Iterator[Row | Skipped]
    unit: str = "line"
    roles: Mapping[str, Column] | None = None
    categories: Mapping[Column, tuple[str, ...]] = field(default_factory=dict)

    @property
    def has_headings(self) -> bool:
        """Whether columns have names; else they are numbered."""
        return not any(isinstance(name, int) for name in self.names)

    def skipped(self, line: int, reason: object) -> Skipped:
        """A row that does not fit."""
        return Skipped(self.file, line, str(reason), self.unit)


def peek(stream: Iterator[Item], count: int = HEAD) -> tuple[list[Item], Iterator[Item]]:
    """The first items, with more of them until one is no Skipped, and the whole stream again."""
    first = list(islice(stream, count))
    useful = any(not isinstance(item, Skipped) for item in first)
    while not useful and (item := next(stream, None)) is not None:
        first.append(item)
        useful = not isinstance(item, Skipped)
    return first, chain(first, stream)


def nested_names(cells: Mapping[Column, object]) -> Iterator[Column]:
    """The names of a row; those inside an object as `outer.inner`."""
    for name, value in cells.items():
        yield name
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in value)


def cell(row: Row, column: Column) -> object:
    """A cell by its column, also inside an object; None where there is none."""
    if column in row.cells or not isinstance(column, str):
        return row.cells.get(column)
    outer, dot, inner = column.rpartition(".")
    holder = row.cells.get(outer) if dot else None
    return holder.get(inner) if isinstance(holder, Mapping) else None


def counted(number: int, thing: str) -> str:
    """`1 column`, `2 columns`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
