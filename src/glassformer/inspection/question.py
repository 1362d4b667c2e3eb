"""Which number of an answer is asked about: a run of one text, and the logits, or their difference, that are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from glassformer.data.batch import Batch, Inputs

SPECIAL = (0, 0)  # of a token that has no characters of its own


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one stack reads: its tokens, and the characters of the text that each stands for."""

    name: str  # encoder, decoder
    tokens: tuple[str, ...]
    texts: tuple[str, ...]  # the texts that the offsets count in: one, or a question and its context
    offsets: tuple[tuple[int, int], ...]  # SPECIAL where a token was added
    of: tuple[int | None, ...]  # which of the texts; None: it was added


@dataclass(frozen=True)
class Term:
    """One logit, so many times: at this position (None: of the whole text) this label or word."""

    position: int | None
    column: int
    times: float = 1.0


@dataclass(frozen=True)
class Number:
    """One number of a step, by its name and its place behind the batch: an activation that is asked about."""

    step: str
    place: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A run of one text and the number that is asked about: a sum of logits, or one number of a step."""

    batch: Batch
    sides: tuple[Side, ...]
    terms: tuple[Term, ...]
    words: str  # the number in words, such as: the logit of 'sat'
    number: Number | None = None
    token: int | None = None  # which of the tokens that the model wrote, the first is 0; None: none of them

    @property
    def read(self) -> str:
        """The stack that reads the text: of a pair, the encoder."""
        return self.sides[0].name

    @property
    def contrast(self) -> bool:
        """Whether two answers are weighed against each other."""
        return any(term.times < 0 for term in self.terms)

    def side(self, name: str) -> Side:
        """What a stack reads."""
        return next(side for side in self.sides if side.name == name)

    def inputs(self, rows: int = 1) -> Inputs:
        """What the model is called with, the text so many times."""
        given = self.batch.inputs()

        def times(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.expand(rows, *value.shape[1:])

        return Inputs(
            source=times(given["source"]),
            target=times(given["target"]),
            source_mask=times(given["source_mask"]),
            target_mask=times(given["target_mask"]),
            segments=times(given["segments"]),
        )

    def value(self, logits: Tensor) -> Tensor:
        """What the head says, (B, L) or (B, T, V) -> the number that is asked about, (B,)."""
        total = logits.new_zeros(len(logits))
        for term in self.terms:
            row = logits if term.position is None else logits[:, term.position]
            total = total + term.times * row[:, term.column]
        return total


def terms_of(position: int | None, column: int, against: int | None) -> tuple[Term, ...]:
    """One logit, or how far it is above another."""
    if against is None:
        return (Term(position, column),)
    return Term(position, column), Term(position, against, -1.0)


def said(what: str, against: str | None, where: str = "") -> str:
    """The number in words."""
    told = f"the logit of {what}" if against is None else f"the logit of {what} minus that of {against}"
    return told + where


def side_of(
    name: str,
    tokens: Sequence[str],
    texts: Sequence[str],
    offsets: Sequence[tuple[int, int]],
    of: Sequence[int | None],
) -> Side:
    """What a stack reads, as it is kept."""
    return Side(
        name=name, tokens=tuple(tokens), texts=tuple(texts), offsets=tuple(map(tuple, offsets)), of=tuple(of)  # type: ignore[arg-type]
    )
