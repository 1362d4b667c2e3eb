"""Choose and stop: what stands inside the loop and decides what probabilities become."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from glassformer.decoding.constraints import Constraints
from glassformer.decoding.records import Hypothesis, Token
from glassformer.errors import InputError
from glassformer.nn.twin import Continuations, Draft, SearchReader


class Prospects:
    """What may follow each open row, as the model says it and under the rules.

    Rows of numbers for all tokens are made only where a way of choosing asks for them: most need the best few alone,
    which the reader may find more quickly.
    """

    def __init__(self, reader: SearchReader, rules: Constraints | None, *, beams: bool) -> None:
        self.reader, self.rules, self.beams = reader, rules, beams

    @cached_property
    def log_probabilities(self) -> Tensor:
        """N V: what the model says."""
        return log_probabilities_of(self.reader.logits)

    @cached_property
    def scores(self) -> Tensor:
        """N V: what the search goes by: the same under the rules."""
        if self.rules is None:
            return self.log_probabilities
        if self.beams:  # as in transformers: beams penalise log-probabilities, all else the logits
            return self.rules.applied(self.log_probabilities)
        return self.rules.applied(wide(self.reader.logits))

    @property
    def hidden(self) -> Tensor:
        """N T C: the last layer's rows of the tokens just read."""
        return self.reader.hidden

    @property
    def real(self) -> Tensor | None:
        """N T: which of these are no padding; None: all."""
        return self.reader.fresh

    @property
    def draft(self) -> Draft | None:
        """What was guessed to follow the only row, where somebody reads ahead."""
        return self.reader.draft

    def best(self, totals: Sequence[float], beams: int, width: int) -> Continuations:
        """The best continuations of each sentence, whose rows (`beams` side by side) score `totals` so far."""
        if self.rules is None:
            return self.reader.best(totals, beams, width)
        return best_of(self.scores, self.log_probabilities, totals, beams, width)


def wide(logits: Tensor) -> Tensor:
    """In float32 at least."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def log_probabilities_of(logits: Tensor) -> Tensor:
    """N V -> N V, in float32 at least."""
    return wide(logits).log_softmax(dim=-1)


def best_of(
    scores: Tensor, log_probabilities: Tensor, totals: Sequence[float], beams: int, width: int
) -> Continuations:
    """The `width` best continuations of each sentence, by the scores (N V) added to the totals (N) of its rows."""
    if width == 1:  # of equals the first one, which topk does not promise
        values, tokens = scores.max(dim=1, keepdim=True)
    else:  # the best of all rows are among the best of each, which are quicker to find
        values, tokens = scores.topk(min(width, scores.shape[1]))
    logs = values if scores is log_probabilities else log_probabilities.gather(1, tokens)
    each = values.shape[1]
    before = torch.tensor(totals, dtype=torch.float64, device=values.device)
    sums, order = (before[:, None] + values).view(-1, beams * each).sort(dim=1, descending=True, stable=True)
    order = order[:, :width]
    return Continuations(
        width=order.shape[1],
        tokens=tokens.view(-1, beams * each).gather(1, order).flatten().tolist(),
        parents=order.div(each, rounding_mode="floor").flatten().tolist(),
        totals=sums[:, :width].flatten().tolist(),
        log_probabilities=logs.view(-1, beams * each).gather(1, order).flatten().tolist(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The rows to go on with; none when everything has ended."""

    tokens: list[int]  # N: the token that continues each of them
    rows: list[int] | None  # N: which of the previous rows each continues; None: all of them, in their order
    certain: tuple[Token, ...] = ()  # tokens that no later step will take back


class Chooser(Protocol):
    """One row for each sequence that is still open: given what may follow them, it answers with what does.

    The first rows are the sentences themselves; from there on a row is whatever the last choice made it.
    """

    def choose(self, prospects: Prospects) -> Choice:
        """Continue the open rows; those that end leave."""
        ...

    def hypotheses(self, count: int) -> list[list[Hypothesis]]:
        """What every sentence ended in, best first, at most so many."""
        ...


def penalized(total: float, length: int, penalty: float) -> float:
    """The score of a hypothesis: long ones have a lower sum, and the penalty makes up for it.

    Wu et al. 2016, section 7, in the simpler form that is now usual.
    """
    return float(total / length**penalty)


def check_possible(worst: float) -> None:
    """Refuse to go on where the best score of a row, the lowest of these, says that nothing at all may follow it."""
    if worst == -torch.inf:
        raise InputError(
            "every token is forbidden at some point of the output; loosen no_repeat_ngram_size or bad_words_ids, "
            "or lower max_new_tokens"
        )
