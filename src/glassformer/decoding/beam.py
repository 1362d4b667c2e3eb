"""Beam search: the best few open hypotheses of a sentence are continued side by side."""

from dataclasses import dataclass

import torch
from torch import Tensor

from glassformer.decoding.chooser import Choice, Prospects, check_possible, penalized
from glassformer.decoding.endings import Endings
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidate, Candidates, Hypothesis
from glassformer.decoding.sampling import Draw


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """The best continuations of each open sentence, or those drawn, best first; every tensor is S W."""

    tokens: Tensor
    parents: Tensor  # which beam each continues
    log_probabilities: Tensor  # of the token alone, the model's own
    totals: Tensor  # the scores summed over the whole hypothesis
    closed: Tensor  # the token, or the text that it makes, is a closing one
    ended: Tensor  # closed, or no more tokens are allowed


class Beam:
    """Weigh the continuations of all beams, end some hypotheses, keep the best open ones.

    The best (closing tokens + 1) * beams continuations are weighed, so that enough open ones remain when the
    best all end; only those among the first `beams` may end a hypothesis. It is the search that transformers
    does, token for token; with `draw` the continuations are drawn instead of being the best. The tensors hold S
    open sentences by their beams; a sentence begins with one.
    """

    def __init__(
        self,
        limits: list[int],
        endings: Endings,
        options: Decoding,
        beams: int,
        draw: Draw | None = None,
        history: list[Candidates] | None = None,
    ) -> None:
        self.limits, self.endings, self.draw, self.history = limits, endings, draw, history
        self.beams, self.width = beams, max(2, 1 + len(endings.tokens)) * beams
        self.penalty, self.early_stopping = options.length_penalty, options.early_stopping
        device = endings.tokens.device
        self.open = list(range(len(limits)))
        self.finished: list[list[Hypothesis]] = [[] for _ in limits]  # best first, at most `beams`
        self.length = 0
        self.totals = torch.zeros(len(limits), 1, device=device)
        self.ids = torch.zeros(len(limits), 1, 0, dtype=torch.long, device=device)
        self.log_probabilities = torch.zeros(len(limits), 1, 0, device=device)
        self.latest = (torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long))  # `_chosen`

    def choose(self, prospects: Prospects) -> Choice:
        """Continue every open sentence; rows (N V) stand sentence by sentence, beam by beam."""
        tokens, rows = self.continued(prospects)
        return Choice(tokens=tokens, rows=rows)

    def continued(self, prospects: Prospects) -> tuple[Tensor, Tensor]:
        """The tokens of the rows to go on with, and the rows that they continue: N, N."""
        self.length += 1
        weighed = self._weigh(prospects)
        self._finish(weighed)
        open_first = weighed.closed.byte().argsort(dim=1, stable=True)  # and the best of them first
        kept = open_first[:, : self.beams]
        if self.history is not None:
            self.history.extend(self._level(weighed, kept))
        return self._continue(weighed, kept)

    def hypotheses(self) -> list[list[Hypothesis]]:
        """The finished hypotheses of every sentence."""
        return self.finished

    def _weigh(self, prospects: Prospects) -> Weighed:
        sentences, beams = self.totals.shape
        find = self._best if self.draw is None else self._drawn
        tokens, parents, totals = find(prospects.scores.view(sentences, beams, -1))
        own = prospects.log_probabilities.view(sentences, beams, -1)
        each = torch.arange(sentences, device=tokens.device)[:, None]
        closed = torch.isin(tokens, self.endings.tokens) | self._stopped(tokens, parents)
        last = torch.tensor([self.length >= self.limits[s] for s in self.open], device=tokens.device)
        return Weighed(
            tokens=tokens,
            parents=parents,
            log_probabilities=own[each, parents, tokens],
            totals=totals,
            closed=closed,
            ended=closed | last[:, None],
        )

    def _best(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """S beams V -> S W. The best of all beams are among the best of each, which are quicker to find."""
        each = scores.topk(min(self.width, scores.shape[-1]))  # S beams E
        sums = (self.totals[..., None] + each.values).flatten(1)
        totals, order = (both[:, : self.width] for both in sums.sort(dim=1, descending=True, stable=True))
        return each.indices.flatten(1).gather(1, order), order // each.values.shape[-1], totals

    def _drawn(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """S beams V -> S W: continuations of all beams, drawn by what their hypotheses would score."""
        assert self.draw is not None
        sums = (self.totals[..., None] + self.draw.filtered(scores.flatten(0, 1)).view_as(scores)).flatten(1)
        places, possible = self.draw.several(sums, self.open, self.width)
        drawn = sums.gather(1, places).masked_fill(~possible, -torch.inf)
        totals, order = drawn.sort(dim=1, descending=True, stable=True)
        places = places.gather(1, order)
        return places % scores.shape[-1], places // scores.shape[-1], totals

    def _stopped(self, tokens: Tensor, parents: Tensor) -> Tensor:
        """S W: which continuations make a text that closes."""
        if not self.endings.texts:
            return torch.zeros_like(tokens, dtype=torch.bool)
        before = self.ids.gather(1, parents[..., None].expand(-1, -1, self.ids.shape[2]))
        rows = torch.cat([before, tokens[..., None]], dim=2).flatten(0, 1).tolist()
        whose = [sentence for sentence in self.open for _ in range(tokens.shape[1])]
        stopped = self.endings.stopped(rows, whose)
        return torch.tensor(stopped, dtype=torch.bool, device=tokens.device).view_as(tokens)

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

    def _continue(self, weighed: Weighed, kept: Tensor) -> tuple[Tensor, Tensor]:
        totals = weighed.totals.masked_fill(weighed.closed, -torch.inf).gather(
            1, kept
        )  # too few are open: idle
        self.latest = self._chosen(weighed.tokens.gather(1, kept), totals)
        totals = totals.masked_fill(weighed.ended.gather(1, kept), -torch.inf)
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
        return tokens.flatten(), rows.flatten()

    def _chosen(self, tokens: Tensor, totals: Tensor) -> tuple[Tensor, Tensor]:
        """Sentence and token of every beam that is not closed, as one flat list each."""
        whose = torch.tensor(self.open, device=tokens.device)[:, None].expand_as(tokens)
        alive = totals != -torch.inf
        return whose[alive], tokens[alive]

    def _over(self, sentence: int, best_open: float) -> bool:
        """Whether going on with this sentence can no longer better what it has."""
        finished = self.finished[sentence]
        if self.length >= self.limits[sentence] or best_open == -torch.inf:
            if not finished:
                check_possible(torch.tensor(best_open))
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
                        closed=bool(weighed.closed[row, rank]),
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
