"""A trace as one web page that stands alone: no network, no build, nothing computed in the page.

The page holds every recorded number. Where all their digits would make it too large, the numbers of the large steps are
rounded, each step to a unit that the page tells, while attention weights and results keep all of theirs; of a large
vocabulary the likeliest words of each row are kept. Only where even that is too much are whole rows and columns
left out, and the page says which. None is averaged or invented.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassformer.files import write_text
from glassformer.glass.generation import GenerationTrace
from glassformer.glass.names import Names
from glassformer.glass.step import AXES, Step
from glassformer.glass.trace import Trace
from glassformer.show.board import Board, Matrix
from glassformer.show.chapters import chapters
from glassformer.show.labels import Labels
from glassformer.show.mathml import mathml
from glassformer.show.numbers import HIDDEN, PRECISION
from glassformer.show.packing import Pack, Unit, plain, roundable, usual_size
from glassformer.show.worked import Writer
from glassformer.show.writing_html import generation_parts

LARGEST = 1_990_000  # bytes of a page
FINEST, COARSEST = 2.0**-24, 2.0**-2  # of a number's usual size: the units that numbers are rounded to
FINER = 64.0  # attention is rounded to units so much smaller, where it is too much to be kept as it is
SMALL_SHARE = 0.2  # of the page: so much of it attention may take with all of its digits
MOST = 0.995  # of many numbers: the few beyond have full colour too, or one of them would leave the others without
SMALL = 1_000  # numbers of a step that are never rounded
ROUNDED_UP_TO = 2.0**30  # units: a number of more has all its digits kept instead
NARROW = 8  # an axis is cut down to no fewer than this before the one before it is cut
LIKELIEST = 8  # words of a large vocabulary that each row keeps
VOCABULARY = 400  # a vocabulary up to this size is kept whole
SHOWN = 4  # likeliest outcomes of a row that are listed
WORKED = 3_000  # traces of up to so many numbers have every one of them worked out
ON_A_BOARD = 12  # matrices up to this many rows and columns are drawn as an equation
SCRIPTS = ("numbers.js", "draw.js", "attention.js", "words.js", "step.js", "page.js")

SHARES = frozenset(
    {"weights", "biased_weights", "probabilities", "probability_of_each", "span_probabilities"}
)  # from 0 to 1


def write_page(
    trace: Trace,
    path: str | Path,
    names: Names | None = None,
    *,
    largest: int = LARGEST,
    writing: GenerationTrace | None = None,
) -> None:
    """Write the page, whole or not at all.

    `largest` is how many bytes it may have; `writing` tells how the answer was written, token by token.
    """
    write_text(path, [page(trace, names, largest=largest, writing=writing)])


def page(
    trace: Trace,
    names: Names | None = None,
    *,
    largest: int = LARGEST,
    start: str = "",
    writing: GenerationTrace | None = None,
) -> str:
    """The page as text, opened at a step or a view such as `step=encoder.output`."""
    before, after = frame(trace, start)
    text, size = _Pages(trace, names, writing).fitting(largest - len((before + after).encode()))
    return before.replace("<!--bytes-->", str(size)) + text + after


def frame(trace: Trace, start: str) -> tuple[str, str]:
    """What stands before the numbers and after them."""
    assets = files("glassformer") / "show" / "assets"
    style = "".join((assets / name).read_text("utf-8") for name in ("palette.css", "page.css", "fragment.css"))
    script = "".join((assets / name).read_text("utf-8") for name in SCRIPTS)
    html = (assets / "page.html").read_text("utf-8")
    html = html.replace("<!--title-->", escape(f"{trace.answer or 'A trace'} · glassformer"))
    html = html.replace("<!--start-->", escape(start, quote=True))
    html = html.replace("<!--style-->", style).replace("<!--script-->", script)
    before, _, after = html.partition("<!--data-->")
    return before, after


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


@dataclass(frozen=True, slots=True)
class Size:
    """How much a page holds: units relative to a number's usual size (None: every digit), numbers of one step."""

    unit: float | None = None
    limit: int | None = None


class _Pages:
    """Gathers what the page holds."""

    def __init__(self, trace: Trace, names: Names | None, writing: GenerationTrace | None) -> None:
        self.trace, self.labels = trace, Labels(trace, names)
        self.writing = "" if writing is None else "".join(generation_parts(writing))
        self.worked_out = sum(step.value.numel() for step in trace.values()) <= WORKED
        self.verified = str(trace.verify())
        used = {name for step in trace.values() for name in step.inputs}
        self.parameters = {name: value for name, value in trace.parameters.items() if name in used}
        self.small = {n for n, value in self.parameters.items() if value.numel() <= ON_A_BOARD**2}
        self.pictures = sum(step.value.numel() * 4 for step in trace.values() if pictured(step))
        self.formulas: list[dict[str, str]] = []
        self.known: dict[str, int] = {}
        self.largest = LARGEST

    def fitting(self, room: int) -> tuple[str, int]:
        """The numbers as text of at most so many letters: with all digits, else rounded as little as need be."""
        self.largest = room
        whole = self.packed(Size())
        if len(whole[0]) <= room:
            return whole
        best = self.packed(Size(COARSEST))
        if len(best[0]) > room:
            return self.cut(room, len(best[0]))
        fine, coarse = math.log2(FINEST), math.log2(COARSEST)
        for _ in range(8):
            middle = (fine + coarse) / 2
            found = self.packed(Size(2.0**middle))
            if len(found[0]) <= room:
                best, coarse = found, middle
            else:
                fine = middle
        return best

    def cut(self, room: int, length: int) -> tuple[str, int]:
        """So many rows and columns of each step as fit, where all would not even when rounded."""
        count = max(sum(step.value.numel() for step in self.trace.values()) * room // length, 0)
        while True:
            found = self.packed(Size(COARSEST, self.limit(count)))
            if len(found[0]) <= room or count == 0:
                return found
            count = count * 3 // 4

    def packed(self, size: Size) -> tuple[str, int]:
        """Everything at one size, as text, and how many bytes the text stands for."""
        pack = Pack()
        return pack.text(self.data(pack, size))

    def data(self, pack: Pack, size: Size) -> dict[str, Any]:
        """Everything, as plain values; the numbers go into the pack."""
        steps: dict[str, dict[str, Any]] = {}
        for step in self.trace.values():
            steps[step.name] = self.step(step, pack, size, steps)
        return {
            "model": self.labels.names.model,
            "answer": self.trace.answer,
            "tokens": {side: texts for side, texts in self.trace.tokens.items() if texts},
            "axes": AXES,
            "hidden": HIDDEN,
            "verified": self.verified,
            "writing": self.writing,
            "steps": list(steps.values()),
            "formulas": self.formulas,
            "parameters": {n: self.parameter(n, value, pack) for n, value in self.parameters.items()},
            "chapters": [
                {"title": c.title, "side": c.side, "layer": c.layer, "steps": [step.name for step in c.steps]}
                for c in chapters(self.trace.values())
            ],
        }

    def limit(self, count: int) -> int:
        """How many numbers a step may hold so that all steps together have no more than `count`."""
        shapes = [tuple(step.value.shape) for step in self.trace.values()]
        low, high = NARROW, max((math.prod(shape) for shape in shapes), default=NARROW)
        while low < high:
            middle = (low + high + 1) // 2
            fits = sum(math.prod(cut_shape(shape, middle)) for shape in shapes) <= count
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def step(
        self, step: Step, pack: Pack, size: Size, before: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        """One step: what it is, how it was made, and its numbers."""
        kept = self.kept(step, size.limit)
        same = before.get(step.inputs[0]) if step.key == "same" else None
        array = same["numbers"] if same is not None else self.numbers(step, kept, pack, size)
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
            "numbers": array,
            **self.ranks(step, kept),
            **self.worked(step),
            **self.equation(step, pack),
        }

    def numbers(self, step: Step, kept: Kept, pack: Pack, size: Size) -> dict[str, Any]:
        """The numbers of a step: as they are, or rounded where they are many."""
        values = plain(kept.cut(step.value))
        unit = self.unit(step, values, size.unit)
        return pack.exact(values) if unit is None else pack.rounded(values, unit)

    def unit(self, step: Step, values: NDArray[Any], rough: float | None) -> Unit | None:
        """What the numbers of a step are rounded to; None: nothing is."""
        if rough is None or values.size <= SMALL or not roundable(values):
            return None
        if pictured(step):
            if self.pictures <= SMALL_SHARE * self.largest:
                return None
            rough /= FINER
        usual = usual_size(values)
        unit = Unit.below(usual * rough) if usual else None
        return unit if unit is not None and float(np.abs(values).max()) / unit.size < ROUNDED_UP_TO else None

    def formula(self, step: Step) -> int:
        """Which of the page's formulas: each is written once."""
        if step.written not in self.known:
            self.known[step.written] = len(self.formulas)
            formula = {"text": step.written, "math": mathml(step.typeset), "symbol": step.formula.symbol}
            self.formulas.append({**formula, "says": step.formula.says})
        return self.known[step.written]

    def kept(self, step: Step, limit: int | None) -> Kept:
        """Of a large vocabulary the likeliest words of the rows; of axes that are too long the first places."""
        shape = tuple(step.value.shape)
        allowed = shape if limit is None else cut_shape(shape, limit)
        places = [None if n == most else tuple(range(n)) for n, most in zip(allowed, shape, strict=True)]
        if step.axes.endswith("V") and shape[-1] > VOCABULARY:
            places[-1] = self.words(step, min(allowed[-1], VOCABULARY))
        return Kept(tuple(places))

    def words(self, step: Step, room: int) -> tuple[int, ...]:
        """The vocabulary numbers of the text's own tokens, then of every row's likeliest words, as many as fit."""
        name = f"{self.labels.last}.ids"
        found = list(self.trace[name].value.flatten().tolist()) if name in self.trace else []
        rows = step.value.reshape(-1, step.value.shape[-1])
        best = rows.topk(LIKELIEST, dim=-1).indices.T  # every row's first, then every row's second
        return tuple(sorted(list(dict.fromkeys([*found, *best.flatten().tolist()]))[:room]))

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

    def equation(self, step: Step, pack: Pack) -> dict[str, Any]:
        """Small matrices beside each other, as on a board."""
        board = Board(step, self.labels)
        if not self.worked_out or board.heads > 1:
            return {}
        terms = board.equation()
        matrices = [term for term in (*terms, board.result) if isinstance(term, Matrix)]
        if not terms or any(max(matrix.values.shape) > ON_A_BOARD for matrix in matrices):
            return {}
        return {"equation": [term if isinstance(term, str) else matrix(term, pack) for term in terms]}

    def parameter(self, name: str, value: Tensor, pack: Pack) -> dict[str, Any]:
        """A parameter with its numbers, or its shape alone."""
        shown = {"shape": list(value.shape)}
        return {**shown, "numbers": pack.exact(plain(value))} if name in self.small else shown


def pictured(step: Step) -> bool:
    """Whether a step says who looks at whom: it is small, and it is what is read first."""
    return step.axes.endswith("H Q K")


def matrix(term: Matrix, pack: Pack) -> dict[str, Any]:
    """A matrix of an equation."""
    shown = {
        "symbol": term.symbol,
        "shape": list(term.values.shape),
        "rows": term.rows,
        "columns": term.columns,
    }
    return {**shown, "numbers": pack.exact(plain(term.values))}


def peak(value: Tensor) -> float:
    """What full colour means: the largest size of any number that hides nothing; of many, of all but the last few."""
    sizes = np.abs(plain(value).astype(np.float64).ravel())
    sizes = sizes[np.isfinite(sizes) & (sizes < -HIDDEN)]
    if not sizes.size:
        return 0.0
    largest = float(sizes.max())
    return (float(np.quantile(sizes, MOST)) or largest) if sizes.size > SMALL else largest


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
