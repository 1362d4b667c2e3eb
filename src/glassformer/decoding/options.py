"""How the next tokens are chosen and when to stop, decided before the first one is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from glassformer.errors import InputError

EarlyStopping = bool | Literal["never"]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """One way of turning probabilities into text; the defaults are greedy search.

    A hypothesis scores the sum of its tokens' log-probabilities divided by `length ** length_penalty`; its
    length counts the new tokens, the closing one included. Higher penalties favour longer answers.

    `early_stopping` says when a sentence's beam search is over, once `beams` hypotheses have ended. True: at
    once. False: when the best open one, scored at its length so far, is not above the worst ended one.
    "never": when it could not rise above that one even at the length the penalty likes best. The three mean
    what they mean in transformers.
    """

    beams: int = 1
    max_length: int | None = 256  # new tokens; None: as many as the model has positions for
    beyond_source: int | None = None  # at most so many tokens more than the source; Vaswani et al. 2017: 50
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False
    keep: int = 1  # how many hypotheses of each sentence are handed back, best first
    min_length: int = 0  # new tokens before the one that closes
    no_repeat: int = 0  # no so many tokens in a row a second time; 0: as often as is likely
    first: int | None = None  # the token that every answer starts with, as a language's
    last: int | None = None  # the token that ends an answer that has no room for more
    never: tuple[tuple[int, ...], ...] = ()  # sequences of tokens that are not written

    def __post_init__(self) -> None:
        _check_count("beams", self.beams, least=1)
        _check_count("keep", self.keep, least=1)
        _check_count("min_length", self.min_length, least=0)
        _check_count("no_repeat", self.no_repeat, least=0)
        if self.max_length is not None:
            _check_count("max_length", self.max_length, least=1)
        if self.beyond_source is not None:
            _check_count("beyond_source", self.beyond_source, least=0)
        if type(self.length_penalty) not in (int, float) or not math.isfinite(self.length_penalty):
            raise InputError(f"length_penalty is {self.length_penalty!r}; expected a number, such as 1.0")
        if type(self.early_stopping) is not bool and self.early_stopping != "never":
            raise InputError(f"early_stopping is {self.early_stopping!r}; expected True, False or 'never'")
        if self.keep > self.beams:
            raise InputError(
                f"keep is {self.keep}, but {self.beams} beams end in {self.beams} hypotheses; raise beams"
            )

    @classmethod
    def read(cls, published: Mapping[str, Any], **defaults: Any) -> Self:
        """What a generation_config.json says, in the places of `defaults`; keys of other searches are left alone.

        It is read for pairs: `max_length` and `min_length` count the start token there, which is not new.
        """
        said = {
            ours: published[theirs] for theirs, ours in PUBLISHED.items() if published.get(theirs) is not None
        }
        for length, least in (("max_length", 1), ("min_length", 0)):
            if length not in said and published.get(length):
                said[length] = max(int(published[length]) - 1, least)
        if published.get("bad_words_ids"):
            said["never"] = tuple(map(tuple, published["bad_words_ids"]))
        for place in ("first", "last"):
            if isinstance(said.get(place), list):  # any of them would do
                said[place] = said[place][0]
        return cls(**{**defaults, **said})

    @property
    def constrained(self) -> bool:
        """Whether likelihood alone does not decide."""
        return bool(
            self.min_length or self.no_repeat or self.never or self.first is not None or self.last is not None
        )

    def publish(self) -> dict[str, Any]:
        """The same as a generation_config.json says it."""
        said = {theirs: getattr(self, ours) for theirs, ours in PUBLISHED.items()}
        said["bad_words_ids"] = [list(sequence) for sequence in self.never] or None
        return {
            key: value for key, value in said.items() if value is not None and (value or key not in OFF_AT_0)
        }


PUBLISHED = {  # generation_config.json -> ours
    "num_beams": "beams",
    "length_penalty": "length_penalty",
    "early_stopping": "early_stopping",
    "max_new_tokens": "max_length",
    "num_return_sequences": "keep",
    "min_new_tokens": "min_length",
    "no_repeat_ngram_size": "no_repeat",
    "forced_bos_token_id": "first",
    "forced_eos_token_id": "last",
}
OFF_AT_0 = ("min_new_tokens", "no_repeat_ngram_size")


def _check_count(name: str, value: object, *, least: int) -> None:
    if type(value) is not int or value < least:
        raise InputError(f"{name} is {value!r}; expected a whole number of {least} or more")
