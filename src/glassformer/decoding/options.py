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

    def __post_init__(self) -> None:
        _check_count("beams", self.beams, least=1)
        _check_count("keep", self.keep, least=1)
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
        """What a generation_config.json says, in the places of `defaults`; keys of other searches are left alone."""
        said = {
            ours: published[theirs] for theirs, ours in PUBLISHED.items() if published.get(theirs) is not None
        }
        return cls(**{**defaults, **said})

    def publish(self) -> dict[str, Any]:
        """The same as a generation_config.json says it."""
        return {
            theirs: getattr(self, ours)
            for theirs, ours in PUBLISHED.items()
            if getattr(self, ours) is not None
        }


PUBLISHED = {  # generation_config.json -> ours
    "num_beams": "beams",
    "length_penalty": "length_penalty",
    "early_stopping": "early_stopping",
    "max_new_tokens": "max_length",
    "num_return_sequences": "keep",
}


def _check_count(name: str, value: object, *, least: int) -> None:
    if type(value) is not int or value < least:
        raise InputError(f"{name} is {value!r}; expected a whole number of {least} or more")
