"""Greedy search: the likeliest token, every time."""

import torch
from torch import Tensor

from glassformer.decoding.chooser import Choice, penalized
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Hypothesis, Token

Alternatives = tuple[tuple[int, float], ...]


class Greedy:
    """Every sentence is one row; `limits` says how many tokens each may get, `ends` which tokens close it."""

    def __init__(self, limits: list[int], ends: Tensor, options: Decoding, alternatives: int = 0) -> None:
        self.limits, self.ends, self.penalty = limits, ends, options.length_penalty
        self.alternatives = alternatives
        self.open = list(range(len(limits)))  # the sentence that each row belongs to
        self.ids: list[list[int]] = [[] for _ in limits]
        self.log_probabilities: list[list[float]] = [[] for _ in limits]
        self.closed = [False] * len(limits)
        self.length = 0

    def choose(self, log_probabilities: Tensor) -> Choice:
        """Take the best token of every row; rows whose sentence is over leave."""
        best, tokens = log_probabilities.max(dim=-1)
        certain = self._note(tokens.tolist(), best.tolist(), self._likeliest(log_probabilities))
        for sentence, ended in zip(self.open, torch.isin(tokens, self.ends).tolist(), strict=True):
            self.closed[sentence] = ended
        stay = [row for row, sentence in enumerate(self.open) if not self._over(sentence)]
        if len(stay) == len(self.open):
            return Choice(tokens=tokens, rows=None, certain=certain)
        self.open = [self.open[row] for row in stay]
        rows = torch.tensor(stay, dtype=torch.long, device=tokens.device)
        return Choice(tokens=tokens[rows], rows=rows, certain=certain)

    def hypotheses(self) -> list[list[Hypothesis]]:
        """The one hypothesis of every sentence."""
        return [[self._hypothesis(sentence)] for sentence in range(len(self.limits))]

    def _over(self, sentence: int) -> bool:
        return self.closed[sentence] or self.length >= self.limits[sentence]

    def _note(self, tokens: list[int], best: list[float], likeliest: list[Alternatives]) -> tuple[Token, ...]:
        position, self.length = self.length, self.length + 1
        certain = []
        for sentence, token, value, others in zip(self.open, tokens, best, likeliest, strict=True):
            self.ids[sentence].append(token)
            self.log_probabilities[sentence].append(value)
            certain.append(
                Token(
                    sentence=sentence,
                    position=position,
                    id=token,
                    log_probability=value,
                    alternatives=others,
                )
            )
        return tuple(certain)

    def _likeliest(self, log_probabilities: Tensor) -> list[Alternatives]:
        if not self.alternatives:
            return [()] * len(log_probabilities)
        values, tokens = log_probabilities.topk(min(self.alternatives, log_probabilities.shape[-1]))
        rows = zip(tokens.tolist(), values.tolist(), strict=True)
        return [tuple(zip(ids, logs, strict=True)) for ids, logs in rows]

    def _hypothesis(self, sentence: int) -> Hypothesis:
        logs = self.log_probabilities[sentence]
        return Hypothesis(
            ids=tuple(self.ids[sentence]),
            log_probabilities=tuple(logs),
            score=penalized(sum(logs), len(logs), self.penalty),
            closed=self.closed[sentence],
        )
