"""How the next tokens are chosen and when to stop, decided before the first one is."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

from glassformer.errors import InputError

EarlyStopping = bool | Literal["never"]


def option(description: str, default: Any) -> Any:
    """A field with its one-line description."""
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """One way of turning probabilities into text; the defaults are greedy search.

    The names are those of transformers' `generate`, and so are their meanings; what it has no name for stands
    under `OURS`. A hypothesis scores the sum of its tokens' log-probabilities divided by `length **
    length_penalty`; its length counts the new tokens, the closing one included.

    `early_stopping` says when a sentence's beam search is over, once `num_beams` hypotheses have ended. True: at
    once. False: when the best open one, scored at its length so far, is not above the worst ended one. "never":
    when it could not rise above that one even at the length the penalty likes best.
    """

    num_beams: int = option("hypotheses kept at each step; 1: one token after the other", 1)
    num_beam_groups: int = option(
        "groups that the beams search in, each kept from what earlier groups choose", 1
    )
    diversity_penalty: float = option(
        "groups of beams: what a token loses for each earlier beam that chose it", 0.0
    )
    length_penalty: float = option("beams: above 0 favours long outputs, below 0 short ones", 1.0)
    early_stopping: EarlyStopping = option(
        "beams: when to end: true once enough have ended, false when no open one is better, 'never'", False
    )
    agreement_power: float = option(
        "beams: above 0 answers with what the ended agree on most, each weighed by its probability to this power",
        0.0,
    )
    num_return_sequences: int = option("outputs handed back for each input", 1)

    max_new_tokens: int | None = option("longest output in tokens", 256)  # None: as the positions allow
    beyond_source: int | None = option("longest output beyond the source's length, in tokens", None)
    min_new_tokens: int = option("shortest output in tokens", 0)
    stop_strings: tuple[str, ...] = option("texts that end an output, which is cut before them", ())

    do_sample: bool = option("draw each token by its probability instead of taking the likeliest", False)
    temperature: float = option("drawing: below 1 favours likely tokens, above 1 unlikely ones", 1.0)
    top_k: int = option("drawing: among so many likeliest tokens; 0: among all", 0)
    top_p: float = option("drawing: among the likeliest tokens that hold this much probability", 1.0)
    min_p: float = option("drawing: among tokens at least this share as likely as the likeliest", 0.0)
    typical_p: float = option(
        "drawing: among the tokens of most usual surprise that hold this much probability", 1.0
    )
    seed: int | None = option("drawing: the same seed draws the same output", None)
    penalty_alpha: float = option(
        "contrastive search among the top_k: how much likeness to what was written counts, from 0 to 1", 0.0
    )

    prompt_lookup_num_tokens: int | None = option(
        "tokens read ahead at once: those that followed the last words where they stood before", None
    )
    num_assistant_tokens: int = option("with an assistant: tokens that it guesses and that are read at once", 5)

    repetition_penalty: float = option("above 1 makes tokens that were written before less likely", 1.0)
    no_repeat_ngram_size: int = option("no so many tokens in a row twice; 0: as often as is likely", 0)
    bad_words: tuple[str, ...] = option("words that are not written", ())
    bad_words_ids: tuple[tuple[int, ...], ...] = option("sequences of token numbers that are not written", ())
    forced_prefix: str = option("what every output starts with", "")
    forced_prefix_ids: tuple[int, ...] = option("numbers of the tokens that every output starts with", ())
    forced_bos_token_id: int | None = option(
        "number of the token before all others of an output, as a language's", None
    )
    forced_eos_token_id: int | None = option(
        "number of the token that ends an output that has no room for more", None
    )

    def __post_init__(self) -> None:
        for name, least in COUNTS.items():
            _check_count(name, getattr(self, name), least)
        for name, (low, high, said) in NUMBERS.items():
            _check_number(name, getattr(self, name), low, high, said)
        if type(self.early_stopping) is not bool and self.early_stopping != "never":
            raise InputError(f"early_stopping is {self.early_stopping!r}; expected True, False or 'never'")
        if type(self.do_sample) is not bool:
            raise InputError(f"do_sample is {self.do_sample!r}; expected True or False")
        for name in ("stop_strings", "bad_words"):
            _check_texts(name, getattr(self, name))
        _check_ids("forced_prefix_ids", self.forced_prefix_ids)
        for sequence in self.bad_words_ids:
            _check_ids("bad_words_ids", sequence)
        if () in self.bad_words_ids:
            raise InputError("bad_words_ids has an empty sequence; leave it out")
        if not isinstance(self.forced_prefix, str):
            raise InputError(f"forced_prefix is {self.forced_prefix!r}; expected a text")
        self._check_together()

    def _check_together(self) -> None:
        """What is possible alone and not together."""
        if self.contrastive and (self.do_sample or self.num_beams > 1):
            raise InputError(
                "penalty_alpha asks for contrastive search, which draws nothing and has no beams; "
                "set do_sample to False and num_beams to 1, or penalty_alpha to 0"
            )
        if self.contrastive and self.top_k < 2:
            raise InputError(
                f"contrastive search weighs the top_k likeliest tokens, and top_k is {self.top_k}; try 4"
            )
        if self.num_beams % self.num_beam_groups:
            raise InputError(
                f"{self.num_beams} beams make no {self.num_beam_groups} groups of one size; "
                "let num_beam_groups divide num_beams"
            )
        if (self.num_beam_groups > 1) != (self.diversity_penalty > 0):
            raise InputError(
                f"num_beam_groups is {self.num_beam_groups} and diversity_penalty {self.diversity_penalty}: groups "
                "differ by the penalty, and the penalty is for groups; give both, such as 2 and 0.5"
            )
        if self.num_beam_groups > 1 and self.do_sample:
            raise InputError("groups of beams draw nothing; set do_sample to False or num_beam_groups to 1")
        if self.prompt_lookup_num_tokens is not None and not self.single:
            raise InputError(f"prompt_lookup_num_tokens reads ahead in one text alone; {ALONE}")
        if self.num_return_sequences > self.num_beams and not (self.do_sample and self.num_beams == 1):
            found = "one output is found" if self.num_beams == 1 else f"{self.num_beams} beams end in as many"
            raise InputError(
                f"num_return_sequences is {self.num_return_sequences}, but {found}; raise num_beams, or draw "
                "with do_sample and one beam"
            )

    @classmethod
    def read(cls, published: Mapping[str, Any], **defaults: Any) -> Self:
        """What a generation_config.json says, in the places of `defaults`; keys of no field are left alone.

        `max_length` and `min_length` are read for pairs: they count the start token there, which is not new.
        Where tokens are drawn, a file that says no `top_k` means 50.
        """
        said = {name: published[name] for name in NAMES if published.get(name) is not None}
        for ours, theirs, least in (
            ("max_new_tokens", "max_length", 1),
            ("min_new_tokens", "min_length", 0),
        ):
            if ours not in said and published.get(theirs):
                said[ours] = max(int(published[theirs]) - 1, least)
        for place in ("forced_bos_token_id", "forced_eos_token_id"):
            if isinstance(said.get(place), list):  # any of them would do
                said[place] = said[place][0]
        if not said.get("temperature", 1.0):  # some say 0 where nothing is drawn
            del said["temperature"]
        if said.get("do_sample") or said.get("num_beams", 1) > 1:
            said.pop("penalty_alpha", None)  # another search was chosen
        if said.get("do_sample") or said.get("penalty_alpha"):
            said.setdefault("top_k", 50)
        return cls(**{**defaults, **{name: _frozen(name, value) for name, value in said.items()}})

    def changed(self, **options: Any) -> Self:
        """The same with some options of a user in place of its own.

        Options of drawing ask for it: whoever gives a temperature need not say `do_sample` too.
        """
        for name in options:
            if name not in NAMES:
                near = HINTS.get(name) or difflib.get_close_matches(name, NAMES, n=1, cutoff=0.6)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
                raise InputError(f"there is no option {name!r}; {hint}")
        given = {name: _frozen(name, value) for name, value in options.items()}
        drawing = [name for name in DRAWING if name in given]
        if given.get("penalty_alpha", self.penalty_alpha) and "top_k" in drawing:
            drawing.remove("top_k")  # contrastive search has one as well
        if drawing and given.get("do_sample") is False:
            raise InputError(f"{drawing[0]} is for drawing, and do_sample is False; leave one of the two out")
        return replace(self, **{**({"do_sample": True} if drawing else {}), **given})

    @property
    def contrastive(self) -> bool:
        """Whether candidates are weighed by how like they are to what was written."""
        return self.penalty_alpha > 0

    @property
    def single(self) -> bool:
        """Whether an input has one row all the way, so that it may be read ahead."""
        return self.num_beams == self.num_return_sequences == 1 and not self.contrastive

    @property
    def by_agreement(self) -> bool:
        """Whether the answer is what all hypotheses agree with most; with one beam there is only one."""
        return self.agreement_power > 0 and self.num_beams > 1

    @property
    def rows(self) -> int:
        """How many rows of a batch each input takes."""
        return self.top_k if self.contrastive else max(self.num_beams, self.num_return_sequences)

    @property
    def streamed(self) -> Self:
        """The same with one output and without beams, which agree only at the end: tokens are seen as they come."""
        alone = {name: DEFAULTS[name] for name in ("num_beams", "num_beam_groups", "diversity_penalty")}
        return replace(self, num_return_sequences=1, **alone)

    @property
    def constrained(self) -> bool:
        """Whether more than likelihood decides what may be written."""
        return any(getattr(self, name) != default for name, default in RULES.items())

    def publish(self) -> dict[str, Any]:
        """The same as a generation_config.json says it."""
        said = {name: getattr(self, name) for name in NAMES}
        shown = {
            name: [list(part) if isinstance(part, tuple) else part for part in value]
            if isinstance(value, tuple)
            else value
            for name, value in said.items()
            if value is not None and (name in ALWAYS or value != DEFAULTS[name])
        }
        return {**shown, "top_k": self.top_k} if self.do_sample or self.contrastive else shown


ALONE = "set num_beams and num_return_sequences to 1, and penalty_alpha to 0"
DEFAULTS: Mapping[str, Any] = {each.name: each.default for each in fields(Decoding)}
NAMES = tuple(DEFAULTS)
OURS = (  # not `generate`'s
    "agreement_power",
    "beyond_source",
    "seed",
    "bad_words",
    "forced_prefix",
    "forced_prefix_ids",
)
ALWAYS = ("num_beams", "length_penalty", "early_stopping", "max_new_tokens", "num_return_sequences")
DRAWING = ("temperature", "top_k", "top_p", "min_p", "typical_p")
HINTS = {  # what other libraries, or `generate` long ago, call it
    "max_length": ("max_new_tokens",),
    "max_tokens": ("max_new_tokens",),
    "min_length": ("min_new_tokens",),
    "beams": ("num_beams",),
    "beam_size": ("num_beams",),
    "mbr": ("agreement_power",),
    "minimum_bayes_risk": ("agreement_power",),
    "n": ("num_return_sequences",),
    "stop": ("stop_strings",),
    "prefix": ("forced_prefix",),
}
RULES: Mapping[str, Any] = {
    name: DEFAULTS[name]
    for name in (
        "min_new_tokens",
        "repetition_penalty",
        "no_repeat_ngram_size",
        "bad_words_ids",
        "forced_prefix_ids",
        "forced_bos_token_id",
        "forced_eos_token_id",
    )
}
COUNTS = {  # the least each may be; what may be None may be
    "num_beams": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
    "max_new_tokens": 1,
    "beyond_source": 0,
    "min_new_tokens": 0,
    "top_k": 0,
    "prompt_lookup_num_tokens": 1,
    "num_assistant_tokens": 1,
    "no_repeat_ngram_size": 0,
    "seed": 0,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 0,
}
MAY_BE_NONE = (
    "max_new_tokens",
    "beyond_source",
    "seed",
    "prompt_lookup_num_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
NUMBERS = {  # the range each stays in, in numbers and in words
    "diversity_penalty": (0.0, math.inf, "a number of 0 or more"),
    "length_penalty": (-math.inf, math.inf, "a number, such as 1.0"),
    "agreement_power": (0.0, math.inf, "a number of 0 or more, such as 0.5"),
    "temperature": (
        math.ulp(0.0),
        math.inf,
        "a number above 0: for the likeliest token every time, leave do_sample out",
    ),
    "top_p": (math.ulp(0.0), 1.0, "a share above 0, at most 1"),
    "min_p": (0.0, 1.0, "a share from 0 to 1"),
    "typical_p": (math.ulp(0.0), 1.0, "a share above 0, at most 1"),
    "penalty_alpha": (0.0, 1.0, "a share from 0 to 1"),
    "repetition_penalty": (math.ulp(0.0), math.inf, "a number above 0; 1.0 changes nothing"),
}


def _check_count(name: str, value: object, least: int) -> None:
    if value is None and name in MAY_BE_NONE:
        return
    if type(value) is not int or value < least:
        raise InputError(f"{name} is {value!r}; expected a whole number of {least} or more")


def _check_number(name: str, value: Any, low: float, high: float, said: str) -> None:
    if type(value) not in (int, float) or not (low <= value <= high and math.isfinite(value)):
        raise InputError(f"{name} is {value!r}; expected {said}")


def _check_texts(name: str, value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(text, str) and text for text in value):
        raise InputError(f"{name} is {value!r}; expected texts, none of them empty")


def _check_ids(name: str, value: object) -> None:
    if not isinstance(value, tuple) or not all(type(token) is int and token >= 0 for token in value):
        raise InputError(f"{name} has {value!r}; expected a sequence of token numbers")


def _frozen(name: str, value: Any) -> Any:
    """A value as its field holds it: lists as tuples, and one text where several may stand as the only one."""
    if name in ("stop_strings", "bad_words") and isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(tuple(part) if isinstance(part, list) else part for part in value)
    return value
