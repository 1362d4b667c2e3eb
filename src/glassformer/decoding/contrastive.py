"""Contrastive search: of the likeliest tokens, one that says something new."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from glassformer.decoding.chooser import Choice, Prospects, check_possible
from glassformer.decoding.endings import Endings
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Hypothesis, Token
from glassformer.decoding.single import Alternatives, Answers, likeliest_of


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """The tokens that may follow each open answer; all N k."""

    tokens: Tensor
    confidence: Tensor  # their probability under the rules; minus infinity: forbidden
    log_probabilities: Tensor  # the model's own
    likeliest: list[Alternatives]  # beside them, if asked for


class Contrastive:
    """The next token is the candidate v among the k likeliest with the greatest

        (1 - alpha) p(v) - alpha max_j cos(h_v, h_j)

    where h are the last layer's rows: of v, once it is read, and of all tokens before it. Su et al. 2022. Each
    candidate is read, and reading the one that wins is the next step's beginning, so nothing is read twice.
    """

    def __init__(
        self, limits: list[int], endings: Endings, options: Decoding, alternatives: int | None = None
    ) -> None:
        self.answers, self.alternatives = Answers(limits, endings, options.length_penalty), alternatives
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
            best = self._best(self.weighed, latest)
            certain = self._note(self.weighed, best)
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
            likeliest=likeliest_of(logs, self.alternatives or 0),
        )

    def _best(self, weighed: Weighed, directions: Tensor) -> Tensor:
        """Which candidate of each answer wins: N k, with their directions (N*k C) -> N."""
        read = directions.view(*weighed.tokens.shape, -1)
        likeness = (read @ self.written.mT).masked_fill(~self.real[:, None], -torch.inf)  # N k P
        return ((1 - self.alpha) * weighed.confidence - self.alpha * likeness.amax(dim=-1)).argmax(dim=-1)

    def _note(self, weighed: Weighed, best: Tensor) -> tuple[Token, ...]:
        tokens, values = (
            each.gather(1, best[:, None])[:, 0].tolist() for each in (weighed.tokens, weighed.log_probabilities)
        )
        self.answers.write(tokens, values)
        return () if self.alternatives is None else self.answers.told(weighed.likeliest)
