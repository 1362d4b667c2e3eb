"""A beam search as the tree that it was: every continuation that was weighed, and what became of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from glassformer.glass.conclusion.conclusion import Numbers, agree
from glassformer.glass.loss_formulas import log_softmax
from glassformer.glass.search_tree import Node, SearchTree
from glassformer.glass.verify import Check, compared


@dataclass(frozen=True, kw_only=True, repr=False)
class BeamTree(SearchTree):
    """All that a beam search weighed, position by position, best first.

    At each position the continuations of all beams are ranked by their summed log-probability. Of the best `beams`
    those that close are finished; the best `beams` that do not go on. Several `groups` of beams do so in turn, each
    among its own beams, and a token costs every later group `diversity_penalty` for each beam of an earlier one that
    has just chosen it (Vijayakumar et al. 2018). `by_sum` is False where rules or chance changed what is added up.
    With an `agreement_power` the answer is, of what ended, what all of it agrees with most (Kumar and Byrne 2004).
    """

    beams: int
    groups: int
    diversity_penalty: float
    agreement_power: float  # the power of each hypothesis's probability when they are compared; 0: they are not
    weighed: int  # continuations weighed at each position
    by_sum: bool

    @property
    def says(self) -> str:
        """How many beams, and in which groups."""
        grouped = f" in {self.groups} groups, diversity penalty {self.diversity_penalty:g}"
        compared = (
            ", answered with what they agree on most, each weighed by its probability to the power of "
            f"{self.agreement_power:g}"
        )
        return (
            f"{self.beams} beams{grouped if self.groups > 1 else ''}{compared if self.agreement_power else ''}"
        )

    @property
    def together(self) -> int:
        """How many beams are ranked together: all, or those of a group."""
        return self.beams // self.groups

    def figures(self, node: Node) -> str:
        """The sum over the whole hypothesis; of groups, what earlier ones cost the token."""
        cost = f"penalty {node.penalty:7.4f}  " if self.groups > 1 else ""
        return f"{cost}sum {node.score:9.4f}"

    def origin(self, node: Node) -> str:
        """The beam that it continues."""
        return f"{'' if node.parent is None else f'beam {self.nodes[node.parent].beam}':8}"

    # ------------------------------------------------------------------ made again

    def checks(
        self, logits: Sequence[Numbers | None] = (), rows: Sequence[Numbers | None] = ()
    ) -> Iterator[Check]:
        """How far the tree is from one made anew in NumPy: sums, ranks, what was kept, what was finished."""
        for level, said in zip(self.levels, [*logits, *[None] * len(self.levels)], strict=False):
            before: Counter[int] = Counter()  # how often beams of earlier groups chose a token here
            for group in range(self.groups):
                own = [node for node in level if node.group == group]
                if own:
                    yield from self._stage(own, said, before)
                before.update(node.id for node in self._open(own))
        yield self.ended({node.number: node.score for node in self.nodes}, "beams.finished")
        best = sorted((one for group in range(self.groups) for one in self._ended(group)), reverse=True)
        scores, agreed = [one.score for one in self.finished], self.agreement_power > 0
        yield compared(
            "beams.best", np.array(sorted(scores, reverse=True) if agreed else scores), np.array(best)
        )
        if agreed:
            found = np.array([one.agreement for one in self.finished])
            yield compared("beams.agreement", found, self._agreements())
            yield compared("beams.order", found, np.sort(found)[::-1])

    def _open(self, nodes: Sequence[Node]) -> list[Node]:
        """The best that may go on, of what was ranked together."""
        return [node for node in nodes if not node.closed][: self.together]

    def _ended(self, group: int) -> list[float]:
        """The scores of the best that a group ended with."""
        ended = [node for node in self.nodes if node.fate == "ended" and node.group == group]
        return sorted((self.penalized(node.score, node) for node in ended), reverse=True)[: self.together]

    def _agreements(self) -> Numbers:
        """How much each of what ended is expected to have in common with the right answer."""
        paths = [self.path(one.node) for one in self.finished]
        sums = np.array([sum(node.log_probability for node in path) for path in paths])
        weights = np.exp(self.agreement_power * (sums - sums.max()))
        ids = [[node.id for node in path] for path in paths]
        weights *= [one not in ids[:place] for place, one in enumerate(ids)]  # groups may end in the same
        shared = np.eye(len(ids))
        for i, a in enumerate(ids):
            for j, b in enumerate(ids[:i]):
                shared[i, j] = shared[j, i] = 2 * _common(a, b) / (len(a) + len(b))
        found: Numbers = shared @ weights / weights.sum()
        return found

    def _stage(self, nodes: Sequence[Node], said: Numbers | None, before: Counter[int]) -> Iterator[Check]:
        name = f"beams.{nodes[0].position}" + (f".{nodes[0].group}" if self.groups > 1 else "")
        sums = np.array([0.0 if n.parent is None else self.nodes[n.parent].score for n in nodes])
        logs, penalties, scores = (
            np.array([getattr(node, field) for node in nodes]) for field in ("log_probability", "penalty", "score")
        )
        if self.groups > 1:
            costs = np.array([self.diversity_penalty * before[node.id] for node in nodes])
            free = not self.by_sum  # what a rule forces costs nothing
            yield compared(f"{name}.penalties", penalties, np.where(free & (penalties == 0), 0.0, costs))
        if self.by_sum:
            yield compared(f"{name}.scores", scores, sums + logs - penalties)
        cut_off = not any(node.fate == "kept" for node in nodes)  # at the last position nothing goes on
        kept = [node.number for node in sorted(nodes, key=_by_beam) if node.fate == "kept"]
        yield agree(f"{name}.kept", kept, [] if cut_off else [node.number for node in self._open(nodes)])
        yield agree(
            f"{name}.ended",
            [node.number for node in nodes if node.fate == "ended"],
            [node.number for node in nodes[: self.together] if node.closed or cut_off],
        )
        if said is None:
            return
        likely = log_softmax(said)
        size, picked = float(np.abs(said).max()), likely[[n.row for n in nodes], [n.id for n in nodes]]
        yield compared(f"{name}.log_probabilities", logs, picked, size=size)
        if self.by_sum:
            yield compared(f"{name}.candidates", scores, self._best(nodes, likely, before), size=size)

    def _best(self, nodes: Sequence[Node], likely: Numbers, before: Counter[int]) -> Numbers:
        """The best sums of all continuations of the beams that were ranked together."""
        first = nodes[0]
        totals = {0: 0.0}
        if first.parent is not None:
            start = first.row - (self.nodes[first.parent].beam or 0)
            earlier = self._levels[first.position - 1]
            kept = [node for node in earlier if node.beam is not None and node.group == first.group]
            totals = {start + (node.beam or 0): node.score for node in kept}
        costs = np.zeros(likely.shape[1])
        for token, count in before.items():
            costs[token] = self.diversity_penalty * count
        sums = np.concatenate([likely[row] + total - costs for row, total in totals.items()])
        best: Numbers = np.sort(sums)[::-1][: len(nodes)]
        return best


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the longest sequence of tokens that stands in both in this order, by the textbook's table."""
    above = [0] * (len(other) + 1)
    for a in one:
        row = [0]
        for j, b in enumerate(other):
            row.append(above[j] + 1 if a == b else max(above[j + 1], row[j]))
        above = row
    return above[-1]


def _by_beam(node: Node) -> int:
    return -1 if node.beam is None else node.beam
