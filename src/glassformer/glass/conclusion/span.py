"""From the logits of windows to the piece of a context that answers a question."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from glassformer.glass.conclusion.conclusion import Conclusion, Numbers, agree
from glassformer.glass.loss_formulas import log_softmax
from glassformer.glass.verify import Check, compared

SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Place:
    """A candidate: characters of the context, its log-probability, and the window in which it is likeliest."""

    text: str
    start: int
    end: int
    log_probability: float
    window: int


@dataclass(frozen=True, kw_only=True)
class WindowRead:
    """One window: which tokens of the context it reads, what was said of each as start and end, and its best.

    Of the two rows of logits the first number is that of the first position, which stands for no answer.
    """

    first: int  # number of the first token, counted in the context
    place: int  # where it stands in the window
    start_logits: tuple[float, ...]
    end_logits: tuple[float, ...]
    no_answer: float  # the log-probability that this window holds none
    best: Place

    @property
    def logits(self) -> Numbers:
        """1 + tokens, 2."""
        return np.array([self.start_logits, self.end_logits]).T


@dataclass(frozen=True, kw_only=True)
class Answered(Conclusion):
    """Windows -> start and end likelihoods in each -> candidates of all, best first -> an answer, or none.

    A log-probability is that of start plus that of end, each among the tokens of the window's context and the first
    position; a candidate found in several windows is as likely as where it is likeliest, no answer as likely as in the
    window where it is least so. `margin` is how far no answer is above the best candidate. The trace is of window
    `window`.
    """

    kind: ClassVar[str] = "answer"

    window: int
    windows: tuple[WindowRead, ...]
    words: tuple[tuple[int, int], ...]  # for each token of the context the characters of its word; 0, 0: it has none
    longest: int  # tokens that an answer may have
    candidates: tuple[Place, ...]
    no_answer: float
    margin: float
    threshold: float
    may_have_none: bool
    answer: str
    probability: float

    def checks(self, logits: Numbers) -> Iterator[Check]:
        """The traced window's logits, every window's best, how all were merged, and what was decided."""
        here = self.windows[self.window]
        rows = [0, *range(here.place, here.place + len(here.start_logits) - 1)]
        yield compared("answer.logits", here.logits, logits[rows])
        found = [self._spans(window) for window in self.windows]
        best = [max(each.values()) for each in found]
        yield compared(
            "answer.windows",
            np.array([each.best.log_probability for each in self.windows]),
            np.array(best),
            size=self._size,
        )
        nothing = [self._none(window) for window in self.windows]
        yield compared(
            "answer.no_answer_of_windows",
            np.array([each.no_answer for each in self.windows]),
            np.array(nothing),
            size=self._size,
        )
        yield from self._merged(found, min(nothing))

    @property
    def _size(self) -> float:
        """How large the logits are: what is made of their differences is as exact as they are."""
        return float(max(np.abs(each.logits).max() for each in self.windows))

    def _merged(self, found: list[dict[tuple[int, int], float]], nothing: float) -> Iterator[Check]:
        merged: dict[tuple[int, int], float] = {}
        for each in found:
            for place, log_probability in each.items():
                merged[place] = max(log_probability, merged.get(place, -np.inf))
        ranked = sorted(merged.values(), reverse=True)[: len(self.candidates)]
        likely = np.array([each.log_probability for each in self.candidates])
        yield compared("answer.candidates", likely, np.array(ranked), size=self._size)
        own = np.array([merged.get((each.start, each.end), np.nan) for each in self.candidates])
        yield compared("answer.places", likely, own, size=self._size)
        margin = nothing - ranked[0]
        found_margin = np.array([self.no_answer, self.margin])
        yield compared("answer.margin", found_margin, np.array([nothing, margin]), size=self._size)
        none = self.may_have_none and self.margin > self.threshold
        best = self.candidates[0]
        yield agree("answer.text", self.answer, "" if none else best.text)
        chosen = np.exp(nothing if none else ranked[0])
        yield compared("answer.probability", np.array([self.probability]), np.array([chosen]))

    def _spans(self, window: WindowRead) -> dict[tuple[int, int], float]:
        """Every piece of a window that may be an answer, grown to whole words: characters -> log-probability."""
        start, end = log_softmax(window.logits, axis=0)[1:].T
        words = self.words[window.first : window.first + len(start)]
        found: dict[tuple[int, int], float] = {}
        for first, (begins, last) in enumerate(words):
            for behind in range(first, min(first + self.longest, len(words))) if last else ():
                if words[behind][1]:
                    place = begins, words[behind][1]
                    found[place] = max(float(start[first] + end[behind]), found.get(place, -np.inf))
        return found

    @staticmethod
    def _none(window: WindowRead) -> float:
        return float(log_softmax(window.logits, axis=0)[0].sum())

    def lines(self) -> Iterator[str]:
        """A line a window, the best of all, and what was decided."""
        for number, window in enumerate(self.windows):
            mark, best = "→" if number == self.window else " ", window.best
            last = window.first + len(window.start_logits) - 2
            likely = f"{np.exp(best.log_probability):.1%}, no answer {np.exp(window.no_answer):.1%}"
            yield f"{mark} window {number}, tokens {window.first} to {last}: {best.text!r} {likely}"
        for rank, each in enumerate(self.candidates[:SHOWN], start=1):
            yield f"{rank}. {each.text!r} ({np.exp(each.log_probability):.1%}, window {each.window})"
        above = f"no answer is {abs(self.margin):.3f} {'above' if self.margin > 0 else 'below'} the best"
        may = f"given above {self.threshold:g}" if self.may_have_none else "not allowed here"
        yield f"As log-probabilities {above}; it is {may}."
        yield f"The answer: {self.answer or '(none)'}"
