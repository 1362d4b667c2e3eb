"""What an attribution found: a score for each token that was read, in words and characters of the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassformer.glass.views import Displayed
from glassformer.inspection.drawing import drawn
from glassformer.inspection.question import Side
from glassformer.text.words import words


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A token or a word, its score, and its characters text[start:end]; an added token has none: start is end."""

    text: str
    score: float
    start: int
    end: int
    of: int | None = None  # which text it is of: 0 or 1; None: it was added


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The tokens that one stack read, each with its score."""

    side: str  # encoder, decoder
    texts: tuple[str, ...]
    tokens: tuple[Piece, ...]

    @classmethod
    def of(cls, side: Side, scores: list[float]) -> Scores:
        """A score for each token of a side."""
        each = zip(side.tokens, scores, side.offsets, side.of, strict=True)
        return cls(
            side=side.name,
            texts=side.texts,
            tokens=tuple(
                Piece(text=token, score=score, start=start, end=end, of=of) for token, score, (start, end), of in each
            ),
        )

    @property
    def words(self) -> tuple[Piece, ...]:
        """The words, each with the sum of its tokens; added tokens, such as [CLS], stand for themselves."""
        found = []
        offsets = [(token.start, token.end) for token in self.tokens]
        for number, text in enumerate(self.texts):
            places = [place for place, token in enumerate(self.tokens) if token.of == number]
            for word in words(text, offsets, places):
                score = sum(self.tokens[place].score for place in word.places)
                piece = Piece(text=text[word.start : word.end], score=score, start=word.start, end=word.end, of=number)
                found.append((word.places[0], piece))
        within = {place for place, token in enumerate(self.tokens) if token.of is not None}
        found += [(place, token) for place, token in enumerate(self.tokens) if place not in within]
        return tuple(piece for _, piece in sorted(found, key=lambda item: item[0]))


@dataclass(frozen=True, kw_only=True)
class Attribution(Displayed):
    """How much each token contributes to the number that is asked about."""

    method: str
    about: str  # the number in words
    number: float
    scores: tuple[Scores, ...]  # the text first; of models that write, then what was written before
    step: str | None = None  # where within the model, if not at its embedding
    baseline: float | None = None  # the number for the baseline's inputs, where a method has them
    error: float | None = None  # how far the sum is from number less baseline, as a share of it
    steps: int | None = None  # of the integral
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)  # step -> each number's share

    @property
    def tokens(self) -> tuple[Piece, ...]:
        """All tokens with their scores, the text's first."""
        return tuple(piece for side in self.scores for piece in side.tokens)

    @property
    def words(self) -> tuple[Piece, ...]:
        """All words with their scores, the text's first."""
        return tuple(piece for side in self.scores for piece in side.words)

    @property
    def total(self) -> float:
        """What all scores add up to."""
        return sum(piece.score for piece in self.tokens)

    def neurons(self, count: int = 10) -> list[tuple[int, float]]:
        """The numbers of the step's last axis that contribute most over all positions, the strongest first."""
        name = self.step or next(iter(self.values))
        along = self.values[name].reshape(-1, self.values[name].shape[-1]).sum(0)
        order = np.argsort(-np.abs(along), kind="stable")[:count]
        return [(int(number), float(along[number])) for number in order]

    def facts(self) -> Iterator[tuple[str, str]]:
        """What is to be known beside the scores, in words."""
        yield "number", f"{self.number:.4f}"
        if self.step is not None:
            yield "at", self.step
        if self.baseline is not None:
            yield "of the baseline", f"{self.baseline:.4f}"
        yield "sum of the scores", f"{self.total:.4f}"
        if self.error is not None:
            yield "completeness error", f"{self.error:.2%}" + (f" in {self.steps} steps" if self.steps else "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "method": self.method,
            "about": self.about,
            "number": self.number,
            "step": self.step,
            "baseline": self.baseline,
            "completeness_error": self.error,
            "steps": self.steps,
            "sides": [
                {
                    "side": side.side,
                    "texts": list(side.texts),
                    "tokens": [vars(piece) for piece in side.tokens],
                    "words": [vars(piece) for piece in side.words],
                }
                for side in self.scores
            ],
        }

    def plot(self, path: str | None = None, **options: Any) -> Any:
        """Bars for the words by matplotlib, written to `path` where one is given. Extra: plot."""
        return drawn("attribution", self, path, **options)

    def __str__(self) -> str:
        lines = [f"{self.method} for {self.about}", *(f"  {name}: {value}" for name, value in self.facts())]
        for side in self.scores:
            lines += [f"  {side.side}:", *(f"    {piece.score:+8.4f}  {piece.text}" for piece in side.words)]
        return "\n".join(lines)
