"""What a search hands out: tokens as they are chosen, hypotheses when it is over, candidates when asked."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Token:
    """One token at the moment it was chosen for good."""

    sentence: int  # which sentence of the batch
    position: int  # 0 is the first new token
    id: int
    log_probability: float  # the model's own, whatever rules and chance made of it
    alternatives: tuple[tuple[int, float], ...] = ()  # the likeliest: (id, log-probability)
    answer: int = 0  # which answer to the sentence, where several are drawn


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One way to end a sentence."""

    ids: tuple[int, ...]  # the new tokens, the closing one included where there is one
    log_probabilities: tuple[float, ...]  # one for each of them: the model's own
    score: float  # the sum that the search went by, divided by length ** length_penalty
    closed: bool  # ended by a closing token or text; False: ended because no more tokens were allowed


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One continuation that a search weighed."""

    token: int
    parent: int  # which beam of the step before it continues
    row: int  # which row of the latest reading said how likely it is
    log_probability: float  # of this token alone, the model's own
    score: float  # of beams the sum over the whole hypothesis, of contrastive search what it is chosen by
    beam: int | None  # which beam it becomes; None: it is dropped or has ended
    ended: bool  # it ended here and was a finished hypothesis
    closed: bool = False  # its token, or the text that it makes, is a closing one
    confidence: float = 0.0  # of contrastive search: its probability under the rules
    penalty: float = 0.0  # taken off: what earlier groups' choices cost it, or its likeness to what was written


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """All that one sentence's search weighed together at one step, best first: a level of its tree, or a group's."""

    sentence: int
    position: int
    group: int = 0
    candidates: tuple[Candidate, ...]
