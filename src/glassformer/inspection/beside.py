"""Answers before and after an edit, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from glassformer.errors import InputError
from glassformer.glass.edits import AnyEdit
from glassformer.tasks.answering import Span
from glassformer.tasks.classification import Label, Labels, Values
from glassformer.tasks.filling import Filled
from glassformer.tasks.generation import GeneratedText
from glassformer.tasks.model import Model
from glassformer.tasks.rewriting import Rewritten
from glassformer.tasks.tagging import Entities
from glassformer.tasks.task import Text


@dataclass(frozen=True, kw_only=True)
class Change:
    """How likely one thing was, and is; None: it is no part of that answer."""

    what: str
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True)
class Beside:
    """One text's answer before and after, and how likely their parts are: labels, tags, words or tokens."""

    text: Text
    before: Any
    after: Any
    changes: tuple[Change, ...]

    @property
    def same(self) -> bool:
        """Whether both answers read alike."""
        return str(self.before) == str(self.after)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "text": self.text,
            "before": str(self.before),
            "after": str(self.after),
            "changes": [vars(change) for change in self.changes],
        }

    def __str__(self) -> str:
        wide = max((len(change.what) for change in self.changes), default=0)
        both = (("text", self.text), ("before", self.before), ("after", self.after))
        lines = [f"{name:>{wide}}  {value}" for name, value in both]
        lines += [f"{each.what:>{wide}}  {said(each.before)}  {said(each.after)}" for each in self.changes]
        return "\n".join(lines)


def side_by_side(model: Model, text: Text, *edits: AnyEdit, **options: Any) -> Beside:
    """The answer to a text as the model is, and with edits in force; options are those of its answers."""
    if not edits:
        raise InputError("no edit was given, so nothing would change; give one or more, such as inspection.zero(...)")
    before = model(text, **options)
    with model.edit(*edits):
        after = model(text, **options)
    return Beside(text=text, before=before, after=after, changes=tuple(compared(parts(before), parts(after))))


def compared(before: Sequence[tuple[str, float]], after: Sequence[tuple[str, float]]) -> Iterator[Change]:
    """Both answers' parts by what they are called, in their order."""
    first, second = dict(before), dict(after)
    for what in dict.fromkeys([*first, *second]):
        yield Change(what=what, before=first.get(what), after=second.get(what))


def parts(answer: Any) -> list[tuple[str, float]]:
    """What an answer is made of, each part with its probability (for numbers: the number)."""
    match answer:
        case Label() | Labels():
            return list(answer.probabilities.items())
        case Values():
            return list(answer.values.items())
        case Entities():
            return [(f"{tag.token} {tag.label} ({place})", tag.probability) for place, tag in enumerate(answer.tags)]
        case Span():
            return [(str(each), each.probability) for each in (answer, *answer.others)]
        case Filled():
            return [
                (f"{word} ({place})", share) for place, row in enumerate(answer.candidates) for word, share in row
            ]
        case GeneratedText() | Rewritten():
            pairs = zip(answer.tokens, answer.log_probabilities, strict=True)
            return [(f"{token} ({place})", math.exp(value)) for place, (token, value) in enumerate(pairs)]
    raise InputError("this model's answers have no probabilities; compare its runs with inspection.compare instead")


def said(share: float | None) -> str:
    """A probability in seven places."""
    return "      -" if share is None else f"{share:7.4f}"
