"""A text as it was written: one trace for each token chosen, and, of a beam search, the whole tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glassformer.glass import store
from glassformer.glass.beam_tree import BeamTree
from glassformer.glass.conclusion.conclusion import Numbers
from glassformer.glass.contrastive_tree import ContrastiveTree
from glassformer.glass.loss_formulas import log_softmax
from glassformer.glass.naming import Keep
from glassformer.glass.plain import as_plain, from_plain
from glassformer.glass.step import Step
from glassformer.glass.store import Saved
from glassformer.glass.trace import Trace
from glassformer.glass.verify import Check, Verification, as_array, compared
from glassformer.glass.views import Displayed

KEPT = {  # what a cache holds of a run, by what the next run calls it: the last of these that was made
    "past_key": ("all_key", "key_turned", "key_norm.output", "key"),
    "past_value": ("all_value", "value"),
}
ROWS = "decoder.output"  # the rows that contrastive search compares


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A token that could have been chosen."""

    id: int
    token: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class ChosenToken:
    """A token of the answer, where it was chosen, and what else could have been."""

    position: int  # 0: the first new token
    id: int
    token: str
    log_probability: float  # the model's own, as the search heard it
    alternatives: tuple[Alternative, ...]  # the likeliest, best first
    row: int  # which row of its run chose it: of several beams or candidates that are read together

    @property
    def probability(self) -> float:
        """How likely the model held it."""
        return float(np.exp(self.log_probability))


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is said of a generation beside its runs."""

    answer: str
    new: str  # what was written, without what was given
    tokens: tuple[ChosenToken, ...]
    likeliest: bool  # every token was the likeliest: nothing was drawn, no rule took part, no beam
    rows: tuple[tuple[int, ...], ...]  # for each run, which row of the run before it each of its rows continues
    tree: BeamTree | ContrastiveTree | None


class GenerationTrace(Displayed, Sequence[Trace]):
    """The runs behind a text, in order: number i chose token i.

    A contrastive search reads its candidates before it chooses one: its run i weighed the candidates of token i - 1
    too, so there is one run more than tokens.

    The first run reads what is given, each later one only the token chosen before it; keys and values of earlier
    positions come from the cache as the steps `past_key` and `past_value`. `source` is the run of the encoder, if
    there is one. What the search heard was computed fused and apart from these runs, so `verify` compares both.
    """

    def __init__(self, runs: Sequence[Trace], written: Written, source: Trace | None = None) -> None:
        self.runs, self.written, self.source = list(runs), written, source

    @property
    def answer(self) -> str:
        """The answer, what was given included where it is a part of it."""
        return self.written.answer

    @property
    def tokens(self) -> tuple[ChosenToken, ...]:
        """The tokens of the answer."""
        return self.written.tokens

    @property
    def tree(self) -> BeamTree | ContrastiveTree | None:
        """Everything that a search by beams, groups of beams or likeness weighed."""
        return self.written.tree

    @property
    def every(self) -> list[Trace]:
        """All runs, that of the source first."""
        return [*([] if self.source is None else [self.source]), *self.runs]

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, number: Any) -> Any:
        return self.runs[number]

    def __iter__(self) -> Iterator[Trace]:
        return iter(self.runs)

    def __repr__(self) -> str:
        return f"GenerationTrace of {len(self.tokens)} tokens in {len(self)} runs: {self.answer}"

    def lines(self) -> Iterator[str]:
        """A line a token: its probability, and the likeliest beside it."""
        wide = max((len(repr(each.token)) for each in self.tokens), default=0)
        for each in self.tokens:
            others = "  ".join(f"{one.token!r} {one.probability:.1%}" for one in each.alternatives)
            yield f"{each.position:3d}  {each.token!r:{wide}} {each.probability:7.2%}   {others}"

    def __str__(self) -> str:
        return "\n".join((*self.lines(), self.answer))

    # ------------------------------------------------------------------ made again

    def verify(self) -> Verification:
        """Every step of every run, what runs hand on to one another, each choice, and the tree, in NumPy float64."""
        parts = [] if self.source is None else [renamed(self.source.verify(), "source")]
        parts += [renamed(run.verify(), f"run {number}") for number, run in enumerate(self.runs)]
        own = [*self._handed_on(), *self._chosen(), *self._tree()]
        return Verification(
            checks=(*(check for part in parts for check in part.checks), *own),
            given=tuple(name for part in parts for name in part.given),
            edited=tuple(name for part in parts for name in part.edited),
            unchecked=tuple(name for part in parts for name in part.unchecked),
            concluded=sum(part.concluded for part in parts) + len(own),
        )

    def _handed_on(self) -> Iterator[Check]:
        """What a run was given is what an earlier one made."""
        for number, run in enumerate(self.runs):
            for step in run.values():
                made = self._made(number, step)
                if made is not None:
                    yield compared(f"handed on to run {number}: {step.name}", as_array(step.value), as_array(made))

    def _made(self, number: int, step: Step) -> Tensor | None:
        """What an earlier run, or the source, made of a value that a run was given."""
        part, _, name = step.name.rpartition(".")
        if step.key != "given":
            return None
        if name == "memory" and self.source is not None and "encoder.output" in self.source:
            return self.source["encoder.output"].value[:1].expand_as(step.value)
        if name in ("key", "value") and step.name in self.runs[0] and number:  # of the source: all rows alike
            return self.runs[0][step.name].value[:1].expand_as(step.value)
        if part == "search":
            return self._weighed(number, name)
        before = self.runs[number - 1]
        found = [each for each in (f"{part}.{last}" for last in KEPT.get(name, ())) if each in before]
        return before[found[0]].value[list(self.written.rows[number])] if found else None

    def _weighed(self, number: int, name: str) -> Tensor | None:
        """What a contrastive choice was given: the rows of all before it, or how likely each candidate is."""
        if name == "written":
            if any(ROWS not in run for run in self.runs[:number]):
                return None
            first = self.runs[0][ROWS].value[0]
            later = [self.runs[n][ROWS].value[self.tokens[n].row, -1:] for n in range(1, number)]
            return torch.cat([first, *later])
        tree, before = self.tree, self.runs[number - 1]
        if not isinstance(tree, ContrastiveTree) or tree.ruled or "head.logits" not in before:
            return None
        level = tree.levels[number - 1]
        likely = before["head.logits"].value[level[0].row, -1].softmax(dim=-1)
        return likely[[node.id for node in level]]

    def _chosen(self) -> Iterator[Check]:
        """Each token's probability, and those beside it."""
        for each in self.tokens:
            said = self._logits(each.position)
            if said is None:
                continue
            likely = log_softmax(said[each.row])
            name = f"token {each.position}"
            size = float(np.abs(said[each.row]).max())
            found = np.array([each.log_probability])
            yield compared(f"{name}: log_probability", found, likely[[each.id]], size=size)
            shares = np.array([one.probability for one in each.alternatives])
            best = np.exp(likely[[one.id for one in each.alternatives]])
            yield compared(f"{name}: alternatives", shares, best)
            yield compared(f"{name}: likeliest", shares, np.sort(np.exp(likely))[::-1][: len(shares)])
            if self.written.likeliest:
                short = float(likely.max() - likely[each.id])
                yield Check(f"{name}: choice", short, short / size if size else short)

    def _tree(self) -> Iterator[Check]:
        if self.tree is not None:
            rows = [as_array(run[ROWS].value) if ROWS in run else None for run in self.runs]
            yield from self.tree.checks([self._logits(number) for number in range(len(self.runs))], rows)

    def _logits(self, number: int) -> Numbers | None:
        """The logits behind the last token of each row of a run, (rows, V)."""
        run = self.runs[number]
        return as_array(run["head.logits"].value)[:, -1] if "head.logits" in run else None

    # ------------------------------------------------------------------ kept

    def save(self, path: str | Path) -> None:
        """Write all runs into one safetensors file that opens without the model."""
        every = self.every
        parameters = {name: value for run in every for name, value in run.used().items()}
        facts = {"written": as_plain(self.written), "source": self.source is not None}
        store.write(
            Path(path), Saved("generation", [([*r.values()], r.facts()) for r in every], parameters, facts)
        )

    @classmethod
    def load(cls, path: str | Path) -> GenerationTrace:
        """Read what `save` wrote; a file that is cut, altered or not ours is refused."""
        return store.read(Path(path), "generation", cls._restored)

    @classmethod
    def _restored(cls, saved: Saved) -> GenerationTrace:
        runs = [Trace.restored(steps, facts, saved.parameters) for steps, facts in saved.runs]
        source = runs.pop(0) if saved.facts["source"] is True else None
        written = from_plain(Written, saved.facts["written"])
        if len(written.rows) != len(runs) or any(each.position >= len(runs) for each in written.tokens):
            raise ValueError("the tokens and the runs do not belong together")
        return cls(runs, written, source)


def renamed(found: Verification, before: str) -> Verification:
    """The same checks, their names preceded by whose they are."""
    return replace(
        found,
        checks=tuple(replace(check, name=f"{before}: {check.name}") for check in found.checks),
        given=tuple(f"{before}: {name}" for name in found.given),
        edited=tuple(f"{before}: {name}" for name in found.edited),
        unchecked=tuple(f"{before}: {name}" for name in found.unchecked),
    )


def check_patterns(patterns: Iterable[str], runs: Iterable[Trace]) -> None:
    """Refuse a pattern that fits no step of any run."""
    Keep(patterns).check({name: None for run in runs for name in run.every_name})
