"""How a text that was written follows from the logits of its run."""

from typing import Protocol

from glassformer.decoding.options import Decoding
from glassformer.glass.conclusion.words import Written, WrittenToken


class WrittenAnswer(Protocol):
    """What every answer of a writing task has."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The new tokens' numbers."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The new tokens."""

    @property
    def log_probabilities(self) -> tuple[float, ...]:
        """One a token, the model's own."""

    @property
    def score(self) -> float:
        """What its search went by."""


def written(answer: WrittenAnswer, decoding: Decoding) -> Written:
    """From the log-probability of each token to the score."""
    tokens = tuple(
        WrittenToken(token=token, id=id, log_probability=value)
        for token, id, value in zip(answer.tokens, answer.ids, answer.log_probabilities, strict=True)
    )
    return Written(
        tokens=tokens,
        score=answer.score,
        length_penalty=float(decoding.length_penalty),
        by_sum=scored_by_sum(decoding),
    )


def scored_by_sum(decoding: Decoding) -> bool:
    """Whether a score is the sum of the model's own log-probabilities: rules and chance change what beams add up."""
    touched = decoding.constrained or decoding.do_sample or decoding.diversity_penalty > 0
    return decoding.num_beams == 1 or not touched
