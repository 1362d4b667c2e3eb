"""Numbers as a person writes them on a board."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

MINUS = "−"
PRECISION = 4  # digits after the point, unless asked otherwise
GUARD = 3  # so many zeros after the last digit make a number a round one
LARGE = 1e6  # from here on, and below the last digit, a number is written with its power of ten
HIDDEN = -1e30  # a mask's number this low hides what it is added to
HIDDEN_MARK = "▒"
WHOLE = 9  # a sum of up to so many terms is written out
FIRST = 3  # of a longer one, so many

Term = TypeVar("Term")


def number(value: float, precision: int = PRECISION) -> str:
    """One number for a line: a round one without trailing zeros, a tiny or huge one with its power of ten."""
    if isinstance(value, int | np.integer | np.bool_):
        return str(int(value)).replace("-", MINUS)
    if not np.isfinite(value):
        return {"inf": "∞", "-inf": f"{MINUS}∞"}.get(str(float(value)), "no number")
    if value == 0:
        return "0"
    if abs(value) >= LARGE or abs(value) < 0.5 * 10.0**-precision:
        return f"{value:.{max(precision - 2, 1)}e}".replace("-", MINUS)
    return f"{value:.{digits([value], precision)}f}".replace("-", MINUS)


def factor(value: float, precision: int = PRECISION) -> str:
    """One number inside a product: a negative one in parentheses."""
    text = number(value, precision)
    return f"({text})" if text.startswith(MINUS) else text


def digits(values: Iterable[float], precision: int = PRECISION) -> int:
    """How many digits after the point these numbers need, at most `precision`."""
    return max((_digits(value, precision) for value in values), default=0)


def _digits(value: float, precision: int) -> int:
    exact = f"{value:.{precision + GUARD}f}"
    if not exact.endswith("0" * GUARD):
        return precision
    return len(exact[:-GUARD].rstrip("0").rpartition(".")[2])


def grid(values: NDArray[Any], precision: int = PRECISION) -> list[list[str]]:
    """The cells of a matrix, each column as wide as its widest number and aligned at the point."""
    if values.dtype.kind in "bui":
        cells = [[number(int(value)) for value in row] for row in values]
        return _aligned(cells)
    plain = [v for v in values.ravel().tolist() if np.isfinite(v) and abs(v) < LARGE]
    places = digits(plain, precision)
    return _aligned([[_cell(value, places, precision) for value in row] for row in values.tolist()])


def _cell(value: float, places: int, precision: int) -> str:
    if value <= HIDDEN:
        return HIDDEN_MARK
    if value == 0:
        return "0" + " " * (places + 1 if places else 0)
    if not np.isfinite(value) or abs(value) >= LARGE:
        return number(value, precision)
    text = f"{value:.{places}f}"
    if not float(text):
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def _aligned(cells: list[list[str]]) -> list[list[str]]:
    if not cells:
        return cells
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [[text.rjust(width) for text, width in zip(row, widths, strict=True)] for row in cells]


def bar(share: float, width: int) -> str:
    """A share of one as a bar, in eighths of a character."""
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest]


def shape(sizes: Sequence[int]) -> str:
    """5 × 2."""
    return " × ".join(map(str, sizes)) if sizes else "one number"


def summed(terms: Sequence[Term], write: Callable[[Term], str]) -> str:
    """All terms of a short sum; of a long one the first, and how many more."""
    if len(terms) <= WHOLE:
        return " + ".join(map(write, terms))
    return " + ".join([*map(write, terms[:FIRST]), f"… {len(terms) - FIRST} more"])
