"""Diverse beam search: groups of beams, each kept from repeating the others' choices."""

from functools import partial

import torch
from torch import Tensor

from glassformer.decoding.beam import Beam
from glassformer.decoding.chooser import Choice, Prospects, best_of
from glassformer.decoding.endings import Endings
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidates, Hypothesis


class Groups:
    """Several beam searches side by side. At each step the groups choose in turn.

    A token costs every later group `diversity_penalty` for each beam of the same sentence that has just chosen
    it. Vijayakumar et al. 2018, with the Hamming diversity of its section 4. The rows stand group by group.
    """

    def __init__(
        self, limits: list[int], endings: Endings, options: Decoding, history: list[Candidates] | None = None
    ) -> None:
        size, groups = options.num_beams // options.num_beam_groups, range(options.num_beam_groups)
        self.groups = [Beam(limits, endings, options, size, None, history, group) for group in groups]
        self.penalty, self.sentences, self.began = options.diversity_penalty, len(limits), False

    def choose(self, prospects: Prospects) -> Choice:
        """Continue the beams of every group."""
        scores, start = prospects.scores, 0
        chosen = scores.new_zeros(self.sentences, scores.shape[1])
        tokens: list[int] = []
        rows: list[int] = []
        for group in self.groups:
            count = len(group.totals)
            if not count:  # all its searches are over
                continue
            part = slice(start, start + count)
            cost = self._cost(scores[part], chosen, group)
            own = scores[part] - cost
            group.first, group.costs = start, partial(entry, cost)
            found, parents = group.continued(partial(best_of, own, prospects.log_probabilities[part]))
            tokens += found
            rows += [parent + start for parent in parents]
            for sentence, token in group.chosen():
                chosen[sentence, token] += 1
            start += count if self.began else 0  # they all begin with the same rows
        self.began = True
        return Choice(tokens=tokens, rows=rows)

    def hypotheses(self, count: int) -> list[list[Hypothesis]]:
        """The best that all groups found for every sentence, so many."""
        found = zip(*(group.hypotheses(count) for group in self.groups), strict=True)
        return [sorted(sum(each, []), key=lambda one: -one.score)[:count] for each in found]

    def _cost(self, scores: Tensor, chosen: Tensor, group: Beam) -> Tensor:
        """What each token (N V) costs the rows of a group; one that is forced, and so without choice, nothing."""
        sentences = torch.tensor(group.open, device=scores.device).repeat_interleave(group.width)
        without_choice = scores.isfinite().sum(dim=1, keepdim=True) == 1
        return (self.penalty * chosen[sentences]).masked_fill(without_choice, 0.0)


def entry(matrix: Tensor, row: int, column: int) -> float:
    """One number of a matrix."""
    return float(matrix[row, column])
