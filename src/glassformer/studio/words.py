"""The rows of an embedding by the words that they are of."""

from typing import Any

from glassformer.errors import InputError
from glassformer.studio.shelf import Opened
from glassformer.text.tokenizer import Tokenizer

TABLES = ("tokens.weight", "source_tokens.weight", "head.output.weight")  # parameters with a row for each word
MOST = 1024  # rows that are named at once


def tokenizer_of(opened: Opened, parameter: str) -> Tokenizer | None:
    """Whose words the rows of a parameter are; None where they are no words."""
    model = opened.model
    own = model.source_tokenizer if parameter == "source_tokens.weight" else model.tokenizer
    value = dict(model.transformer.named_parameters()).get(parameter)
    if parameter not in TABLES or own is None or value is None or value.ndim < 2:
        return None
    return own if len(value) in (own.vocab_size, model.config.vocab_size, model.config.source_vocab_size) else None


def row_names(opened: Opened, parameter: str, start: int) -> list[str]:
    """The words of some rows; none where a row is not a word's."""
    tokenizer = tokenizer_of(opened, parameter)
    if tokenizer is None:
        return []
    stop = min(start + MOST, tokenizer.vocab_size)
    return [tokenizer.token(number) for number in range(start, stop)]


def row_of(opened: Opened, parameter: str, word: str) -> int:
    """The row of a word: of the token that is written like it, or the only one that it is cut into."""
    tokenizer = tokenizer_of(opened, parameter)
    if tokenizer is None:
        raise InputError(f"the rows of {parameter} are no words; name a row by its number")
    exact = tokenizer.id(word)
    if exact is not None:
        return exact
    spelt = [ids for ids in tokenizer.ids([f" {word}", word], special=False) if ids != [tokenizer.unk_id]]
    alone = next((ids[0] for ids in spelt if len(ids) == 1), None)
    if alone is not None:
        return alone
    if not any(spelt):
        raise InputError(f"{word!r} is no word of this model; name one that is")
    pieces = ", ".join(map(tokenizer.token, next(ids for ids in spelt if ids)))
    raise InputError(f"{word!r} is cut into {pieces}, each with a row of its own; name one of these")


def row_found(opened: Opened, parameter: str, word: str) -> dict[str, Any]:
    """A word's row, and the word as the table has it."""
    row = row_of(opened, parameter, word)
    tokenizer = tokenizer_of(opened, parameter)
    assert tokenizer is not None, "the row was found by it"
    return {"row": row, "word": tokenizer.token(row)}
