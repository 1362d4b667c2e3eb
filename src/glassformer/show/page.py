"""A trace as one web page that stands alone: no network, no build, nothing computed in the page.

The page holds the recorded numbers as they are (little-endian, base64). Where all of them would be too many, whole
rows and columns are left out and the page says which; none is rounded, averaged or invented.
"""

import base64
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassformer.glass.step import AXES, Step
from glassformer.glass.trace import Trace
from glassformer.show.board import Board, Matrix
from glassformer.show.chapters import chapters
from glassformer.show.labels import Labels, Names
from glassformer.show.mathml import mathml
from glassformer.show.numbers import HIDDEN, PRECISION
from glassformer.show.record import write_text
from glassformer.show.worked import Writer

LARGEST = 1_990_000  # bytes of a page
ROOM = 1_350_000  # bytes of numbers, before base64, to begin with
NARROW = 8  # an axis is cut down to no fewer than this before the one before it is cut
LIKELIEST = 8  # words of a large vocabulary that each row keeps, where there is room
SHOWN = 4  # likeliest outcomes of a row that are listed
WORKED = 3_000  # traces of up to so many numbers have every one of them worked out
ON_A_BOARD = 12  # matrices up to this many rows and columns are drawn as an equation

SHARES = frozenset(
    {"weights", "biased_weights", "probabilities", "probability_of_each", "span_probabilities"}
)  # from 0 to 1
KINDS = {torch.float64: ("f8", "<f8"), torch.float32: ("f4", "<f4")}


def write_page(trace: Trace, path: str | Path, names: Names | None = None) -> None:
    """Write the page, whole or not at all."""
    write_text(path, [page(trace, names)])


def page(trace: Trace, names: Names | None = None) -> str:
    """The page as text."""
    assets = files("glassformer") / "show" / "assets"
    parts = ("page.html", "palette.css", "page.css", "page.js")
    html, palette, style, script = ((assets / name).read_text("utf-8") for name in parts)
    html = html.replace("<!--title-->", escape(f"{trace.answer or 'A trace'} · glassformer"))
    html = html.replace("<!--style-->", palette + style).replace("<!--script-->", script)
    before, after = html.split("<!--data-->")
    pages = _Pages(trace, names)
    room = min(ROOM, pages.size())
    while True:
        data = json.dumps(pages.data(room), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        data = data.replace("<", "\\u003c")  # nothing in a text may end the script element
        excess = len(f"{before}{data}{after}".encode()) - LARGEST
        if excess <= 0 or room <= 0:
            return before + data + after
        room -= max(excess, room // 20)


@dataclass(frozen=True, slots=True)
class Kept:
    """Which places of each axis the page holds; None: all of them."""

    places: tuple[tuple[int, ...] | None, ...]

    def cut(self, value: Tensor) -> Tensor:
        """The numbers that are kept."""
        for axis, places in enumerate(self.places):
            if places is not None:
                value = value.index_select(axis, torch.tensor(places, dtype=torch.long))
        return value


class _Pages:
    """Gathers what the page holds."""

    def __init__(self, trace: Trace, names: Names | None) -> None:
        self.trace, self.labels = trace, Labels(trace, names)
        self.worked_out = sum(step.value.numel() for step in trace.values()) <= WORKED
        self.verified = str(trace.verify())
        used = {name for step in trace.values() for name in step.inputs}
        self.parameters = {name: value for name, value in trace.parameters.items() if name in used}
        self.small = {n for n, value in self.parameters.items() if value.numel() <= ON_A_BOARD**2}
        self.taken = sum(self.parameters[name].numel() * 8 for name in self.small)
        values = [step.value for step in trace.values()]
        self.sizes = [(tuple(value.shape), 8 if value.dtype == torch.float64 else 4) for value in values]
        self.formulas: list[dict[str, str]] = []
        self.known: dict[str, int] = {}

    def data(self, room: int) -> dict[str, Any]:
        """Everything, as plain values, with about so many bytes of numbers."""
        limit = self.limit(room - self.taken)
        return {
            "model": self.labels.names.model,
            "answer": self.trace.answer,
            "tokens": {side: texts for side, texts in self.trace.tokens.items() if texts},
            "axes": AXES,
            "hidden": HIDDEN,
            "verified": self.verified,
            "steps": [self.step(step, limit) for step in self.trace.values()],
            "formulas": self.formulas,
            "parameters": {n: parameter(value, n in self.small) for n, value in self.parameters.items()},
            "chapters": [
                {"title": c.title, "side": c.side, "layer": c.layer, "steps": [step.name for step in c.steps]}
                for c in chapters(self.trace.values())
            ],
        }

    def size(self) -> int:
        """How many bytes all numbers would take."""
        return self.taken + sum(math.prod(shape) * width for shape, width in self.sizes)

    def limit(self, room: int) -> int:
        """How many numbers a step may hold so that all steps together fit."""
        low, high = NARROW, max((math.prod(shape) for shape, _ in self.sizes), default=NARROW)
        while low < high:
            middle = (low + high + 1) // 2
            fits = sum(math.prod(cut_shape(shape, middle)) * width for shape, width in self.sizes) <= room
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def step(self, step: Step, limit: int) -> dict[str, Any]:
        """One step: what it is, how it was made, and its numbers."""
        kept = self.kept(step, limit)
        return {
            "name": step.name,
            "axes": step.axes,
            "shape": list(step.value.shape),
            "formula": self.formula(step),
            "inputs": list(step.inputs),
            "edited": step.edited,
            "kept": [None if places is None else _range(places) for places in kept.places],
            "labels": [self.called(step, axis, places) for axis, places in enumerate(kept.places)],
            "peak": peak(step.value),
            "share": step.key in SHARES,
            **self.ranks(step, kept),
            **numbers(kept.cut(step.value)),
            **self.worked(step),
            **self.equation(step),
        }

    def formula(self, step: Step) -> int:
        """Which of the page's formulas: each is written once."""
        if step.written not in self.known:
            self.known[step.written] = len(self.formulas)
            formula = {"text": step.written, "math": mathml(step.typeset), "symbol": step.formula.symbol}
            self.formulas.append({**formula, "says": step.formula.says})
        return self.known[step.written]

    def kept(self, step: Step, limit: int) -> Kept:
        """The first places of axes that are too long; of a large vocabulary the likeliest words of the rows."""
        shape = tuple(step.value.shape)
        allowed = cut_shape(shape, limit)
        places = [None if n == most else tuple(range(n)) for n, most in zip(allowed, shape, strict=True)]
        if step.axes.endswith("V") and places[-1] is not None:
            places[-1] = self.words(step, allowed[-1])
        return Kept(tuple(places))

    def words(self, step: Step, room: int) -> tuple[int, ...]:
        """The vocabulary numbers of the text's own tokens, then of every row's likeliest words, as many as fit."""
        name = f"{self.labels.last}.ids"
        found = list(self.trace[name].value.flatten().tolist()) if name in self.trace else []
        rows = step.value.reshape(-1, step.value.shape[-1])
        found += (
            rows.topk(LIKELIEST, dim=-1).indices.T.flatten().tolist()
        )  # every row's first, every row's second
        return tuple(sorted(list(dict.fromkeys(found))[:room]))

    def ranks(self, step: Step, kept: Kept) -> dict[str, int]:
        """How many of every row's likeliest outcomes the page is sure to hold."""
        if step.key not in ("probabilities", "probability_of_each"):
            return {}
        rows, here = step.value.reshape(-1, step.value.shape[-1]), kept.places[-1]
        if here is None:
            return {"ranks": min(SHOWN, rows.shape[-1])}
        held = torch.isin(rows.topk(SHOWN, dim=-1).indices, torch.tensor(here)).all(dim=0).tolist()
        return {"ranks": next((rank for rank, whole in enumerate(held) if not whole), SHOWN)}

    def called(self, step: Step, axis: int, places: tuple[int, ...] | None) -> str | list[str] | None:
        """The names along an axis: those of a side's tokens by the side's name, others one by one."""
        names = self.labels.along(step, axis)
        if not names:
            return None
        for side in self.trace.tokens:
            if places is None and names == self.labels.tokens(side):
                return side
        return list(names) if places is None else [names[place] for place in places]

    def worked(self, step: Step) -> dict[str, Any]:
        """Every entry worked out in a small trace; of a large one none, since the page computes nothing."""
        if not self.worked_out:
            return {}
        heads = []
        for head in range(Board(step, self.labels).heads):
            writer = Writer(Board(step, self.labels, head=head), PRECISION)
            rows, columns = writer.result.values.shape
            entries = [writer.entry(row, column) for row in range(rows) for column in range(columns)]
            heads.append([entry.text for entry in entries if entry is not None])
        return {"worked": heads} if any(heads) else {}

    def equation(self, step: Step) -> dict[str, Any]:
        """Small matrices beside each other, as on a board."""
        board = Board(step, self.labels)
        if not self.worked_out or board.heads > 1:
            return {}
        terms = board.equation()
        matrices = [term for term in (*terms, board.result) if isinstance(term, Matrix)]
        if not terms or any(max(matrix.values.shape) > ON_A_BOARD for matrix in matrices):
            return {}
        return {"equation": [term if isinstance(term, str) else matrix(term) for term in terms]}


def matrix(term: Matrix) -> dict[str, Any]:
    """A matrix of an equation."""
    shown = {
        "symbol": term.symbol,
        "shape": list(term.values.shape),
        "rows": term.rows,
        "columns": term.columns,
    }
    return {**shown, **numbers(term.values)}


def numbers(value: Tensor) -> dict[str, Any]:
    """The numbers as they are: 64 or 32 bit floats, or whole numbers."""
    kind, order = KINDS.get(value.dtype, ("i4", "<i4") if not value.is_floating_point() else ("f4", "<f4"))
    plain = value.detach().cpu()
    array = (plain.float() if plain.dtype not in KINDS and plain.is_floating_point() else plain).numpy()
    return {"kind": kind, "data": base64.b64encode(array.astype(order).tobytes()).decode("ascii")}


def parameter(value: Tensor, whole: bool) -> dict[str, Any]:
    """A parameter with its numbers, or its shape alone."""
    return {"shape": list(value.shape), **(numbers(value) if whole else {})}


def peak(value: Tensor) -> float:
    """The largest size of any number that hides nothing: what full colour means."""
    seen = value.double()
    seen = seen[(seen > HIDDEN) & seen.isfinite()]
    return float(seen.abs().max()) if seen.numel() else 0.0


def cut_shape(shape: Sequence[int], limit: int) -> tuple[int, ...]:
    """A shape of at most `limit` numbers: the last axis is cut first, then the one before it."""
    sizes = list(shape)
    for axis in reversed(range(len(sizes))):
        others = math.prod(sizes) // max(sizes[axis], 1)
        if math.prod(sizes) <= limit:
            break
        sizes[axis] = min(sizes[axis], max(limit // max(others, 1), NARROW if axis else 1))
    return tuple(sizes)


def _range(places: Iterable[int]) -> int | list[int]:
    """The first n places as n, others one by one."""
    listed = list(places)
    return len(listed) if listed == list(range(len(listed))) else listed
