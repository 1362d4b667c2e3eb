"""A second reader of formulas, for where no spreadsheet program is: only what our workbooks use, in NumPy.

Slow and simple: a cell is computed when it is asked for, and each formula becomes a Python expression.
"""

import ast
import math
import operator
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
from openpyxl.formula import Tokenizer
from openpyxl.utils import range_boundaries

DEEP = 100_000  # a cell asks for those that it was made of, and these for theirs
SIGNS = {"^": "**", "=": "==", "<>": "!="}


def flat(*values: Any) -> np.ndarray[Any, Any]:
    return np.concatenate([np.atleast_1d(np.asarray(value, dtype=float)).ravel() for value in values])


def lookup(value: float, begins: Any, found: Any) -> float:
    place = int(np.searchsorted(flat(begins), value, side="right")) - 1
    return float(flat(found)[place])


def index(values: Any, place: float) -> float:
    return float(flat(values)[int(place) - 1])


def position(value: float, values: Any, _: float) -> float:
    return float(np.flatnonzero(flat(values) == value)[0] + 1)


def chosen(test: Any, first: Any, second: Any) -> Any:
    return first() if test else second()


FUNCTIONS: dict[str, Any] = {
    "SUM": lambda *v: float(flat(*v).sum()),
    "SUMSQ": lambda *v: float((flat(*v) ** 2).sum()),
    "SUMPRODUCT": lambda *v: float(np.prod(np.broadcast_arrays(*v), axis=0).sum()),
    "MMULT": lambda a, b: np.atleast_2d(a) @ np.atleast_2d(b),
    "MAX": lambda *v: float(flat(*v).max()),
    "MIN": lambda *v: float(flat(*v).min()),
    "AVERAGE": lambda *v: float(flat(*v).mean()),
    "VARP": lambda *v: float(flat(*v).var()),
    "EXP": np.exp,
    "LN": np.log,
    "SQRT": np.sqrt,
    "SIN": np.sin,
    "COS": np.cos,
    "TANH": np.tanh,
    "ERF": math.erf,
    "ABS": abs,
    "PI": lambda: math.pi,
    "INDEX": index,
    "MATCH": position,
    "LOOKUP": lookup,
    "IF": chosen,
    "ISNUMBER": lambda value: not isinstance(value, str),
    "COLUMN": lambda columns: columns,
}


class Evaluator:
    """Every cell of a workbook, computed from its formulas alone."""

    def __init__(self, path: Path) -> None:
        book = openpyxl.load_workbook(path)
        self.written = {
            (sheet.title, cell.row, cell.column): cell.value
            for sheet in book
            for cells in sheet.iter_rows()
            for cell in cells
            if cell.value is not None
        }
        self.known: dict[tuple[str, int, int], Any] = {}

    def value(self, sheet: str, row: int, column: int) -> Any:
        """One cell."""
        usual = sys.getrecursionlimit()  # other tests count on it
        sys.setrecursionlimit(DEEP)
        try:
            return self.found(sheet, row, column)
        finally:
            sys.setrecursionlimit(usual)

    def found(self, sheet: str, row: int, column: int) -> Any:
        """One cell, with room for those that it was made of."""
        place = sheet, row, column
        if place not in self.known:
            written = self.written[place]
            is_formula = isinstance(written, str) and written.startswith("=")
            self.known[place] = self.computed(written, sheet) if is_formula else written
        return self.known[place]

    def computed(self, formula: str, sheet: str) -> Any:
        """One formula."""
        code = translated(formula)
        names = {**FUNCTIONS, "at": lambda name: self.range(name, sheet), "where": self.columns}
        with np.errstate(over="ignore", under="ignore"):
            return worth(ast.parse(code, mode="eval").body, names)

    def range(self, name: str, sheet: str) -> Any:
        """A range as an array, a single cell as its value."""
        home, _, named = name.rpartition("!")
        left, top, right, bottom = range_boundaries(named)
        if (left, top) == (right, bottom):
            return self.found(home or sheet, top, left)
        rows, columns = range(top, bottom + 1), range(left, right + 1)
        cells = [[self.found(home or sheet, r, c) for c in columns] for r in rows]
        return np.array([[-np.inf if cell == "−∞" else cell for cell in row] for row in cells], dtype=float)

    @staticmethod
    def columns(name: str) -> Any:
        """The numbers of a range's columns."""
        left, _, right, _ = range_boundaries(name.rpartition("!")[2])
        return np.arange(left, right + 1)[None, :]


SUMS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.Lt: operator.lt,
    ast.USub: operator.neg,
}


def worth(node: ast.AST, names: dict[str, Any]) -> Any:
    """What an expression comes to; nothing but arithmetic and the functions above is known."""
    match node:
        case ast.Constant():
            return node.value
        case ast.UnaryOp():
            return SUMS[type(node.op)](worth(node.operand, names))
        case ast.BinOp():
            return SUMS[type(node.op)](worth(node.left, names), worth(node.right, names))
        case ast.Compare():
            return SUMS[type(node.ops[0])](worth(node.left, names), worth(node.comparators[0], names))
        case ast.Lambda():
            return lambda: worth(node.body, names)
        case ast.List():
            return [worth(each, names) for each in node.elts]
        case ast.Call():
            assert isinstance(node.func, ast.Name)
            return names[node.func.id](*[worth(each, names) for each in node.args])
    raise ValueError(ast.dump(node))


def translated(formula: str) -> str:
    """A formula as a Python expression; the two ways of IF are computed only where they are taken."""
    parts: list[str] = []
    calls: list[list[Any]] = []  # of each open call: its name, how many arguments so far
    for token in Tokenizer(formula).items:
        text = token.value
        if token.type == "FUNC" and token.subtype == "OPEN":
            parts.append(text)
            calls.append([text[:-1], 0])
        elif token.type == "FUNC" or (token.type == "PAREN" and token.subtype == "CLOSE"):
            parts.append(")")
            calls.pop()
        elif token.type == "PAREN":
            parts.append("(")
            calls.append(["", 0])
        elif token.type == "SEP" and calls and calls[-1][0] == "{":
            parts.append(",")
        elif token.type == "SEP":
            calls[-1][1] += 1
            parts.append(", lambda: " if calls[-1][0] == "IF" else ", ")
        elif token.type == "ARRAY" and token.subtype == "OPEN":
            parts.append("[")
            calls.append(["{", 0])
        elif token.type == "ARRAY":
            parts.append("]")
            calls.pop()
        elif token.type == "ARRAYROW":
            continue
        elif token.type == "OPERAND" and token.subtype == "RANGE":
            reader = "where" if calls and calls[-1][0] == "COLUMN" else "at"
            parts.append(f"{reader}({text!r})")
        elif token.type == "OPERAND":
            parts.append(text if token.subtype == "TEXT" else number(text))
        elif token.type.startswith("OPERATOR"):
            parts.append(SIGNS.get(text, text))
        elif token.type != "WHITE-SPACE":
            raise ValueError(f"{formula}: {token.type} {text}")
    return "".join(parts)


def number(text: str) -> str:
    """A number, always with its point, so that powers are those of real numbers."""
    return text if re.search(r"[.eE]", text) else f"{text}.0"
