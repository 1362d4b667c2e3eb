"""Choose and stop: what stands inside the loop and decides what probabilities become."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from glassformer.decoding.records import Hypothesis, Token


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The rows to go on with; none when everything has ended."""

    tokens: Tensor  # N: the token that continues each of them
    rows: Tensor | None  # N: which of the previous rows each continues; None: all of them, in their order
    certain: tuple[Token, ...] = ()  # tokens that no later step will take back


class Chooser(Protocol):
    """One row for each sequence that is still open: given what may follow them, it answers with what does."""

    def choose(self, log_probabilities: Tensor) -> Choice:
        """Continue the open rows (N V); those that end leave."""
        ...

    def hypotheses(self) -> list[list[Hypothesis]]:
        """What every sentence ended in, best first."""
        ...


def penalized(total: float, length: int, penalty: float) -> float:
    """The score of a hypothesis: long ones have a lower sum, and the penalty makes up for it.

    Wu et al. 2016, section 7, in the simpler form that is now usual.
    """
    return float(total / length**penalty)
