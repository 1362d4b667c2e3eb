"""Texts that are sent: whole, and not longer than can be looked at."""

from typing import Annotated

from pydantic import AfterValidator

LONGEST = 100_000  # characters of a text
LONGEST_NAME = 1_000  # and of what names a model, a task, a step


def whole(text: str) -> str:
    """The text, unless half of a character stands in it: JSON can say that, and no tokenizer can read it."""
    half = next((place for place, letter in enumerate(text) if "\ud800" <= letter <= "\udfff"), None)
    if half is not None:
        raise ValueError(f"character {half} is half of one (a lone surrogate); write it anew")
    return text


def short(text: str) -> str:
    """The text, unless it is too long to be a name."""
    if len(text) > LONGEST_NAME:
        raise ValueError(f"a name has {LONGEST_NAME:,} characters at most, and this has {len(text):,}")
    return text


def readable(text: str) -> str:
    """The text, unless it is too long to be looked at."""
    if len(text) > LONGEST:
        raise ValueError(f"the text has {len(text):,} characters; {LONGEST:,} at most can be looked at")
    return text


Words = Annotated[str, AfterValidator(readable), AfterValidator(whole)]
Name = Annotated[str, AfterValidator(short), AfterValidator(whole)]
