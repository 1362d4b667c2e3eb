"""Contrastive search: of the likeliest tokens, one that says something new."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from glassformer.decoding.chooser import Choice, Prospects, check_possible
from glassformer.decoding.endings import Endings
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidate, Candidates, Hypothesis, Token
from glassformer.decoding.single import Alternatives, Answers, likeliest_of


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """The tokens that may follow each open answer; all N k."""

    tokens: Tensor
    confidence: Tensor  # their probability under the rules; minus infinity: forbidden
    log_probabilities: Tensor  # the model's own
    rows: Tensor  # N: which row of the latest reading each answer continues
    likeliest: list[Alternatives]  # beside them, if asked for


class Contrastive:
    """The next token is the candidate v among the k likeliest with the greatest

        (1 - alpha) p(v) - alpha max_j cos(h_v, h_j)

    where h are the last layer's rows: of v, once it is read, and of all tokens before it. Su et al. 2022. Each
    candidate is read, and reading the one that wins is the next step's beginning, so nothing is read twice.
    """

    def __init__(
        self,
        limits: list[int],
        endings: Endings,
        options: Decoding,
        alternatives: int | None = None,
        history: list[Candidates] | None = None,
    ) -> None:
        self.answers, self.alternatives = Answers(limits, endings, options.length_penalty), alternatives
        self.history = history
        self.width, self.alpha = options.top_k, options.penalty_alpha
        self.written = torch.empty(0)  # N P C: the directions of the rows so far, nothing at padding
        self.real = torch.empty(0)  # N P
        self.weighed: Weighed | None = None

    def choose(self, prospects: Prospects) -> Choice:
        """Take the best of the candidates just read, and have those read that may follow it."""
        directions = functional.normalize(prospects.hidden, dim=-1)
        certain: tuple[Token, ...] = ()
        if self.weighed is None:
            self.written, self.real = directions, torch.ones(directions.shape[:2], dtype=torch.bool)
            self.real = self.real.to(directions.device) if prospects.real is None else prospects.real.bool()
            rows = torch.arange(len(directions), device=directions.device)
        else:
            latest = directions[:, -1]
            penalties = self._penalties(self.weighed, latest)
            scores = self._scores(self.weighed, penalties)
            best = scores.argmax(dim=-1)
            certain = self._note(self.weighed, best)
            if self.history is not None:
                self.history.extend(self._levels(self.weighed, penalties, scores, best))
            stay = torch.tensor(self.answers.leave(), dtype=torch.long, device=best.device)
            won = torch.arange(len(best), device=best.device) * self.weighed.tokens.shape[1] + best
            rows = won[stay]
            self.written = torch.cat([self.written[stay], latest[rows][:, None]], dim=1)
            self.real = functional.pad(self.real[stay], (0, 1), value=True)
        self.weighed = self._weigh(prospects, rows)
        tokens = self.weighed.tokens
        continued: list[int] = rows.repeat_interleave(tokens.shape[1]).tolist()
        return Choice(tokens=tokens.flatten().tolist(), rows=continued, certain=certain)

    def hypotheses(self, count: int) -> list[list[Hypothesis]]:
        """The one answer to every sentence."""
        return self.answers.hypotheses()

    def _weigh(self, prospects: Prospects, rows: Tensor) -> Weighed:
        """The k likeliest tokens behind each of these rows."""
        scores, logs = prospects.scores[rows], prospects.log_probabilities[rows]
        best = scores.topk(min(self.width, scores.shape[-1]))
        check_possible(min(best.values[:, 0].tolist(), default=0.0))
        confidence = scores.softmax(dim=-1).gather(1, best.indices)
        return Weighed(
            tokens=best.indices,
            confidence=confidence.masked_fill(best.values == -torch.inf, -torch.inf),
            log_probabilities=logs.gather(1, best.indices),
            rows=rows,
            likeliest=likeliest_of(logs, self.alternatives or 0),
        )

    def _penalties(self, weighed: Weighed, directions: Tensor) -> Tensor:
        """How like each candidate, of that direction (N*k C), is to the likest of what was written: N k."""
        read = directions.view(*weighed.tokens.shape, -1)
        likeness = (read @ self.written.mT).masked_fill(~self.real[:, None], -torch.inf)  # N k P
        return likeness.amax(dim=-1)

    def _scores(self, weighed: Weighed, penalties: Tensor) -> Tensor:
        """What speaks for each candidate: N k; nothing for what is forbidden, also where only likeness counts."""
        sure = weighed.confidence
        return ((1 - self.alpha) * sure - self.alpha * penalties).masked_fill(sure == -torch.inf, -torch.inf)

    def _note(self, weighed: Weighed, best: Tensor) -> tuple[Token, ...]:
        tokens, values = (
            each.gather(1, best[:, None])[:, 0].tolist() for each in (weighed.tokens, weighed.log_probabilities)
        )
        self.answers.write(tokens, values)
        return () if self.alternatives is None else self.answers.told(weighed.likeliest)

    def _levels(self, weighed: Weighed, penalties: Tensor, scores: Tensor, best: Tensor) -> Iterator[Candidates]:
        """What the tree of each answer that was just continued grows by."""
        answers, ends = self.answers, self.answers.endings.tokens
        numbers = (weighed.tokens, weighed.log_probabilities, weighed.confidence, penalties, scores)
        for place, answer in enumerate(answers.open):
            won, over = int(best[place]), answers.over(answer)
            candidates = tuple(
                Candidate(
                    token=token,
                    parent=0,
                    row=int(weighed.rows[place]),
                    log_probability=log,
                    confidence=sure,
                    penalty=penalty,
                    score=score,
                    beam=0 if rank == won and not over else None,
                    ended=rank == won and over,
                    closed=token in ends or rank == won and answers.closed[answer],
                )
                for rank, (token, log, sure, penalty, score) in enumerate(
                    zip(*(each[place].tolist() for each in numbers), strict=True)
                )
                if score != -torch.inf
            )
            yield Candidates(sentence=answer, position=answers.length - 1, candidates=candidates)
