"""From the labels of tokens to those of words, and from these to names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from glassformer.glass.conclusion.conclusion import Conclusion, Numbers, agree
from glassformer.glass.formulas import softmax
from glassformer.glass.verify import Check, compared

OUTSIDE = "O"
BEGINS, CLOSES = frozenset("BSU"), frozenset("ESL")
MARKS = frozenset("BSUELIM")


@dataclass(frozen=True, kw_only=True)
class TokenLabels:
    """A token, where its characters stand, where it was read, and how likely each label is for it."""

    token: str
    start: int
    end: int
    window: int  # which window of the text it was read in
    place: int  # where in that window
    probabilities: tuple[float, ...]  # one a label


@dataclass(frozen=True, kw_only=True)
class WordLabel:
    """A word: which of the tokens it is made of, and its label."""

    text: str
    start: int
    end: int
    tokens: tuple[int, ...]
    label: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Name:
    """A name: the words `first` to before `behind`, its kind, and the mean probability of their labels."""

    type: str
    text: str
    first: int
    behind: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class Tagged(Conclusion):
    """Logits -> each token's labels -> each word's label, by its first token or their mean -> names.

    A long text is read in windows; the trace is of window `window`, and what was read in others is as it was found.
    """

    kind: ClassVar[str] = "names"

    labels: tuple[str, ...]
    aggregation: str  # first, mean or simple
    window: int
    windows: int
    tokens: tuple[TokenLabels, ...]
    words: tuple[WordLabel, ...]
    names: tuple[Name, ...]

    def checks(self, logits: Numbers) -> Iterator[Check]:
        """The tokens of the traced window, all words, all names."""
        here = [each for each in self.tokens if each.window == self.window]
        if here:
            expected = softmax(logits[[each.place for each in here]])
            yield compared("answer.tokens", np.array([each.probabilities for each in here]), expected)
        rows = [self._row(word) for word in self.words]
        if rows:
            labels = [self.labels.index(word.label) for word in self.words]
            picked = np.array([row[label] for row, label in zip(rows, labels, strict=True)])
            yield compared("answer.words", np.array([word.probability for word in self.words]), picked)
            short = float(max(row.max() - share for row, share in zip(rows, picked, strict=True)))
            yield Check("answer.labels", short, short)
        spans = grouped([word.label for word in self.words], self.labels)
        yield agree("answer.names", [(name.type, name.first, name.behind) for name in self.names], spans)
        means = [np.mean([word.probability for word in self.words[a:b]]) for _, a, b in spans]
        if len(means) == len(self.names) and means:
            yield compared("answer.sure", np.array([name.probability for name in self.names]), np.array(means))

    def _row(self, word: WordLabel) -> Numbers:
        rows = np.array([self.tokens[number].probabilities for number in word.tokens])
        row: Numbers = rows.mean(axis=0) if self.aggregation == "mean" else rows[0]
        return row

    def lines(self) -> Iterator[str]:
        """A line a word with its tokens, then a line a name."""
        wide = max((len(word.text) for word in self.words), default=0)
        for word in self.words:
            pieces = " ".join(self.tokens[number].token for number in word.tokens)
            yield f"{word.text:{wide}}   {word.label:8} {word.probability:7.2%}   {pieces}"
        for name in self.names:
            yield f"words {name.first} to {name.behind - 1}: {name.type} {name.text!r} ({name.probability:.1%})"
        if not self.names:
            yield "No word is part of a name."


def grouped(labels: Sequence[str], known: Sequence[str]) -> list[tuple[str, int, int]]:
    """(kind, first word, behind the last) of each name: what goes on belongs together, a beginning parts it.

    `known` are all labels of the model: whether they carry marks, such as B- and I-, is told by them.
    """
    marked = any(label.startswith(("B-", "I-")) for label in known)
    found: list[tuple[str, int, int]] = []
    before = ""
    for number, label in enumerate(labels):
        mark, dash, kind = label.partition("-")
        if not (marked and dash and len(mark) == 1 and mark in MARKS):
            mark, kind = "I", label
        if label == OUTSIDE:
            before = ""
            continue
        if kind == before and mark not in BEGINS:
            found[-1] = (kind, found[-1][1], number + 1)
        else:
            found.append((kind, number, number + 1))
        before = "" if mark in CLOSES else kind
    return found
