"""Numbers, symbols, words and matrices as LaTeX that amsmath sets."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from glassformer.glass.verify import as_array
from glassformer.show.board import Matrix
from glassformer.show.numbers import HIDDEN, MINUS, digits, number, shape

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "%": r"\%",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": "{-}",
    "[": "{[}",
    "▁": r"\textvisiblespace{}",
    "Ġ": r"\textvisiblespace{}",
    "…": r"\dots{}",
    "–": "--",
    "—": "---",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "€": r"\texteuro{}",
    "\n": r"\textbackslash{}n",
    "\u00a0": "~",
}
PLAIN = set(map(chr, range(0x20, 0x7F))) | set(map(chr, range(0xA1, 0x180)))  # what T1 fonts have
SIGNS = {
    "·": r"\cdot ",
    MINUS: "-",
    "√": r"\surd ",
    "∞": r"\infty ",
    "⊙": r"\odot ",
    "→": r"\rightarrow ",
    "Φ": r"\Phi ",
    "γ": r"\gamma ",
    "β": r"\beta ",
    "π": r"\pi ",
    "ℓ": r"\ell ",
    "Λ": r"\Lambda ",
    "ᵀ": r"^{\top}",
    "³": "^3",
    "²": "^2",
    "…": r"\dots ",
    "▒": r"\text{hidden}",
}
FUNCTIONS = {name: rf"\{name} " for name in ("sin", "cos", "tanh", "max", "ln", "log", "exp")}
HAT = "\u0302"
ROWS, COLUMNS = 12, 10  # a matrix up to this size is set whole
SOME = 4  # of a longer axis the first so many, and the last


def escaped(text: str) -> str:
    """A text as LaTeX sets it; a letter that its fonts lack is named by its number."""
    text = unicodedata.normalize("NFC", text)
    return "".join(SPECIAL.get(letter) or (letter if letter in PLAIN else _named(letter)) for letter in text)


def _named(letter: str) -> str:
    return rf"{{\footnotesize U+{ord(letter):04X}}}"


def words(text: str) -> str:
    """A text inside mathematics."""
    return rf"\text{{{escaped(text)}}}"


def figure(value: float, places: int | None, precision: int) -> str:
    """One number: with so many digits after the point, or (None) with as many as it needs."""
    if value <= HIDDEN:
        return r"-\infty"
    plain = places is None or abs(value) >= 1e6 or (value != 0 and round(value, places) == 0)
    text = number(value, precision) if plain else f"{value:.{places}f}"
    mantissa, _, power = text.replace(MINUS, "-").replace("∞", r"\infty").partition("e")
    return rf"{mantissa}\cdot10^{{{int(power)}}}" if power else mantissa


def symbol(text: str) -> str:
    """W_Q with its index below the line, X̂ with its hat, a word upright."""
    if not text:
        return ""
    base, _, index = text.partition("_")
    if index and len(base) > 1 and base.isalpha():
        return words(text)
    if HAT in base:
        return rf"\hat{{{base.replace(HAT, '')}}}"
    if base.startswith("ln "):
        base = rf"\ln {base[3:]}"
    elif " " in base or (base.isalpha() and base.isascii() and len(base) > 1):
        base = words(base)
    else:
        call = re.fullmatch(r"(\w{2,})\((.*)\)", base)
        base = rf"\mathrm{{{call[1]}}}({words(call[2])})" if call else signs(base)
    return rf"{base}_{{{words(index) if len(index) > 1 else index}}}" if index else base


def signs(text: str) -> str:
    """Each sign of a formula by its command."""
    return "".join(SIGNS.get(letter, letter) for letter in text)


def operator(sign: str) -> str:
    """What stands between matrices: a sign, or the name of a function with its parenthesis."""
    call = re.fullmatch(r"([\w-]+)\(", sign)
    if call:
        return rf"\operatorname{{{call[1].replace('-', chr(92) + 'text{-}')}}}\Bigl("
    if sign == ")":
        return r"\Bigr)"
    if sign == "rows of":
        return r"\ \text{rows of}\ "
    return re.sub(r"√(\w+)", r"\\sqrt{\1}", sign) if "√" in sign and "·" not in sign else _scaled(sign)


def _scaled(sign: str) -> str:
    return signs(re.sub(r"√(\w+)", r"\\sqrt{\1}", sign))


def worked(text: str) -> str:
    """An entry with its numbers put in, from the plain text that the walk prints."""
    text = re.sub(r"√(\d+)", r"\\sqrt{\1}", text)
    text = re.sub(r"√\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"\^\(([^()]*)\)", r"^{\1}", text)
    text = re.sub(r"\^(\d[\d.]*)", r"^{\1}", text)
    text = re.sub(r"(\d(?:\.\d+)?)e([−+-]?)0*(\d+)", r"\1·10^{\2\3}", text)
    text = re.sub(r"([A-Za-z]+)_([A-Za-z]+)", r"\1_{\2}", text)
    text = re.sub(r"(?<![\\A-Za-z_{])[A-Za-z]{2,}(?: [A-Za-z]+)*", _function, text)
    return signs(text)


def _function(match: re.Match[str]) -> str:
    return FUNCTIONS.get(match[0]) or rf"\text{{ {match[0]} }}"


def shown(count: int, most: int) -> list[int | None]:
    """Which places of an axis are set: all, or the first and the last with dots (None) between them."""
    return list(range(count)) if count <= most else [*range(SOME), None, count - 1]


def matrix(
    found: Matrix, precision: int, *, named: bool = True, most: tuple[int, int] = (ROWS, COLUMNS)
) -> str:
    """A matrix over its symbol; its rows named on the left, its columns above it where they have names."""
    rows, columns = (shown(n, m) for n, m in zip(found.values.shape, most, strict=True))
    cells = as_array(found.values)
    plain = [float(cells[r, c]) for r in rows if r is not None for c in columns if c is not None]
    places = None if cells.dtype.kind in "bui" else digits([v for v in plain if HIDDEN < v < 1e6], precision)
    signed = any(value < 0 for value in plain)
    body = [[_cell(cells, r, c, places, precision, signed) for c in columns] for r in rows]
    names = [] if found.rows is None or not named else [_label(found.rows, r, r"\vdots") for r in rows]
    heads = [] if found.columns is None else [_label(found.columns, c, r"\cdots") for c in columns]
    if heads:
        inner = _bordered(body, names or [""] * len(rows), heads)
    else:
        lines = r" \\ ".join(" & ".join(row) for row in body)
        inner = rf"\begin{{pmatrix}} {lines} \end{{pmatrix}}"
        if names:
            inner = rf"\begin{{matrix}} {(chr(92) * 2 + ' ').join(names)} \end{{matrix}}\!{inner}"
    return rf"\underset{{{symbol(found.symbol)}}}{{{inner}}}" if found.symbol else inner


def _bordered(body: Sequence[Sequence[str]], names: Sequence[str], heads: Sequence[str]) -> str:
    lines = [" & ".join(["", *heads]), *(" & ".join([n, *row]) for n, row in zip(names, body, strict=True))]
    return rf"\bordermatrix{{{' '.join(line + chr(92) + 'cr' for line in lines)}}}"


def _label(names: Sequence[str], place: int | None, dots: str) -> str:
    return dots if place is None else rf"\text{{\footnotesize {escaped(names[place])}}}"


def _cell(
    cells: NDArray[Any], row: int | None, column: int | None, places: int | None, precision: int, signed: bool
) -> str:
    if row is None:
        return r"\vdots"
    if column is None:
        return r"\cdots"
    value = cells[row, column].item()
    text = str(int(value)) if isinstance(value, int | bool) else figure(value, places, precision)
    return rf"\phantom{{-}}{text}" if signed and not text.startswith("-") else text


def width(found: Matrix, precision: int, most: tuple[int, int] = (ROWS, COLUMNS)) -> float:
    """About how many digits wide a matrix is set."""
    columns = len(shown(found.values.shape[1], most[1]))
    floats = found.values.is_floating_point()
    cell = precision + 4.5 if floats else 2.5
    if found.columns is not None:
        cell = max(cell + 2.0, 3.0 + max(map(len, found.columns[: columns + 1]), default=0) * 0.9)
    labels = max(map(len, found.rows), default=0) if found.rows is not None else 0
    return columns * cell + labels * 0.9 + 2


def left_out(found: Matrix, most: tuple[int, int] = (ROWS, COLUMNS)) -> str:
    """How large a matrix is that is not set whole; empty for one that is."""
    if all(n <= m for n, m in zip(found.values.shape, most, strict=True)) and found.of is None:
        return ""
    return f"{symbol_text(found.symbol)} is ${shape(found.size).replace('×', chr(92) + 'times')}$"


def symbol_text(text: str) -> str:
    """A symbol inside a sentence."""
    return f"${symbol(text)}$" if text else "it"
