"""Beam search: the best few open hypotheses of a sentence are continued side by side."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from glassformer.decoding.chooser import Choice, Prospects, check_possible, penalized
from glassformer.decoding.endings import Endings
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidate, Candidates, Hypothesis
from glassformer.decoding.sampling import Draw
from glassformer.nn.twin import Continuations

Costs = Callable[[int, int], float]  # what a token costs a row: both as numbers
Find = Callable[[Sequence[float], int, int], Continuations]  # as `Prospects.best`


# The last token of what has been written, its log-probability, and what stands before: hypotheses share beginnings.
Link = tuple[int, float, "Link | None"]


class Ended(NamedTuple):
    """A hypothesis that is over."""

    score: float
    last: Link
    closed: bool


@dataclass(frozen=True, slots=True)
class Weighed:
    """The continuations of one step, and what becomes of them; places are those in the flat lists of `found`."""

    found: Continuations
    closed: list[bool]  # at each place: the token, or the text that it makes, is a closing one
    last: list[bool]  # of each open sentence: no more tokens are allowed
    kept: list[list[int]]  # the places that each of them would go on with: the best open ones first

    def places(self, row: int) -> range:
        """Where the continuations of an open sentence stand, best first."""
        return range(row * self.found.width, (row + 1) * self.found.width)


class Beam:
    """Weigh the continuations of all beams, end some hypotheses, keep the best open ones.

    The best (closing tokens + 1) * beams continuations are weighed, so that enough open ones remain when the
    best all end; only those among the first `beams` may end a hypothesis. It is the search that transformers
    does, token for token; with `draw` the continuations are drawn instead of being the best. The rows of a
    sentence stand side by side, `width` of them; a sentence begins with one.
    """

    def __init__(
        self,
        limits: list[int],
        endings: Endings,
        options: Decoding,
        beams: int,
        draw: Draw | None = None,
        history: list[Candidates] | None = None,
        group: int = 0,
    ) -> None:
        self.limits, self.endings, self.draw, self.history = limits, endings, draw, history
        self.group, self.first = group, 0  # which of several searches side by side, and the first of its rows
        self.costs: Costs | None = None  # what was taken off a token's score in the last step
        self.beams, self.weighing = beams, max(2, 1 + len(endings.tokens)) * beams
        self.penalty, self.early_stopping = options.length_penalty, options.early_stopping
        self.open = list(range(len(limits)))
        self.finished: list[list[Ended]] = [[] for _ in limits]  # best first, at most `beams`
        self.length, self.width = 0, 1
        self.totals = [0.0] * len(limits)  # of each row: its scores so far, summed
        self.links: list[Link | None] = [None] * len(limits)
        self.latest: tuple[list[int], Weighed] | None = None  # the sentences of the last step, and what it weighed

    def choose(self, prospects: Prospects) -> Choice:
        """Continue every open sentence."""
        find = prospects.best if self.draw is None else self._drawn(prospects.scores, prospects.log_probabilities)
        tokens, rows = self.continued(find)
        return Choice(tokens=tokens, rows=rows)

    def continued(self, find: Find) -> tuple[list[int], list[int]]:
        """The tokens of the rows to go on with, and the rows that they continue."""
        self.length += 1
        weighed = self._weighed(find(self.totals, self.width, self.weighing))
        self.latest = self.open, weighed
        self._finish(weighed)
        if self.history is not None:
            self.history.extend(self._levels(weighed))
        return self._continue(weighed)

    def chosen(self) -> Iterator[tuple[int, int]]:
        """Sentence and token of every beam that the last step did not close."""
        assert self.latest is not None, "a step has been made"
        open_ones, weighed = self.latest
        for sentence, kept in zip(open_ones, weighed.kept, strict=True):
            for place in kept:
                if not weighed.closed[place] and weighed.found.totals[place] != -inf:
                    yield sentence, weighed.found.tokens[place]

    def hypotheses(self, count: int) -> list[list[Hypothesis]]:
        """The best finished hypotheses of every sentence, so many."""
        return [[hypothesis(ended) for ended in finished[:count]] for finished in self.finished]

    def _weighed(self, found: Continuations) -> Weighed:
        ends = self.endings.tokens
        closed = [token in ends for token in found.tokens]
        if self.endings.texts:
            closed = [one or other for one, other in zip(closed, self._stopped(found), strict=True)]
        weighed = Weighed(found, closed, [self.length >= self.limits[sentence] for sentence in self.open], [])
        for row in range(len(self.open)):
            places = sorted(weighed.places(row), key=closed.__getitem__)  # too few are open: some are idle
            weighed.kept.append(places[: self.beams])
        return weighed

    def _drawn(self, scores: Tensor, log_probabilities: Tensor) -> Find:
        """Continuations of all beams, drawn by what their hypotheses would score: scores N V, the model's own N V."""
        draw = self.draw
        assert draw is not None, "whoever draws has what it is drawn by"

        def find(totals: Sequence[float], beams: int, width: int) -> Continuations:
            before = torch.tensor(totals, dtype=scores.dtype, device=scores.device)
            sums = (before[:, None] + draw.filtered(scores)).view(len(scores) // beams, -1)
            places, possible = draw.several(sums, self.open, width)
            drawn = sums.gather(1, places).masked_fill(~possible, -inf)
            drawn, order = drawn.sort(dim=1, descending=True, stable=True)
            places = places.gather(1, order)
            return Continuations(
                width=places.shape[1],
                tokens=(places % scores.shape[1]).flatten().tolist(),
                parents=(places // scores.shape[1]).flatten().tolist(),
                totals=drawn.flatten().tolist(),
                log_probabilities=log_probabilities.view_as(sums).gather(1, places).flatten().tolist(),
            )

        return find

    def _stopped(self, found: Continuations) -> list[bool]:
        """Which continuations make a text that closes."""
        whose = [row for row in range(len(self.open)) for _ in range(found.width)]
        links = (self.links[row * self.width + parent] for row, parent in zip(whose, found.parents, strict=True))
        rows = [[*(one[0] for one in chain(link)), token] for link, token in zip(links, found.tokens, strict=True)]
        return self.endings.stopped(rows, [self.open[row] for row in whose])

    def _finish(self, weighed: Weighed) -> None:
        found, closed = weighed.found, weighed.closed
        for row, sentence in enumerate(self.open):
            for place in weighed.places(row)[: self.beams]:
                if (closed[place] or weighed.last[row]) and found.totals[place] != -inf:
                    score = penalized(found.totals[place], self.length, self.penalty)
                    before = self.links[row * self.width + found.parents[place]]
                    link = found.tokens[place], found.log_probabilities[place], before
                    finished = self.finished[sentence]
                    finished.append(Ended(score, link, closed[place]))
                    finished.sort(key=lambda one: -one.score)
                    del finished[self.beams :]

    def _continue(self, weighed: Weighed) -> tuple[list[int], list[int]]:
        found, closed = weighed.found, weighed.closed
        tokens: list[int] = []
        rows: list[int] = []
        totals: list[float] = []
        logs: list[float] = []
        still: list[int] = []
        for row, sentence in enumerate(self.open):
            kept = weighed.kept[row]
            scores = [-inf if closed[place] else found.totals[place] for place in kept]
            if self._over(sentence, -inf if weighed.last[row] else scores[0]):
                continue
            still.append(sentence)
            totals += scores
            tokens += [found.tokens[place] for place in kept]
            rows += [row * self.width + found.parents[place] for place in kept]
            logs += [found.log_probabilities[place] for place in kept]
        before = self.links
        new = zip(tokens, logs, rows, strict=True)
        links: list[Link | None] = [(token, log, before[row]) for token, log, row in new]
        self.open, self.totals, self.links = still, totals, links
        self.width = len(tokens) // max(1, len(still))
        return tokens, rows

    def _over(self, sentence: int, best_open: float) -> bool:
        """Whether going on with this sentence can no longer better what it has."""
        finished = self.finished[sentence]
        if self.length >= self.limits[sentence] or best_open == -inf:
            if not finished:
                check_possible(best_open)
            return True
        if len(finished) < self.beams or self.early_stopping is True:
            return len(finished) >= self.beams
        reach = self.limits[sentence] if self.early_stopping == "never" and self.penalty > 0 else self.length
        return penalized(best_open, reach, self.penalty) <= finished[-1].score

    def _levels(self, weighed: Weighed) -> Iterator[Candidates]:
        """What the tree of each sentence grows by."""
        found, closed = weighed.found, weighed.closed
        for row, sentence in enumerate(self.open):
            last, beams = weighed.last[row], {place: beam for beam, place in enumerate(weighed.kept[row])}
            start = row * self.width
            candidates = tuple(
                Candidate(
                    token=found.tokens[place],
                    parent=found.parents[place],
                    row=self.first + start + found.parents[place],
                    log_probability=found.log_probabilities[place],
                    score=found.totals[place],
                    beam=None if last or closed[place] else beams.get(place),
                    ended=(last or closed[place]) and rank < self.beams,
                    closed=closed[place],
                    penalty=self.costs(start + found.parents[place], found.tokens[place]) if self.costs else 0.0,
                )
                for rank, place in enumerate(weighed.places(row))
                if found.totals[place] != -inf
            )
            position = self.length - 1
            yield Candidates(sentence=sentence, position=position, candidates=candidates, group=self.group)


def chain(last: Link | None) -> list[Link]:
    """All that has been written, from the first token."""
    links: list[Link] = []
    while last is not None:
        links.append(last)
        last = last[2]
    return links[::-1]


def hypothesis(ended: Ended) -> Hypothesis:
    """As it is handed out."""
    links = chain(ended.last)
    return Hypothesis(
        ids=tuple(token for token, _, _ in links),
        log_probabilities=tuple(log for _, log, _ in links),
        score=ended.score,
        closed=ended.closed,
    )
