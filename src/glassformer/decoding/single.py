"""One token after the other: the likeliest every time, or one that is drawn."""

from collections.abc import Callable

import torch
from torch import Tensor

from glassformer.decoding.chooser import Choice, Prospects, check_possible, penalized
from glassformer.decoding.endings import Endings
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Hypothesis, Token

Alternatives = tuple[tuple[int, float], ...]
Pick = Callable[[Tensor, list[int]], Tensor]  # a token for each row (N V) of these answers: N


def likeliest(scores: Tensor, answers: list[int]) -> Tensor:
    """Greedy search."""
    best, tokens = scores.max(dim=-1)
    check_possible(best)
    return tokens


class Answers:
    """What has been written so far for each answer: `each` of them to every sentence, numbered sentence by sentence."""

    def __init__(self, limits: list[int], endings: Endings, penalty: float, each: int = 1) -> None:
        self.limits, self.endings, self.penalty, self.each = limits, endings, penalty, each
        self.open = list(range(len(limits) * each))  # the answer that each row belongs to
        self.ids: list[list[int]] = [[] for _ in self.open]
        self.log_probabilities: list[list[float]] = [[] for _ in self.open]
        self.closed = [False] * len(self.open)
        self.length = 0

    def note(self, tokens: Tensor, values: Tensor, likeliest: list[Alternatives]) -> tuple[Token, ...]:
        """Write one more token of each open answer down, with its log-probability (both N)."""
        position, self.length = self.length, self.length + 1
        certain = []
        rows = zip(self.open, tokens.tolist(), values.tolist(), likeliest, strict=True)
        for answer, token, value, others in rows:
            self.ids[answer].append(token)
            self.log_probabilities[answer].append(value)
            certain.append(
                Token(
                    sentence=answer // self.each,
                    answer=answer % self.each,
                    position=position,
                    id=token,
                    log_probability=value,
                    alternatives=others,
                )
            )
        stopped = self.endings.stopped(
            [self.ids[answer] for answer in self.open], [answer // self.each for answer in self.open]
        )
        for answer, by_token, by_text in zip(
            self.open, torch.isin(tokens, self.endings.tokens).tolist(), stopped, strict=True
        ):
            self.closed[answer] = by_token or by_text
        return tuple(certain)

    def leave(self) -> list[int]:
        """Let the answers that are over go; the rows that stay."""
        stay = [row for row, answer in enumerate(self.open) if not self._over(answer)]
        self.open = [self.open[row] for row in stay]
        return stay

    def hypotheses(self) -> list[list[Hypothesis]]:
        """The answers to every sentence, in their order."""
        found = [self._hypothesis(answer) for answer in range(len(self.ids))]
        return [found[start : start + self.each] for start in range(0, len(found), self.each)]

    def _over(self, answer: int) -> bool:
        return self.closed[answer] or self.length >= self.limits[answer // self.each]

    def _hypothesis(self, answer: int) -> Hypothesis:
        logs = self.log_probabilities[answer]
        return Hypothesis(
            ids=tuple(self.ids[answer]),
            log_probabilities=tuple(logs),
            score=penalized(sum(logs), len(logs), self.penalty),
            closed=self.closed[answer],
        )


class Single:
    """Every answer is one row; `pick` chooses its next token."""

    def __init__(
        self,
        limits: list[int],
        endings: Endings,
        options: Decoding,
        pick: Pick = likeliest,
        alternatives: int = 0,
    ) -> None:
        self.answers = Answers(limits, endings, options.length_penalty, options.num_return_sequences)
        self.pick, self.alternatives = pick, alternatives

    def choose(self, prospects: Prospects) -> Choice:
        """Continue every answer by one token; rows whose answer is over leave."""
        scores, logs, before = prospects.scores, prospects.log_probabilities, None
        if self.answers.length == 0 and self.answers.each > 1:  # a sentence is read once for all its answers
            before = torch.arange(len(scores), device=scores.device).repeat_interleave(self.answers.each)
            scores, logs = scores[before], logs[before]
        tokens = self.pick(scores, self.answers.open)
        values = logs.gather(1, tokens[:, None])[:, 0]
        open_ones = len(tokens)
        certain = self.answers.note(tokens, values, likeliest_of(logs, self.alternatives))
        stay = self.answers.leave()
        if len(stay) == open_ones:
            return Choice(tokens=tokens, rows=before, certain=certain)
        rows = torch.tensor(stay, dtype=torch.long, device=tokens.device)
        return Choice(tokens=tokens[rows], rows=rows if before is None else before[rows], certain=certain)

    def hypotheses(self) -> list[list[Hypothesis]]:
        """The answers to every sentence, in the order in which they are drawn."""
        return self.answers.hypotheses()


def likeliest_of(log_probabilities: Tensor, count: int) -> list[Alternatives]:
    """The likeliest tokens of each row (N V), so many."""
    if not count:
        return [()] * len(log_probabilities)
    values, tokens = log_probabilities.topk(min(count, log_probabilities.shape[-1]))
    rows = zip(tokens.tolist(), values.tolist(), strict=True)
    return [tuple(zip(ids, logs, strict=True)) for ids, logs in rows]
