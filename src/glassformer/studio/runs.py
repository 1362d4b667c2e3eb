"""Runs that the page looks at: each a trace with its answer, described once and handed out number by number."""

import itertools
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from threading import Lock
from typing import Any

from glassformer.errors import InputError
from glassformer.glass.edits import AnyEdit
from glassformer.glass.step import AXES, Step
from glassformer.glass.trace import Trace
from glassformer.show.board import Board
from glassformer.show.chapters import chapters
from glassformer.show.labels import Labels
from glassformer.show.mathml import mathml
from glassformer.show.numbers import HIDDEN, PRECISION
from glassformer.show.page import SHARES, peak
from glassformer.show.worked import Writer
from glassformer.studio.shelf import Opened
from glassformer.tasks.generation import Generation
from glassformer.tasks.rewriting import Rewriting

ROOM = 2 * 2**30  # bytes of numbers that are kept; the oldest runs make room
LONGEST = 100_000  # characters of a text
TOP = 8  # likeliest outcomes that are listed


@dataclass(frozen=True)
class Kept:
    """A run, and what is needed to tell of it."""

    number: int
    opened: Opened
    text: str
    context: str | None
    trace: Trace
    labels: Labels
    answer: Any
    edits: tuple[AnyEdit, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        return sum(step.value.numel() * step.value.element_size() for step in self.trace.values())

    def manifest(self) -> dict[str, Any]:
        """All of it but the numbers: names, axes, shapes, formulas, what each step was made of."""
        used = {name for step in self.trace.values() for name in step.inputs}
        return {
            "run": self.number,
            "model": self.opened.described(),
            "text": self.text,
            "context": self.context,
            "answer": {"said": self.trace.answer, **plain(self.answer)},
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
            "math": mathml(step.typeset),
            "says": step.formula.says,
            "inputs": list(step.inputs),
            "edited": step.edited,
            "peak": peak(step.value),
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

    def parameter(self, name: str) -> dict[str, Any]:
        """What is known of a parameter beside its numbers."""
        if name not in self.trace.parameters:
            raise InputError(f"the model of run {self.number} has no parameter {name!r}")
        value = self.trace.parameters[name]
        return {"name": name, "shape": list(value.shape), "peak": peak(value)}

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
        if step.key not in SHARES or step.axes.split()[-1] not in "VL":
            raise InputError(f"{name} holds no probabilities of outcomes")
        rows = step.value[text].reshape(-1, step.value.shape[-1])
        found = rows.topk(min(top, rows.shape[-1]), dim=-1)
        names = self.labels.along(step, step.value.ndim - 1)
        return [
            [
                {"id": number, "name": names[number] if names else str(number), "probability": share}
                for number, share in zip(numbers, shares, strict=True)
            ]
            for numbers, shares in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]


    def beams(self, beams: int) -> dict[str, Any]:
        """The whole tree of a beam search for this text."""
        if not isinstance(self.opened.model.task, Generation | Rewriting):
            raise InputError(f"{self.opened.name} writes no text, so it searches none")
        with self.opened.lock:
            found = self.opened.model.trace_generation(self.text, keep=(), num_beams=beams)
        tree = found.written.tree
        assert tree is not None, "a search with beams grows a tree"
        told = tree.as_dict()
        for node in told["nodes"]:
            node["probability"] = math.exp(node["log_probability"])
        return {"answer": found.answer, **told}


class Runs:
    """The runs that are kept, by number."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self.held: OrderedDict[int, Kept] = OrderedDict()
        self.numbers = itertools.count(1)
        self.lock = Lock()

    def make(
        self,
        opened: Opened,
        text: str,
        context: str | None,
        options: Mapping[str, Any],
        edits: Sequence[AnyEdit] = (),
    ) -> Kept:
        """Run a model, edited if it should be, and keep every number of it."""
        for given in (text, context or ""):
            if len(given) > LONGEST:
                raise InputError(f"the text has {len(given):,} characters; {LONGEST:,} at most can be looked at")
        given_text = (text,) if context is None else (text, context)
        with opened.lock, opened.model.edit(*edits):
            answer = opened.model(*given_text, **options)
            trace = opened.model.trace(*given_text, **options)
        with self.lock:
            kept = Kept(
                next(self.numbers), opened, text, context, trace, Labels(trace, opened.names), answer, tuple(edits)
            )
            self.held[kept.number] = kept
            while len(self.held) > 1 and sum(each.size for each in self.held.values()) > self.room:
                self.held.popitem(last=False)
        return kept

    def get(self, number: int) -> Kept:
        """A run that is still kept."""
        if number not in self.held:
            raise InputError(f"run {number} is not kept any more; run the text again")
        return self.held[number]


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
