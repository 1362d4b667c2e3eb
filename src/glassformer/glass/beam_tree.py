"""A beam search as the tree that it was: every continuation that was weighed, and what became of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from glassformer.glass.conclusion.conclusion import Numbers, agree
from glassformer.glass.loss_formulas import log_softmax
from glassformer.glass.plain import as_plain
from glassformer.glass.verify import Check, compared
from glassformer.glass.views import Displayed

Fate = Literal["kept", "ended", "dropped"]
MARKS: Mapping[str, str] = {"kept": "·", "ended": "■", "dropped": " "}


@dataclass(frozen=True, kw_only=True)
class Node:
    """One continuation that was weighed."""

    number: int
    position: int  # 0: the first new token
    rank: int  # 0: the best of its position
    id: int
    token: str
    parent: int | None  # the number of the node that it continues; None: the beginning
    text: str  # all that was written with it
    log_probability: float  # of this token, the model's own
    score: float  # the sum over the whole hypothesis
    closed: bool  # it closes the text
    fate: str  # kept, ended or dropped
    beam: int | None  # which beam it became
    reason: str  # of its fate, in words
    chosen: bool  # it is part of the answer


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A hypothesis that ended: its last node, and its score divided by length to the power of the penalty."""

    node: int
    score: float


@dataclass(frozen=True, kw_only=True)
class BeamTree(Displayed):
    """All that a beam search weighed, position by position, best first.

    At each position the continuations of all beams are ranked by their summed log-probability. Of the best `beams`
    those that close are finished; the best `beams` that do not go on. `by_sum` is False where rules or chance changed
    what is added up.
    """

    beams: int
    weighed: int  # continuations weighed at each position
    length_penalty: float
    by_sum: bool
    nodes: tuple[Node, ...]
    finished: tuple[Finished, ...]  # best first: the first is the answer
    _levels: dict[int, list[Node]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.nodes:
            self._levels.setdefault(node.position, []).append(node)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"BeamTree of {len(self.nodes)} nodes, {len(self._levels)} positions, {self.beams} beams"

    @property
    def levels(self) -> list[list[Node]]:
        """The nodes of each position, best first."""
        return [self._levels[position] for position in sorted(self._levels)]

    @property
    def answer(self) -> list[Node]:
        """The nodes of the answer, from its first token to its last."""
        return self.path(self.finished[0].node)

    def path(self, number: int) -> list[Node]:
        """The nodes from the beginning to this one."""
        found = [self.nodes[number]]
        while (parent := found[-1].parent) is not None:
            found.append(self.nodes[parent])
        return found[::-1]

    def children(self, number: int | None) -> list[Node]:
        """What was weighed behind a node, best first; None: behind the beginning."""
        return [node for node in self.nodes if node.parent == number]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain: dict[str, Any] = as_plain(self)
        return plain

    def lines(self) -> Iterator[str]:
        """Position by position what was weighed and what became of it."""
        wide = max(len(repr(node.token)) for node in self.nodes)
        for level in self.levels:
            yield f"position {level[0].position}"
            for node in level:
                yield f"  {self.line(node, wide)}"
        for place, one in enumerate(self.finished, start=1):
            yield f"{place}. {self.nodes[one.node].text!r}, score {one.score:.4f}"

    def line(self, node: Node, wide: int) -> str:
        """One node: its mark, token, where it comes from, probability, summed score, and why it stayed or left."""
        mark = "→" if node.chosen else MARKS[node.fate]
        beam = "" if node.parent is None else f"beam {self.nodes[node.parent].beam}"
        likely = f"{np.exp(node.log_probability):7.2%}"
        return f"{mark} {beam:8}{node.token!r:{wide}} {likely}  sum {node.score:9.4f}  {node.reason}"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    # ------------------------------------------------------------------ made again

    def checks(self, logits: Sequence[Numbers | None] = ()) -> Iterator[Check]:
        """How far the tree is from one made anew in NumPy: sums, ranks, what was kept, what was finished.

        `logits` are, for each position, those of every beam, (beams, V), or None where they were not kept.
        """
        for level, said in zip(self.levels, [*logits, *[None] * len(self.levels)], strict=False):
            yield from self._level(level, said)
        lengths = [self.nodes[one.node].position + 1 for one in self.finished]
        totals = [self.nodes[one.node].score for one in self.finished]
        scores = np.array([one.score for one in self.finished])
        expected = [total / length**self.length_penalty for total, length in zip(totals, lengths, strict=True)]
        yield compared("beams.finished", scores, np.array(expected))
        best = sorted(self._ended(), reverse=True)[: self.beams]
        yield compared("beams.best", scores, np.array(best))

    def _ended(self) -> list[float]:
        ended = [node for node in self.nodes if node.fate == "ended"]
        return [node.score / (node.position + 1) ** self.length_penalty for node in ended]

    def _level(self, level: Sequence[Node], said: Numbers | None) -> Iterator[Check]:
        place = level[0].position
        before = np.array([0.0 if n.parent is None else self.nodes[n.parent].score for n in level])
        logs = np.array([node.log_probability for node in level])
        scores = np.array([node.score for node in level])
        if self.by_sum:
            yield compared(f"beams.{place}.scores", scores, before + logs)
        open_ones = [node.number for node in level if not node.closed][: self.beams]
        cut_off = not any(node.fate == "kept" for node in level)  # at the last position nothing goes on
        kept = [node.number for node in sorted(level, key=_by_beam) if node.fate == "kept"]
        yield agree(f"beams.{place}.kept", kept, [] if cut_off else open_ones)
        yield agree(
            f"beams.{place}.ended",
            [node.number for node in level if node.fate == "ended"],
            [node.number for node in level[: self.beams] if node.closed or cut_off],
        )
        if said is None:
            return
        rows = [0 if node.parent is None else self.nodes[node.parent].beam or 0 for node in level]
        likely = log_softmax(said)
        size, picked = float(np.abs(said).max()), likely[rows, [node.id for node in level]]
        yield compared(f"beams.{place}.log_probabilities", logs, picked, size=size)
        if self.by_sum:
            best = self._best(place, likely, len(level))
            yield compared(f"beams.{place}.candidates", scores, best, size=size)

    def _best(self, place: int, likely: Numbers, count: int) -> Numbers:
        """The best sums of all continuations of all beams."""
        totals = {0: 0.0}
        if place:
            kept = [node for node in self._levels[place - 1] if node.beam is not None]
            totals = {node.beam or 0: node.score for node in kept}
        sums = np.concatenate([likely[beam] + total for beam, total in totals.items()])
        best: Numbers = np.sort(sums)[::-1][:count]
        return best


def _by_beam(node: Node) -> int:
    return -1 if node.beam is None else node.beam
