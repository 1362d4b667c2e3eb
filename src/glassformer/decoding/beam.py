"""Beam search: the best few open hypotheses of a sentence are continued side by side."""

from dataclasses import dataclass

import torch
from torch import Tensor

from glassformer.decoding.chooser import Choice, penalized
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidate, Candidates, Hypothesis


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """The best continuations of each open sentence, best first; every tensor is S W."""

    tokens: Tensor
    parents: Tensor  # which beam each continues
    log_probabilities: Tensor  # of the token alone
    totals: Tensor  # summed over the whole hypothesis
    closed: Tensor  # the token is a closing one
    ended: Tensor  # closed, or no more tokens are allowed


class Beam:
    """Weigh the continuations of all beams, end some hypotheses, keep the best open ones.

    The best (closing tokens + 1) * beams continuations are weighed, so that enough open ones remain when the
    best all end; only those among the first `beams` may end a hypothesis. It is the search that transformers
    does, token for token. The tensors hold S open sentences by their beams; a sentence begins with one.
    """

    def __init__(
        self, limits: list[int], ends: Tensor, options: Decoding, history: list[Candidates] | None = None
    ) -> None:
        self.limits, self.ends, self.history = limits, ends, history
        self.beams, self.width = options.num_beams, max(2, 1 + len(ends)) * options.num_beams
        self.penalty, self.early_stopping = options.length_penalty, options.early_stopping
        self.open = list(range(len(limits)))
        self.finished: list[list[Hypothesis]] = [[] for _ in limits]  # best first, at most `beams`
        self.length = 0
        self.totals = torch.zeros(len(limits), 1, device=ends.device)
        self.ids = torch.zeros(len(limits), 1, 0, dtype=torch.long, device=ends.device)
        self.log_probabilities = torch.zeros(len(limits), 1, 0, device=ends.device)

    def choose(self, log_probabilities: Tensor) -> Choice:
        """Continue every open sentence; rows (N V) stand sentence by sentence, beam by beam."""
        self.length += 1
        weighed = self._weigh(log_probabilities.view(*self.totals.shape, -1))
        self._finish(weighed)
        open_first = weighed.ended.byte().argsort(dim=1, stable=True)  # and the best of them first
        kept = open_first[:, : self.beams]
        if self.history is not None:
            self.history.extend(self._level(weighed, kept))
        return self._continue(weighed, kept)

    def hypotheses(self) -> list[list[Hypothesis]]:
        """The finished hypotheses of every sentence."""
        return self.finished

    def _weigh(self, log_probabilities: Tensor) -> Weighed:
        """S beams V -> S W. The best of all beams are among the best of each, which are quicker to find."""
        each = log_probabilities.topk(min(self.width, log_probabilities.shape[-1]))  # S beams E
        sums = (self.totals[..., None] + each.values).flatten(1)
        totals, order = (both[:, : self.width] for both in sums.sort(dim=1, descending=True, stable=True))
        tokens = each.indices.flatten(1).gather(1, order)
        closed = torch.isin(tokens, self.ends)
        last = torch.tensor([self.length >= self.limits[s] for s in self.open], device=tokens.device)
        return Weighed(
            tokens=tokens,
            parents=order // each.values.shape[-1],
            log_probabilities=each.values.flatten(1).gather(1, order),
            totals=totals,
            closed=closed,
            ended=closed | last[:, None],
        )

    def _finish(self, weighed: Weighed) -> None:
        possible = weighed.ended & (weighed.totals != -torch.inf)
        for row, rank in possible[:, : self.beams].nonzero().tolist():
            before = row, int(weighed.parents[row, rank])
            logs = [*self.log_probabilities[before].tolist(), float(weighed.log_probabilities[row, rank])]
            hypothesis = Hypothesis(
                ids=(*self.ids[before].tolist(), int(weighed.tokens[row, rank])),
                log_probabilities=tuple(logs),
                score=penalized(float(weighed.totals[row, rank]), self.length, self.penalty),
                closed=bool(weighed.closed[row, rank]),
            )
            finished = self.finished[self.open[row]]
            finished.append(hypothesis)
            finished.sort(key=lambda one: -one.score)
            del finished[self.beams :]

    def _continue(self, weighed: Weighed, kept: Tensor) -> Choice:
        ended = weighed.ended.gather(1, kept)
        totals = weighed.totals.gather(1, kept).masked_fill(ended, -torch.inf)  # where too few are open: idle
        best = totals[:, 0].tolist()
        going_on = [row for row, sentence in enumerate(self.open) if not self._over(sentence, best[row])]
        self.open = [self.open[row] for row in going_on]
        stay = torch.tensor(going_on, dtype=torch.long, device=kept.device)
        parents, tokens, logs = (
            each.gather(1, kept)[stay]
            for each in (weighed.parents, weighed.tokens, weighed.log_probabilities)
        )
        before = stay[:, None], parents
        rows = stay[:, None] * self.totals.shape[1] + parents
        self.totals = totals[stay]
        self.ids = torch.cat([self.ids[before], tokens[..., None]], dim=2)
        self.log_probabilities = torch.cat([self.log_probabilities[before], logs[..., None]], dim=2)
        return Choice(tokens=tokens.flatten(), rows=rows.flatten())

    def _over(self, sentence: int, best_open: float) -> bool:
        """Whether going on with this sentence can no longer better what it has."""
        finished = self.finished[sentence]
        if self.length >= self.limits[sentence] or best_open == -torch.inf:
            return True
        if len(finished) < self.beams or self.early_stopping is True:
            return len(finished) >= self.beams
        reach = self.limits[sentence] if self.early_stopping == "never" and self.penalty > 0 else self.length
        return penalized(best_open, reach, self.penalty) <= finished[-1].score

    def _level(self, weighed: Weighed, kept: Tensor) -> list[Candidates]:
        """What the tree of each sentence grows by."""
        return [
            Candidates(
                sentence=sentence,
                position=self.length - 1,
                candidates=tuple(
                    Candidate(
                        token=int(weighed.tokens[row, rank]),
                        parent=int(weighed.parents[row, rank]),
                        log_probability=float(weighed.log_probabilities[row, rank]),
                        score=float(weighed.totals[row, rank]),
                        beam=None if weighed.ended[row, rank] else _place(kept[row], rank),
                        ended=bool(weighed.ended[row, rank]) and rank < self.beams,
                    )
                    for rank in range(weighed.tokens.shape[1])
                    if weighed.totals[row, rank] != -torch.inf
                ),
            )
            for row, sentence in enumerate(self.open)
        ]


def _place(kept: Tensor, rank: int) -> int | None:
    """Which beam the candidate of this rank becomes."""
    places: list[int] = kept.tolist()
    return places.index(rank) if rank in places else None
