"""The numbers of one run, in the order they were computed, each with its name, axes, formula and inputs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass import store
from glassformer.glass.conclusion.conclusion import Conclusion
from glassformer.glass.conclusion.kinds import conclusion_of
from glassformer.glass.names import Known, Names
from glassformer.glass.naming import Keep, chosen, first_fitting, let_go, unknown
from glassformer.glass.plain import as_plain, from_plain
from glassformer.glass.standing import Standing
from glassformer.glass.step import AXES, Step
from glassformer.glass.store import Saved
from glassformer.glass.tape import Tape
from glassformer.glass.touch import Touch
from glassformer.glass.verify import Verification, verify
from glassformer.glass.views import view

Edit = Callable[[Tensor], Tensor]

LIKELIEST = 8  # words of a row that a file knows by name


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is said of a run beside its steps."""

    tokens: dict[str, list[list[str]]]
    segments: dict[str, list[list[int]]]
    answer: str
    wanted: str
    known: Known


class Trace(Mapping[str, Step]):
    """A mapping from step name to step, filled by the model as it computes.

    `keep` chooses the steps to hold on to (shell patterns; those that begin with "!" are let go); `edits` replaces
    values as they are made, and everything after is computed from the replacement; with a `tape` there is a way back
    (see `learn`).
    """

    def __init__(
        self,
        keep: str | Iterable[str] = "*",
        edits: Mapping[str, Edit] | None = None,
        *,
        tape: Tape | None = None,
    ) -> None:
        self.keep, self._tape = Keep(keep), tape
        self._edits = dict(edits or {})
        self._itself = weakref.ref(self)  # what steps know of it: a trace lives no longer for its steps
        self._steps: dict[str, Step] = {}
        # which value is which step, also of steps not kept: an id says so only while its tensor lives
        self._names: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self._taken: dict[str, None] = {}  # the names of all steps in order, also of those not kept
        self._sizes: dict[tuple[str, str], int] = {}
        self.parameters: dict[str, Tensor] = {}
        self.tokens: dict[str, list[list[str]]] = {}  # side -> the tokens of each text, for those who show
        self.segments: dict[str, list[list[int]]] = {}  # side -> which text each token is of, where there are two
        self.answer: str = ""
        self.wanted: str = ""  # the answer that a loss was made for
        self.conclusion: Conclusion | None = None  # how the answer follows from the last step
        self.names = Names()  # the words and labels of the model that was traced
        self.touch: Touch | None = None  # the edits in force for the whole model
        self.begun: int | None = None  # how many of the decoder's tokens were there before the first was written
        self._standing: Standing | None = None  # of the stack that ran last
        self._blind = False

    @classmethod
    def blind(cls, touch: Touch) -> Trace:
        """One that records nothing and only hands each step to the edits in force."""
        trace = cls(())
        trace.touch, trace._blind = touch, True
        return trace

    def __getitem__(self, name: str) -> Step:
        if name not in self._steps:
            if name in self._taken:
                raise let_go(name, self.keep.patterns)
            raise unknown(name, self._steps or self._taken)
        return self._steps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __contains__(self, name: object) -> bool:
        return name in self._steps

    def __repr__(self) -> str:
        return f"Trace of {len(self)} steps" + (f": {self.answer}" if self.answer else "")

    @property
    def every_name(self) -> Collection[str]:
        """The names of all steps in order, also of those that were not kept."""
        return self._taken.keys()

    @property
    def edited(self) -> bool:
        """Whether any value was asked to be replaced on the way."""
        return bool(self._edits)

    def value(self, name: str) -> Tensor:
        """The value of a step or a parameter."""
        return self._steps[name].value if name in self._steps else self.parameters[name]

    def select(self, pattern: str) -> list[Step]:
        """The steps whose name fits a shell pattern, in the order they were computed."""
        found = chosen(pattern, self._steps)
        if not found:
            raise unknown(pattern, self._steps or self._taken)
        return [self._steps[name] for name in found]

    def check(self) -> None:
        """Refuse patterns, of what to keep and what to edit, that fitted no step of the run."""
        self.keep.check(self._taken)
        for pattern in self._edits:
            Keep(pattern).check(self._taken)

    def stand(self, standing: Standing) -> None:
        """From here on steps are of this stack, whose rows stand there in their texts."""
        self._standing = standing

    def know(self, parameters: Iterable[tuple[str, Tensor]]) -> None:
        """Learn the names of the parameters, so that steps can name their inputs."""
        if self._blind:
            return
        for name, parameter in parameters:
            self.parameters[name] = parameter.detach()
            self._names[id(parameter)] = weakref.ref(parameter), name

    def knows(self, value: Tensor) -> bool:
        """Whether this very tensor is a parameter or an earlier step."""
        return self._blind or self._called(value) is not None

    def wants(self, name: str) -> bool:
        """Whether a step that nothing else is made from is worth computing; its name is known from now on."""
        if self.keep(name) or first_fitting(self._edits, name) is not None:
            return True
        if self._blind:
            return False
        self._taken[name] = None
        return False

    def add(
        self,
        name: str,
        axes: str,
        value: Tensor,
        key: str,
        inputs: Iterable[Tensor | None],
        constants: Mapping[str, Any],
    ) -> Tensor:
        """Record a step and return its value, replaced if an edit says so, cut off where a way back is wanted."""
        if self._blind:
            return self._touched(name, axes, value)
        values = [source for source in inputs if source is not None]
        sources = tuple(self._name_of(source, name) for source in values)
        if name in self._taken:
            raise ValueError(f"{name} is recorded twice in one trace; use a new Trace for each run")
        self._check_axes(name, axes, value)
        made, pattern = value, first_fitting(self._edits, name) if self._edits else None
        if pattern is not None:
            value = self._replaced(name, value, self._edits[pattern])
        if self.touch is not None:
            value = self._touched(name, axes, value)
        edited = value is not made
        if not edited and self._called(value) is not None:
            value = value.view_as(
                value
            )  # a value that already has a name gets a second one without losing its first
        if self._tape is not None:
            value = self._tape.cut(name, axes, value, key, sources, values, constants)
        self._names[id(value)] = weakref.ref(value), name
        self._taken[name] = None
        if self.keep(name):
            held = value.detach() if value.requires_grad else value
            self._steps[name] = Step(name, axes, held, key, sources, dict(constants), edited, self._itself)
        return value

    def record(
        self,
        name: str,
        axes: str,
        value: Tensor,
        key: str,
        inputs: tuple[str, ...],
        constants: Mapping[str, Any],
    ) -> None:
        """Hold on to a step that was made after the run, if it is to be kept."""
        self._check_axes(name, axes, value)
        self._taken[name] = None
        if self.keep(name):
            held, known = value.detach(), dict(constants)
            self._steps[name] = Step(name, axes, held, key, inputs, known, False, self._itself)

    def _touched(self, name: str, axes: str, value: Tensor) -> Tensor:
        return value if self.touch is None else self.touch(name, axes, value, self._standing)

    def _called(self, value: Tensor) -> str | None:
        known = self._names.get(id(value))
        return known[1] if known is not None and known[0]() is value else None

    def _name_of(self, source: Tensor, wanted_by: str) -> str:
        name = self._called(source)
        if name is None:
            shape = tuple(source.shape)
            raise ValueError(f"{wanted_by}: an input of shape {shape} is no parameter and no earlier step")
        return name

    def _check_axes(self, name: str, axes: str, value: Tensor) -> None:
        letters = _letters(axes)
        if len(letters) != value.ndim:
            raise ValueError(f"{name}: {axes!r} has {len(letters)} axes, the value {value.ndim}")
        part = name.rpartition(".")[0]
        for letter, size in zip(letters, value.shape, strict=True):
            if letter != "1" and self._sizes.setdefault((part, letter), size) != size:
                raise ValueError(
                    f"{name}: axis {letter} is {size}, was {self._sizes[part, letter]} in {part}"
                )

    @staticmethod
    def _replaced(name: str, value: Tensor, edit: Edit) -> Tensor:
        new = edit(value)
        if new.shape != value.shape:
            raise InputError(
                f"the edit of {name} gives shape {tuple(new.shape)}; expected {tuple(value.shape)}"
            )
        return new if new is not value else value.clone()

    def verify(self) -> Verification:
        """Recompute every step, and the answer, in NumPy float64 from what was recorded; how far apart are they?"""
        found = verify(self._steps, self.parameters)
        if self.conclusion is None:
            return found
        checks = self.conclusion.verified(self._steps)
        if checks is None:
            return replace(found, unchecked=(*found.unchecked, "answer"))
        every = (*found.checks, *checks)
        return replace(found, checks=every, concluded=len(every) - len(found.checks))

    @property
    def known(self) -> Known:
        """The labels, and the words that were likeliest anywhere, for those who open the trace without its model."""
        words = [step.value for step in self._steps.values() if step.axes.endswith("V")]
        best = [value.topk(min(LIKELIEST, value.shape[-1])).indices for value in words]
        return self.names.known(sorted({number for ranks in best for number in ranks.flatten().tolist()}))

    def used(self) -> dict[str, Tensor]:
        """The parameters that the kept steps were made from."""
        names = {name for step in self._steps.values() for name in step.inputs}
        return {name: value for name, value in self.parameters.items() if name in names}

    def facts(self) -> dict[str, Any]:
        """What is said of the run beside its steps, as plain values."""
        said = {each.name: as_plain(getattr(self, each.name)) for each in fields(Facts)}
        return {**said, "conclusion": None if self.conclusion is None else self.conclusion.as_dict()}

    def save(self, path: str | Path) -> None:
        """Write the steps, and the parameters they used, into one safetensors file that opens without the model."""
        run = list(self._steps.values()), self.facts()
        store.write(Path(path), Saved("trace", [run], self.used(), {}))

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read a trace that `save` wrote; a file that is cut, altered or not ours is refused."""
        return store.read(
            Path(path), "trace", lambda saved: cls.restored(*saved.runs[0], saved.parameters)
        )

    @classmethod
    def restored(
        cls, steps: Iterable[Step], facts: Mapping[str, Any], parameters: Mapping[str, Tensor]
    ) -> Trace:
        """A trace from what a file holds of it."""
        trace = cls()
        trace._steps = {step.name: replace(step, run=trace._itself) for step in steps}
        trace._taken = dict.fromkeys(trace._steps)
        trace.parameters = dict(parameters)
        kept = dict(facts)
        trace.conclusion = conclusion_of(kept.pop("conclusion"))
        said = vars(from_plain(Facts, kept))
        trace.names = said.pop("known").names()
        for name, value in said.items():
            setattr(trace, name, value)
        return trace

    # ------------------------------------------------------------------ what is made of it

    def show(self, step: str = "", **options: Any) -> Any:
        """The page of this run, or of one step, inside a notebook."""
        return view("show", self, step, **options)

    def plot(self, step: str, path: str | Path | None = None, **options: Any) -> Any:
        """One step as a figure; written to `path` (.png or .svg) where one is given. Needs the extra `plot`."""
        return view("plot", self, step, path, **options)

    def to_html(self, path: str | Path, **options: Any) -> None:
        """Write one page that stands alone."""
        view("html", self, path, **options)

    def to_latex(self, path: str | Path, **options: Any) -> None:
        """Write a LaTeX document that walks the run with its numbers put in."""
        view("latex", self, path, **options)

    def to_workbook(self, path: str | Path, **options: Any) -> None:
        """Write a workbook whose cells are live formulas; see show/workbook.py for the options."""
        view("workbook", self, path, **options)

    def to_notebook(self, path: str | Path, **options: Any) -> None:
        """Write a notebook that computes every step again in NumPy, and the trace that it starts from beside it."""
        view("notebook", self, path, **options)

    def _repr_html_(self) -> str:
        """The run in a notebook: what was read, what came out, and every step by chapter."""
        return str(view("trace", self))


@lru_cache(maxsize=256)
def _letters(axes: str) -> tuple[str, ...]:
    letters = tuple(axes.split())
    for letter in letters:
        if letter not in AXES:
            raise ValueError(f"axis {letter!r} is not in the glossary")
    return letters
