"""Choose and stop: what stands inside the loop and decides what probabilities become."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from glassformer.decoding.records import Hypothesis, Token
from glassformer.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Prospects:
    """What may follow each open row."""

    log_probabilities: Tensor  # N V: what the model says
    scores: Tensor  # N V: what the search goes by: the same under the rules
    hidden: Tensor  # N T C: the last layer's rows of the tokens just read
    real: Tensor | None = None  # N T: which of these are no padding; None: all


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The rows to go on with; none when everything has ended."""

    tokens: Tensor  # N: the token that continues each of them
    rows: Tensor | None  # N: which of the previous rows each continues; None: all of them, in their order
    certain: tuple[Token, ...] = ()  # tokens that no later step will take back


class Chooser(Protocol):
    """One row for each sequence that is still open: given what may follow them, it answers with what does.

    The first rows are the sentences themselves; from there on a row is whatever the last choice made it.
    """

    def choose(self, prospects: Prospects) -> Choice:
        """Continue the open rows; those that end leave."""
        ...

    def hypotheses(self) -> list[list[Hypothesis]]:
        """What every sentence ended in, best first."""
        ...


def penalized(total: float, length: int, penalty: float) -> float:
    """The score of a hypothesis: long ones have a lower sum, and the penalty makes up for it.

    Wu et al. 2016, section 7, in the simpler form that is now usual.
    """
    return float(total / length**penalty)


def check_possible(best: Tensor) -> None:
    """Refuse to go on where the best score of a row (N) says that nothing at all may follow it."""
    if bool((best == -torch.inf).any()):
        raise InputError(
            "every token is forbidden at some point of the output; loosen no_repeat_ngram_size or bad_words_ids, "
            "or lower max_new_tokens"
        )
