"""The numbers of one run, in the order they were computed, each with its name, axes, formula and inputs."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from glassformer.errors import InputError
from glassformer.glass import store
from glassformer.glass.step import AXES, Step
from glassformer.glass.verify import Verification, verify

Edit = Callable[[Tensor], Tensor]


class Trace(Mapping[str, Step]):
    """A mapping from step name to step, filled by the model as it computes.

    `keep` chooses the steps to hold on to (shell patterns); `edits` replaces values as they are made, and
    everything after is computed from the replacement.
    """

    def __init__(self, keep: str | Iterable[str] = "*", edits: Mapping[str, Edit] | None = None) -> None:
        self._patterns = (keep,) if isinstance(keep, str) else tuple(keep)
        self._edits = dict(edits or {})
        self._steps: dict[str, Step] = {}
        self._names: WeakIdKeyDictionary = (
            WeakIdKeyDictionary()
        )  # which value is which step, also of steps not kept
        self._taken: set[str] = set()
        self._sizes: dict[tuple[str, str], int] = {}
        self.parameters: dict[str, Tensor] = {}
        self.tokens: dict[str, list[list[str]]] = {}  # side -> the tokens of each text, for those who show
        self.answer: str = ""
        self.wanted: str = ""  # the answer that a loss was made for

    def __getitem__(self, name: str) -> Step:
        if name not in self._steps:
            known = fnmatch.filter(self._steps, f"*{name.rsplit('.', 1)[-1]}")[:4]
            raise KeyError(
                f"no step {name!r}; there are {len(self._steps)}, such as {', '.join(known or list(self._steps)[:4])}"
            )
        return self._steps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __contains__(self, name: object) -> bool:
        return name in self._steps

    def __repr__(self) -> str:
        return f"Trace of {len(self)} steps" + (f": {self.answer}" if self.answer else "")

    def value(self, name: str) -> Tensor:
        """The value of a step or a parameter."""
        return self._steps[name].value if name in self._steps else self.parameters[name]

    def select(self, pattern: str) -> list[Step]:
        """The steps whose name fits a shell pattern, in the order they were computed."""
        return [self._steps[name] for name in fnmatch.filter(self._steps, pattern)]

    def know(self, parameters: Iterable[tuple[str, Tensor]]) -> None:
        """Learn the names of the parameters, so that steps can name their inputs."""
        for name, parameter in parameters:
            self.parameters[name] = parameter.detach()
            self._names[parameter] = name

    def knows(self, value: Tensor) -> bool:
        """Whether this very tensor is a parameter or an earlier step."""
        return value in self._names

    def add(
        self,
        name: str,
        axes: str,
        value: Tensor,
        key: str,
        inputs: Iterable[Tensor | None],
        constants: Mapping[str, Any],
    ) -> Tensor:
        """Record a step and return its value, replaced if an edit says so."""
        sources = tuple(self._name_of(source, name) for source in inputs if source is not None)
        if name in self._taken:
            raise ValueError(f"{name} is recorded twice in one trace; use a new Trace for each run")
        self._check_axes(name, axes, value)
        edit = next((f for pattern, f in self._edits.items() if fnmatch.fnmatchcase(name, pattern)), None)
        if edit is not None:
            value = self._replaced(name, value, edit)
        elif value in self._names:
            value = value.view_as(
                value
            )  # a value that already has a name gets a second one without losing its first
        self._names[value] = name
        self._taken.add(name)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns):
            self._steps[name] = Step(
                name, axes, value.detach(), key, sources, dict(constants), edit is not None
            )
        return value

    def _name_of(self, source: Tensor, wanted_by: str) -> str:
        if source not in self._names:
            shape = tuple(source.shape)
            raise ValueError(f"{wanted_by}: an input of shape {shape} is no parameter and no earlier step")
        return str(self._names[source])

    def _check_axes(self, name: str, axes: str, value: Tensor) -> None:
        letters = axes.split()
        if len(letters) != value.ndim:
            raise ValueError(f"{name}: {axes!r} has {len(letters)} axes, the value {value.ndim}")
        part = name.rpartition(".")[0]
        for letter, size in zip(letters, value.shape, strict=True):
            if letter not in AXES:
                raise ValueError(f"{name}: axis {letter!r} is not in the glossary")
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
        """Recompute every step in NumPy float64 from its recorded inputs, and say how far apart the two are."""
        return verify(self._steps, self.parameters)

    def save(self, path: str | Path) -> None:
        """Write the steps, and the parameters they used, into one safetensors file that opens without the model."""
        used = {name for step in self._steps.values() for name in step.inputs}
        parameters = {name: value for name, value in self.parameters.items() if name in used}
        store.write(Path(path), self._steps.values(), parameters, self.tokens, self.answer)

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read a trace that `save` wrote."""
        trace = cls()
        steps, trace.parameters, trace.tokens, trace.answer = store.read(Path(path))
        trace._steps = {step.name: step for step in steps}
        return trace
