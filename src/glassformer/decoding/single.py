"""One token after the other: the likeliest every time, or one that is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from glassformer.decoding.chooser import Choice, Prospects, check_possible, penalized
from glassformer.decoding.endings import Endings
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Hypothesis, Token
from glassformer.decoding.sampling import Draw

Alternatives = tuple[tuple[int, float], ...]
Rows = list[int] | None  # which row of the prospects each answer is continued from; None: its own
Pick = Callable[[Prospects, list[int], Rows], tuple[list[int], list[float]]]  # each answer's token, its log-probability


def likeliest(prospects: Prospects, answers: list[int], rows: Rows) -> tuple[list[int], list[float]]:
    """Greedy search."""
    found = prospects.best([0.0] * len(answers), beams=1, width=1)
    check_possible(min(found.totals))
    return found.tokens, found.log_probabilities


@dataclass(frozen=True)
class Drawn:
    """Tokens by chance."""

    draw: Draw

    def __call__(self, prospects: Prospects, answers: list[int], rows: Rows) -> tuple[list[int], list[float]]:
        """One for each answer."""
        scores, logs = prospects.scores, prospects.log_probabilities
        if rows is not None:
            scores, logs = scores[rows], logs[rows]
        draft = prospects.draft
        tokens = self.draw.one(scores, answers) if draft is None else self.draw.agreed(scores, answers, draft)
        values: list[float] = logs.gather(1, tokens[:, None])[:, 0].tolist()
        return tokens.tolist(), values


class Answers:
    """What has been written so far for each answer: `each` of them to every sentence, numbered sentence by sentence."""

    def __init__(self, limits: list[int], endings: Endings, penalty: float, each: int = 1) -> None:
        self.limits, self.endings, self.penalty, self.each = limits, endings, penalty, each
        self.open = list(range(len(limits) * each))  # the answer that each row belongs to
        self.ids: list[list[int]] = [[] for _ in self.open]
        self.log_probabilities: list[list[float]] = [[] for _ in self.open]
        self.closed = [False] * len(self.open)
        self.length = 0

    def write(self, tokens: list[int], values: list[float]) -> None:
        """Add one more token to each open answer, with its log-probability."""
        self.length += 1
        ends = self.endings.tokens
        for answer, token, value in zip(self.open, tokens, values, strict=True):
            self.ids[answer].append(token)
            self.log_probabilities[answer].append(value)
            self.closed[answer] = token in ends
        if self.endings.texts:
            rows, whose = [self.ids[answer] for answer in self.open], [answer // self.each for answer in self.open]
            for answer, stopped in zip(self.open, self.endings.stopped(rows, whose), strict=True):
                self.closed[answer] = self.closed[answer] or stopped

    def told(self, likeliest: Sequence[Alternatives]) -> tuple[Token, ...]:
        """What was written last, with the likeliest beside it."""
        return tuple(
            Token(
                sentence=answer // self.each,
                answer=answer % self.each,
                position=self.length - 1,
                id=self.ids[answer][-1],
                log_probability=self.log_probabilities[answer][-1],
                alternatives=others,
            )
            for answer, others in zip(self.open, likeliest, strict=True)
        )

    def leave(self) -> list[int]:
        """Let the answers that are over go; the rows that stay."""
        stay = [row for row, answer in enumerate(self.open) if not self.over(answer)]
        self.open = [self.open[row] for row in stay]
        return stay

    def hypotheses(self) -> list[list[Hypothesis]]:
        """The answers to every sentence, in their order."""
        found = [self._hypothesis(answer) for answer in range(len(self.ids))]
        return [found[start : start + self.each] for start in range(0, len(found), self.each)]

    def over(self, answer: int) -> bool:
        """Whether it has been closed, or no more tokens are allowed."""
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
    """Every answer is one row; `pick` chooses its next token. With `alternatives` each is told as it is chosen."""

    def __init__(
        self,
        limits: list[int],
        endings: Endings,
        options: Decoding,
        pick: Pick = likeliest,
        alternatives: int | None = None,
    ) -> None:
        self.answers = Answers(limits, endings, options.length_penalty, options.num_return_sequences)
        self.pick, self.alternatives = pick, alternatives

    def choose(self, prospects: Prospects) -> Choice:
        """Continue every answer by one token; rows whose answer is over leave."""
        answers, rows = self.answers, None
        if answers.length == 0 and answers.each > 1:  # a sentence is read once for all its answers
            rows = [answer // answers.each for answer in answers.open]
        tokens, values = self.pick(prospects, answers.open, rows)
        answers.write(tokens, values)
        certain = self._told(prospects, rows)
        stay = answers.leave()
        if len(stay) < len(tokens):
            tokens, rows = [tokens[place] for place in stay], stay if rows is None else [rows[place] for place in stay]
        return Choice(tokens=tokens, rows=rows, certain=certain)

    def hypotheses(self, count: int) -> list[list[Hypothesis]]:
        """The answers to every sentence, in the order in which they are drawn: as many as were."""
        return self.answers.hypotheses()

    def _told(self, prospects: Prospects, rows: Rows) -> tuple[Token, ...]:
        if self.alternatives is None:
            return ()
        if not self.alternatives:
            return self.answers.told([()] * len(self.answers.open))
        logs = prospects.log_probabilities
        return self.answers.told(likeliest_of(logs if rows is None else logs[rows], self.alternatives))


def likeliest_of(log_probabilities: Tensor, count: int) -> list[Alternatives]:
    """The likeliest tokens of each row (N V), so many."""
    if not count:
        return [()] * len(log_probabilities)
    values, tokens = log_probabilities.topk(min(count, log_probabilities.shape[-1]))
    rows = zip(tokens.tolist(), values.tolist(), strict=True)
    return [tuple(zip(ids, logs, strict=True)) for ids, logs in rows]
