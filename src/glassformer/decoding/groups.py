"""Diverse beam search: groups of beams, each kept from repeating the others' choices."""

from dataclasses import replace

import torch
from torch import Tensor

from glassformer.decoding.beam import Beam
from glassformer.decoding.chooser import Choice, Prospects
from glassformer.decoding.endings import Endings
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Hypothesis


class Groups:
    """Several beam searches side by side. At each step the groups choose in turn.

    A token costs every later group `diversity_penalty` for each beam of the same sentence that has just chosen
    it. Vijayakumar et al. 2018, with the Hamming diversity of its section 4. The rows stand group by group.
    """

    def __init__(self, limits: list[int], endings: Endings, options: Decoding) -> None:
        size = options.num_beams // options.num_beam_groups
        self.groups = [Beam(limits, endings, options, size) for _ in range(options.num_beam_groups)]
        self.penalty, self.sentences, self.began = options.diversity_penalty, len(limits), False

    def choose(self, prospects: Prospects) -> Choice:
        """Continue the beams of every group."""
        scores, start = prospects.scores, 0
        chosen = scores.new_zeros(self.sentences, scores.shape[1])
        tokens, rows = [], []
        for group in self.groups:
            count = group.totals.numel()
            if not count:  # all its searches are over
                continue
            part = slice(start, start + count)
            own = scores[part] - self._cost(scores[part], chosen, group)
            logs = prospects.log_probabilities[part]
            found, parents = group.continued(replace(prospects, scores=own, log_probabilities=logs))
            tokens.append(found)
            rows.append(parents + start)
            chosen.index_put_(group.latest, scores.new_ones(()), accumulate=True)
            start += count if self.began else 0  # they all begin with the same rows
        self.began = True
        return Choice(tokens=torch.cat(tokens), rows=torch.cat(rows))

    def hypotheses(self) -> list[list[Hypothesis]]:
        """What all groups found for every sentence, best first."""
        found = zip(*(group.hypotheses() for group in self.groups), strict=True)
        return [sorted(sum(each, []), key=lambda one: -one.score) for each in found]

    def _cost(self, scores: Tensor, chosen: Tensor, group: Beam) -> Tensor:
        """What each token (N V) costs the rows of a group; one that is forced, and so without choice, nothing."""
        sentences = torch.tensor(group.open, device=scores.device).repeat_interleave(group.totals.shape[1])
        without_choice = scores.isfinite().sum(dim=1, keepdim=True) == 1
        return (self.penalty * chosen[sentences]).masked_fill(without_choice, 0.0)
