"""The languages that one vocabulary has tokens for, and where such a token stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from glassformer.errors import InputError
from glassformer.text.tokenizer import Tokenizer

MARKED = re.compile(r"__(\w+)__|([a-z]{3}_[A-Z][a-z]{3})|([a-z]{2}_[A-Z]{2})")  # __fr__, fra_Latn, fr_XX
ANNOUNCED = re.compile(r">>(\w+)<<")
Place = Literal["before", "after", "announced", "nowhere"]


@dataclass(frozen=True)
class Languages:
    """Code -> token id.

    before: a text starts with its language's token, and so does its translation (M2M100, NLLB, mBART-50). after: it
    ends with it, and the translation starts from its own (mBART). announced: the text starts with the language that it
    is to be translated into (Marian).
    """

    ids: Mapping[str, int] = field(default_factory=dict)
    place: Place = "nowhere"

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Languages:
        """Those of a vocabulary."""
        added = {
            token.content: number for number, token in tokenizer.backend.get_added_tokens_decoder().items()
        }
        ids = {
            next(filter(None, match.groups())): n
            for token, n in added.items()
            if (match := MARKED.fullmatch(token))
        }
        frame = tokenizer.backend.encode("").ids
        if ids and frame:
            return cls(ids, "before" if frame[0] in ids.values() else "after")
        found = {
            match[1]: number
            for token, number in tokenizer.backend.get_vocab().items()
            if (match := ANNOUNCED.fullmatch(token))
        }
        return cls(found, "announced") if found else cls()

    def id(self, name: str) -> int:
        """The token of a language: by its code, or by the code's first part where that is enough."""
        if name in self.ids:
            return self.ids[name]
        near = [
            code for code in self.ids if code.lower() == name.lower() or code.split("_")[0] == name.lower()
        ]
        if len(near) == 1:
            return self.ids[near[0]]
        if not self.ids:
            raise InputError(
                f"the language {name!r} was named, but this model has one pair of languages only"
            )
        known = ", ".join(sorted(near or self.ids))
        raise InputError(f"this model has no language {name!r}; it has {known}: name one of these")

    def framed(self, ids: list[int], source: int | None, target: int | None) -> list[int]:
        """An encoded text with the token of its language, or of that it is to be translated into."""
        if self.place == "announced":
            return ids if target is None else [target, *ids]
        if source is None or self.place == "nowhere":
            return ids
        return [source, *ids[1:]] if self.place == "before" else [*ids[:-1], source]
