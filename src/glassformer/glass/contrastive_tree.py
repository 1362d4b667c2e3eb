"""A contrastive search as a tree: at each position the candidates, how sure of each, how like what was written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from glassformer.glass.conclusion.conclusion import Numbers, agree
from glassformer.glass.loss_formulas import log_softmax
from glassformer.glass.search_formulas import contrastive_score, likeness
from glassformer.glass.search_tree import Node, SearchTree
from glassformer.glass.verify import Check, compared


@dataclass(frozen=True, kw_only=True, repr=False)
class ContrastiveTree(SearchTree):
    """All candidates of a contrastive search, position by position, the likeliest first. Su et al. 2022.

    A node's penalty is how like its row of the last layer is to the likest of all rows before it, their cosine; its
    score (1 - alpha) times its probability less alpha times that. The candidate with the greatest score is written.
    `ruled` is True where rules changed the probabilities that candidates were weighed by.
    """

    candidates: int  # weighed at each position: the likeliest
    penalty_alpha: float
    ruled: bool

    @property
    def says(self) -> str:
        """How many candidates, and how much likeness counts."""
        return f"contrastive search among the {self.candidates} likeliest, penalty alpha {self.penalty_alpha:g}"

    def figures(self, node: Node) -> str:
        """The degeneration penalty and the score."""
        return f"penalty {node.penalty:7.4f}  score {node.score:7.4f}"

    def origin(self, node: Node) -> str:
        """There is one path alone."""
        return ""

    def checks(
        self, logits: Sequence[Numbers | None] = (), rows: Sequence[Numbers | None] = ()
    ) -> Iterator[Check]:
        """How far the tree is from one made anew in NumPy: candidates, penalties, scores, what was chosen."""
        written = rows[0][0] if rows and rows[0] is not None else None
        for position, level in enumerate(self.levels):
            said = logits[position] if position < len(logits) else None
            yield from self._level(level, said)
            read = rows[position + 1] if position + 1 < len(rows) else None
            if written is None or read is None:
                written = None
                continue
            latest = read[:, -1]
            like = likeness(latest[: len(level)], written).max(axis=1)
            yield compared(f"contrastive.{position}.penalties", np.array([node.penalty for node in level]), like)
            won = next(place for place, node in enumerate(level) if node.fate != "dropped")
            written = np.concatenate([written, latest[won][None]])
        totals: dict[int, float] = {}
        for node in self.nodes:
            totals[node.number] = node.log_probability + (0.0 if node.parent is None else totals[node.parent])
        yield self.ended(totals, "contrastive.finished")

    def _level(self, level: Sequence[Node], said: Numbers | None) -> Iterator[Check]:
        name = f"contrastive.{level[0].position}"
        logs, penalties, scores = (
            np.array([getattr(node, field) for node in level]) for field in ("log_probability", "penalty", "score")
        )
        if not self.ruled:
            made = contrastive_score(np.exp(logs), penalties, alpha=self.penalty_alpha)
            yield compared(f"{name}.scores", scores, made)
        chosen = [place for place, node in enumerate(level) if node.fate != "dropped"]
        yield agree(f"{name}.chosen", chosen, [int(scores.argmax())])
        if said is None:
            return
        likely = log_softmax(said)
        size, picked = float(np.abs(said).max()), likely[[n.row for n in level], [n.id for n in level]]
        yield compared(f"{name}.log_probabilities", logs, picked, size=size)
        if not self.ruled:
            best = np.sort(likely[level[0].row])[::-1][: len(level)]
            yield compared(f"{name}.candidates", logs, best, size=size)
