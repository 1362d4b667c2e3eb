"""What every kept search has: the continuations that were weighed, as a tree, and what became of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from glassformer.glass.conclusion.conclusion import Numbers
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
    group: int  # of beams: which of the groups weighed it
    rank: int  # 0: the best of its position; groups stand one behind the other
    id: int
    token: str
    parent: int | None  # the number of the node that it continues; None: the beginning
    row: int  # which row of its position's run said how likely it is
    text: str  # all that was written with it
    log_probability: float  # of this token, the model's own
    penalty: float  # what it loses: to groups that chose it before, or by its likeness to what was written
    score: float  # what it was weighed by, the penalty taken off
    closed: bool  # it closes the text
    fate: str  # kept, ended or dropped
    beam: int | None  # which beam it became
    reason: str  # of its fate, in words
    chosen: bool  # it is part of the answer


def path(nodes: Sequence[Node], number: int) -> list[Node]:
    """The nodes from the beginning to this one."""
    found = [nodes[number]]
    while (parent := found[-1].parent) is not None:
        found.append(nodes[parent])
    return found[::-1]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A hypothesis that ended: its last node, and its score divided by length to the power of the penalty."""

    node: int
    score: float
    agreement: float | None = None  # where it decided: what it is expected to have in common with the right answer

    @property
    def figures(self) -> str:
        """What the hypotheses are ranked by, in words."""
        return f"score {self.score:.4f}" + ("" if self.agreement is None else f", agreement {self.agreement:.4f}")


@dataclass(frozen=True, kw_only=True)
class SearchTree(ABC, Displayed):
    """All that a search weighed, position by position, best first."""

    length_penalty: float
    nodes: tuple[Node, ...]
    finished: tuple[Finished, ...]  # best first: the first is the answer
    _levels: dict[int, list[Node]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.nodes:
            self._levels.setdefault(node.position, []).append(node)

    @property
    @abstractmethod
    def says(self) -> str:
        """What kind of search it was, in words."""

    @abstractmethod
    def figures(self, node: Node) -> str:
        """The numbers that a node was weighed by, beside its probability."""

    @abstractmethod
    def origin(self, node: Node) -> str:
        """Where a node comes from, if that has to be said."""

    @abstractmethod
    def checks(self, logits: Sequence[Numbers | None] = (), rows: Sequence[Numbers | None] = ()) -> Iterator[Check]:
        """How far the tree is from one made anew in NumPy.

        `logits` are, for each run, those behind each of its rows, (rows, V), and `rows` what the last layer made of
        all that it read, (rows, T, C); None where they were not kept.
        """

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {len(self.nodes)} nodes, {len(self._levels)} positions, {self.says}"

    @property
    def levels(self) -> list[list[Node]]:
        """The nodes of each position, best first."""
        return [self._levels[position] for position in sorted(self._levels)]

    @property
    def stages(self) -> list[tuple[str, list[Node]]]:
        """The nodes of each position, and of groups those of each group, best first, and what they are called."""
        found = []
        for level in self.levels:
            groups = sorted({node.group for node in self.nodes})
            for group in groups:
                of_group = "" if len(groups) == 1 else f", group {group}"
                own = [node for node in level if node.group == group]
                if own:
                    found.append((f"position {level[0].position}{of_group}", own))
        return found

    @property
    def answer(self) -> list[Node]:
        """The nodes of the answer, from its first token to its last."""
        return self.path(self.finished[0].node)

    def path(self, number: int) -> list[Node]:
        """The nodes from the beginning to this one."""
        return path(self.nodes, number)

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
        for called, nodes in self.stages:
            yield called
            for node in nodes:
                yield f"  {self.line(node, wide)}"
        yield from self.endings()

    def endings(self) -> Iterator[str]:
        """The hypotheses that ended, best first."""
        for place, one in enumerate(self.finished, start=1):
            yield f"{place}. {self.nodes[one.node].text!r}, {one.figures}"

    def line(self, node: Node, wide: int) -> str:
        """One node: its mark, token, where it comes from, probability, numbers, and why it stayed or left."""
        mark = "→" if node.chosen else MARKS[node.fate]
        likely = f"{np.exp(node.log_probability):7.2%}"
        return f"{mark} {self.origin(node)}{node.token!r:{wide}} {likely}  {self.figures(node)}  {node.reason}"

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def penalized(self, total: float, node: Node) -> float:
        """A sum divided by its length, in tokens to the power of the penalty."""
        return float(total / (node.position + 1) ** self.length_penalty)

    def ended(self, totals: Mapping[int, float], name: str) -> Check:
        """Whether each hypothesis that ended has the score of its sum, `totals` by the number of its last node."""
        found = np.array([one.score for one in self.finished])
        expected = [self.penalized(totals[one.node], self.nodes[one.node]) for one in self.finished]
        return compared(name, found, np.array(expected))
