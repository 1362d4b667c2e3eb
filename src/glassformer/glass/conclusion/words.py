"""From logits to words: those that were hidden, and those that were written one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from glassformer.glass.conclusion.conclusion import Conclusion, Numbers
from glassformer.glass.formulas import softmax
from glassformer.glass.loss_formulas import log_softmax
from glassformer.glass.verify import Check, compared


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A word that may stand in a hidden place."""

    word: str
    id: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class HiddenWord:
    """A hidden place of the text, and the likeliest words for it, best first."""

    place: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class Filled(Conclusion):
    """Logits at each hidden place -> probabilities -> the likeliest words; the first is filled in."""

    kind: ClassVar[str] = "filled"

    hidden: tuple[HiddenWord, ...]

    def checks(self, logits: Numbers) -> Iterator[Check]:
        """The probabilities of the candidates, and that no other word is likelier."""
        for each in self.hidden:
            likely = softmax(logits[each.place])
            found = np.array([one.probability for one in each.candidates])
            yield compared(f"answer.place_{each.place}", found, likely[[one.id for one in each.candidates]])
            best = np.sort(likely)[::-1][: len(found)]
            yield compared(f"answer.best_{each.place}", found, best)

    def lines(self) -> Iterator[str]:
        """A line a hidden word."""
        for each in self.hidden:
            words = ", ".join(f"{one.word} {one.probability:.1%}" for one in each.candidates)
            yield f"position {each.place}: {words}"


@dataclass(frozen=True, kw_only=True)
class WrittenToken:
    """A token of an answer, and the log-probability that the model gave it where it was chosen."""

    token: str
    id: int
    log_probability: float


@dataclass(frozen=True, kw_only=True)
class Written(Conclusion):
    """Logits of the last rows -> log-probability of each token written -> their sum, by length: the score.

    The log-probabilities are those with which the answer was searched for: cached, a token at a time, fused. The score
    is their sum divided by length to the power of `length_penalty`, unless rules or chance took part in it
    (`by_sum` is False).
    """

    kind: ClassVar[str] = "written"

    tokens: tuple[WrittenToken, ...]
    score: float
    length_penalty: float
    by_sum: bool

    def checks(self, logits: Numbers) -> Iterator[Check]:
        """Each token's log-probability, and the score."""
        ids = [each.id for each in self.tokens]
        rows = log_softmax(logits[len(logits) - len(ids) :])
        found = np.array([each.log_probability for each in self.tokens])
        picked = rows[np.arange(len(ids)), ids]
        size = float(np.abs(logits).max())
        yield compared("answer.log_probabilities", found, picked, size=size)
        if self.by_sum:
            score = picked.sum() / max(len(ids), 1) ** self.length_penalty
            yield compared("answer.score", np.array([self.score]), np.array([score]), size=size)

    def lines(self) -> Iterator[str]:
        """A line a token, then the score."""
        wide = max((len(each.token) for each in self.tokens), default=0)
        for each in self.tokens:
            yield f"{each.token:{wide}}   {np.exp(each.log_probability):7.2%}   {each.log_probability:9.4f}"
        total = sum(each.log_probability for each in self.tokens)
        if self.by_sum:
            yield f"sum {total:.4f} / {len(self.tokens)}^{self.length_penalty:g} = score {self.score:.4f}"
        else:
            yield f"sum {total:.4f}; score {self.score:.4f}, in which rules or chance took part"
