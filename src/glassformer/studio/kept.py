"""A run that is kept: described without its numbers, which are handed out step by step as they are looked at."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.conclusion.words import Written
from glassformer.glass.edits import AnyEdit
from glassformer.glass.step import AXES, Step
from glassformer.glass.trace import Trace
from glassformer.show.board import Board, Matrix
from glassformer.show.chapters import chapters
from glassformer.show.labels import Labels
from glassformer.show.mathml import mathml
from glassformer.show.numbers import HIDDEN, PRECISION
from glassformer.show.page import SHARES, peak
from glassformer.show.worked import Writer
from glassformer.studio.beginnings import Given, cut, given, place_of
from glassformer.studio.endings import ended
from glassformer.studio.searches import Searched, options_of
from glassformer.studio.shelf import Opened
from glassformer.tasks.generation import Generation
from glassformer.tasks.rewriting import Rewriting

TOP = 8  # likeliest outcomes that are listed
OTHERS = 5  # and beside each token of an answer
ENOUGH = 200_000  # numbers that say how large those of a step are
SMALL = (24, 16)  # rows and columns of a matrix that is written out beside others
PROBABILITIES = "head.probabilities"

typeset = lru_cache(maxsize=4096)(mathml)  # a table of formulas: the same few in every layer


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A run, and what is needed to tell of it."""

    number: int
    opened: Opened
    text: str
    context: str | None
    trace: Trace
    labels: Labels
    answer: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    edits: tuple[AnyEdit, ...] = ()
    partial: bool = False  # only the first token of its answer was made
    peaks: dict[str, float] = field(default_factory=dict)  # of what was looked at

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        return sum(step.value.numel() * step.value.element_size() for step in self.trace.values())

    @property
    def given(self) -> tuple[Given, ...]:
        """The texts that were read, each with the tokenizer that cut it."""
        return given(self.opened, self.text, self.context, self.trace)

    def beginning(self, place: int) -> dict[str, Any]:
        """How one of its texts became ids."""
        return cut(place_of(self.given, place), self.trace)

    def ending(self) -> dict[str, Any]:
        """How the answer follows from its last step."""
        return ended(self.trace.conclusion, self.opened.model, self.options)

    def manifest(self) -> dict[str, Any]:
        """All of it but the numbers: names, axes, shapes, formulas, what each step was made of."""
        used = {name for step in self.trace.values() for name in step.inputs}
        return {
            "run": self.number,
            "model": self.opened.described(),
            "text": self.text,
            "context": self.context,
            "partial": self.partial,
            "wanted": self.trace.wanted,
            "answer": {"said": self.trace.answer, **plain(self.answer)},
            "written": self.written(),
            "texts": [each.title for each in self.given],
            "concludes": self.trace.conclusion is not None and not self.trace.wanted,
            "tokens": {side: texts for side, texts in self.trace.tokens.items() if texts},
            "axes": AXES,
            "hidden": HIDDEN,
            "steps": [self.described(step) for step in self.trace.values()],
            "parameters": {n: list(v.shape) for n, v in self.trace.parameters.items() if n in used},
            "chapters": [
                {
                    "title": chapter.title,
                    "opening": chapter.opening,
                    "side": chapter.side,
                    "layer": chapter.layer,
                    "steps": [step.name for step in chapter.steps],
                }
                for chapter in chapters(self.trace.values())
            ],
        }

    def described(self, step: Step) -> dict[str, Any]:
        """One step without its numbers."""
        return {
            "name": step.name,
            "axes": step.axes,
            "shape": list(step.value.shape),
            "symbol": step.formula.symbol,
            "formula": step.written,
            "math": typeset(step.typeset),
            "says": step.formula.says,
            "inputs": list(step.inputs),
            "edited": step.edited,
            "share": step.key in SHARES,
            "labels": [self.along(step, axis) for axis in range(step.value.ndim)],
        }

    def along(self, step: Step, axis: int) -> str | list[str] | None:
        """The names along an axis: a side whose tokens they are, or one by one; a vocabulary's are asked for."""
        if step.axes.split()[axis] == "V":
            return None
        names = self.labels.along(step, axis)
        if not names:
            return None
        return next((side for side in self.trace.tokens if names == self.labels.tokens(side)), list(names))

    def step(self, name: str) -> Step:
        """A step of this run."""
        if name not in self.trace:
            raise InputError(f"run {self.number} has no step {name!r}; choose one of its {len(self.trace)}")
        return self.trace[name]

    def value(self, name: str) -> Tensor:
        """The numbers of a step or parameter."""
        return self.trace.parameters[name] if name in self.trace.parameters else self.step(name).value

    def peak(self, name: str) -> float:
        """What full colour means in a step or parameter; of very many numbers, by some of them all over it."""
        if name not in self.peaks:
            shares = name in self.trace and self.trace[name].key in SHARES
            self.peaks[name] = 1.0 if shares else peak(thinned(self.value(name)))
        return self.peaks[name]

    def written(self) -> list[dict[str, Any]]:
        """Each token of an answer that was written: how likely it was, and what else was."""
        ending = self.trace.conclusion
        if not isinstance(ending, Written) or PROBABILITIES not in self.trace:
            return []
        shares = self.trace[PROBABILITIES].value[0][-len(ending.tokens) :]
        found = shares.topk(min(OTHERS, shares.shape[-1]), dim=-1)
        rows = zip(ending.tokens, found.indices.tolist(), found.values.tolist(), strict=True)
        return [
            {
                "id": token.id,
                "token": token.token,
                "probability": math.exp(token.log_probability),
                "alternatives": [
                    {"id": number, "token": self.labels.word(self.labels.last, number), "probability": share}
                    for number, share in zip(numbers, likely, strict=True)
                ],
            }
            for token, numbers, likely in rows
        ]

    def equation(self, name: str, *, text: int, head: int) -> list[dict[str, Any]]:
        """What a step was made of, as on a board: matrices and the signs between them; none where one is large."""
        terms = Board(self.step(name), self.labels, text=text, head=head).equation()
        matrices = [term for term in terms if isinstance(term, Matrix)]
        if any(rows > SMALL[0] or columns > SMALL[1] for rows, columns in (each.size for each in matrices)):
            return []
        return [{"sign": term} if isinstance(term, str) else written_out(term) for term in terms]

    def worked(self, name: str, row: int, column: int, *, text: int, head: int) -> str:
        """How one number came about, with the numbers put in; nothing where a step has no such line."""
        board = Board(self.step(name), self.labels, text=text, head=head)
        rows, columns = board.result.values.shape
        if not (0 <= row < rows and 0 <= column < columns):
            raise InputError(f"{name} has {rows} rows and {columns} columns, and {row}, {column} was asked for")
        entry = Writer(board, PRECISION).entry(row, column)
        return "" if entry is None else entry.text

    def likeliest(self, name: str, *, text: int = 0, top: int = TOP) -> list[list[dict[str, Any]]]:
        """For each row of probabilities the likeliest outcomes, with their names."""
        step = self.step(name)
        letter = step.axes.split()[-1]
        if step.key not in SHARES or letter not in "VL":
            raise InputError(f"{name} holds no probabilities of outcomes")
        rows = step.value[text].reshape(-1, step.value.shape[-1])
        found = rows.topk(min(top, rows.shape[-1]), dim=-1)
        names = self.labels.along(step, step.value.ndim - 1) if letter == "L" else None
        side = self.labels.side(name)
        return [
            [
                {
                    "id": number,
                    "name": names[number] if names else self.labels.word(side, number),
                    "probability": share,
                }
                for number, share in zip(numbers, shares, strict=True)
            ]
            for numbers, shares in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]

    def beams(self, beams: int, search: Searched) -> dict[str, Any]:
        """The whole tree of a search for this text: by so many beams, groups of one beam, or candidates."""
        if not isinstance(self.opened.model.task, Generation | Rewriting):
            raise InputError(f"{self.opened.name} writes no text, so it searches none")
        asked = options_of(search, beams, self.options)
        with self.opened.lock, self.opened.model.edit(*self.edits):
            found = self.opened.model.trace_generation(self.text, keep=(), **asked)
        tree = found.written.tree
        assert tree is not None, "each of these searches grows a tree"
        told = tree.as_dict()
        for own, node in zip(told["nodes"], tree.nodes, strict=True):
            own["probability"] = math.exp(node.log_probability)
            own["figures"] = " ".join(tree.figures(node).split())
        for own, one in zip(told["finished"], tree.finished, strict=True):
            own["figures"] = one.figures
        return {"answer": found.answer, "says": tree.says, **told}


def thinned(value: Tensor) -> Tensor:
    """Of a large tensor as many numbers as say how large they are: a colour waits for no more."""
    every = -(-value.numel() // ENOUGH)
    while every > 1 and math.gcd(every, value.shape[-1]) > 1:  # else some columns would never be met
        every += 1
    return value.reshape(-1)[::every]


def written_out(matrix: Matrix) -> dict[str, Any]:
    """A matrix with its numbers as they are, and what its rows and columns are called."""
    return {
        "symbol": matrix.symbol,
        "values": matrix.values.tolist(),
        "rows": matrix.rows,
        "columns": matrix.columns,
        "whole": not matrix.values.is_floating_point(),
        "peak": peak(matrix.values),
    }


def plain(answer: Any) -> dict[str, Any]:
    """A typed answer as plain values."""
    if not is_dataclass(answer) or isinstance(answer, type):
        return {}
    return {key: value for key, value in asdict(answer).items() if sayable(value)}


def sayable(value: Any) -> bool:
    """Whether JSON can say it."""
    if isinstance(value, Mapping):
        return all(map(sayable, value.values()))
    if isinstance(value, list | tuple):
        return all(map(sayable, value))
    return value is None or isinstance(value, str | int | float | bool)
