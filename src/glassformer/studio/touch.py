"""What a person changes on the page, as edits of the model: each a few plain values, nothing that is executed."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from glassformer.errors import InputError
from glassformer.glass.edits import AnyEdit, mean, patch, replace, steer, weight, zero
from glassformer.studio.shelf import Opened
from glassformer.studio.texts import Name, Words
from glassformer.studio.words import row_of

PLACES = ("head", "neuron", "position", "key_position")


class EditAsked(BaseModel):
    """One edit: its kind, the step or parameter, the part of it that is meant, and what it becomes."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["zero", "mean", "replace", "patch", "steer", "weight", "word"]
    name: Name
    head: int | None = None
    neuron: int | None = None
    position: int | None = None
    key_position: int | None = None
    row: int | None = None
    column: int | None = None
    word: Words | None = None  # weight: names the row of an embedding; word: whose row becomes that of `text`
    to: float | None = None
    text: Words | None = None  # patch: where the value comes from; steer: what to go towards
    away: Words | None = None  # steer: what to go away from
    strength: float = 1.0


def edits_of(asked: Sequence[EditAsked], opened: Opened) -> list[AnyEdit]:
    """What `model.edit` understands."""
    return [edit_of(each, opened) for each in asked]


def edit_of(asked: EditAsked, opened: Opened) -> AnyEdit:
    """One edit."""
    where: dict[str, Any] = {
        name: value
        for name in PLACES
        if (value := getattr(asked, name)) is not None
    }
    match asked.kind:
        case "zero":
            return zero(asked.name, **where)
        case "mean":
            return mean(asked.name, **where)
        case "replace":
            return replace(asked.name, needed(asked.to, asked), **where)
        case "patch":
            return patch(asked.name, needed(asked.text, asked), **where)
        case "steer":
            away = () if asked.away is None else asked.away
            return steer(asked.name, needed(asked.text, asked), away, strength=asked.strength, **where)
        case "word":
            return another_word(asked, opened)
    row = asked.row if asked.word is None else row_of(opened, asked.name, asked.word)
    return weight(asked.name, needed(asked.to, asked), row=row, column=asked.column)


def another_word(asked: EditAsked, opened: Opened) -> AnyEdit:
    """The row of one word in place of another's."""
    row = row_of(opened, asked.name, needed(asked.word, asked))
    other = row_of(opened, asked.name, needed(asked.text, asked))
    table = opened.model.transformer.get_parameter(asked.name)
    return weight(asked.name, table[other].detach().clone(), row=row)


def needed(value: Any, asked: EditAsked) -> Any:
    """What an edit of this kind cannot do without."""
    if value is None:
        what = {"patch": "a text", "steer": "a text", "word": "a word"}.get(asked.kind, "a number")
        raise InputError(f"to {asked.kind} {asked.name}, {what} is needed; give one")
    return value
