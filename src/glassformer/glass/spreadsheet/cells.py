"""What a cell's formula is written from: where the numbers of its inputs stand, and how ranges meet.

Only functions that every spreadsheet program has had for long are used, and no formula spills over into other cells:
arrays are computed inside SUMPRODUCT, which every program lets do so.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from glassformer.glass.formula import Array, Constants

Index = tuple[int, ...]


class Block(Protocol):
    """A value on a sheet: its last axis runs to the right, the one before it down, the others from block to block."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The size along each axis."""

    @property
    def values(self) -> Array:
        """The numbers as they were recorded."""

    def cell(self, *index: int) -> str:
        """One number."""

    def row(self, *before: int, start: int = 0, stop: int | None = None) -> str:
        """The numbers along the last axis, or some of them."""

    def column(self, *index: int, start: int = 0, stop: int | None = None) -> str:
        """The numbers along the axis before the last; `index` is all others, the last axis last."""

    def whole(self) -> list[str]:
        """All numbers, as few rectangles as they stand in."""


@dataclass(frozen=True)
class Cells:
    """One step's inputs and itself as blocks, and its constants."""

    inputs: tuple[Block, ...]
    output: Block
    constants: Constants

    def constant(self, name: str) -> Any:
        """One of the formula's constants."""
        return self.constants[name]

    def bias(self, place: int, number: int) -> str:
        """What a linear map adds, if it adds anything."""
        return f"+{self.inputs[place].cell(number)}" if len(self.inputs) > place else ""


Written = Callable[[Cells, Index], str]  # the formula of the cell at this index, without the sign "="


def at(block: Block, index: Sequence[int]) -> str:
    """The same place in another block; an axis of size 1 is the same for all."""
    own = index[len(index) - len(block.shape) :]
    return block.cell(*(0 if size == 1 else place for place, size in zip(own, block.shape, strict=True)))


def shared(block: Block, index: Sequence[int]) -> Index:
    """The same index, where the block has it; 0 along axes of size 1."""
    return tuple(0 if size == 1 else place for place, size in zip(index, block.shape, strict=False))


LARGEST = sys.float_info.max


def number(value: float) -> str:
    """A constant with all its digits; the largest, which no program lets one write, is computed."""
    if abs(value) == LARGEST:
        return f"{'-' if value < 0 else ''}(2-2^-52)*2^1023"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value)).upper()


def dot(first: str, second: str) -> str:
    """Two rows, or two columns, multiplied and added up."""
    return f"SUMPRODUCT({first},{second})"


def meet(row: str, column: str) -> str:
    """A row times a column."""
    return f"SUMPRODUCT(MMULT({row},{column}))"


def added(parts: Iterable[str]) -> str:
    """Parts of a sum."""
    return "+".join(parts)


def prefixes(shape: Sequence[int], last: int) -> Iterator[Index]:
    """Every index along all but the last axes."""
    return itertools.product(*(range(size) for size in shape[: len(shape) - last]))


def group(queries: Block | int, keys: int, head: int) -> int:
    """The key/value head that a query head shares."""
    heads = queries if isinstance(queries, int) else queries.shape[1]
    return head * keys // heads
