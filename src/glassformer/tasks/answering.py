"""Question answering: a question and a context in, the span of the context that answers it out."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.conclusion import span as conclusion
from glassformer.glass.conclusion.span import Answered, WindowRead
from glassformer.glass.views import Displayed
from glassformer.model import Transformer
from glassformer.tasks.reading import encoded, in_order, read, run_of, window_of
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Encoding, Tokenizer
from glassformer.text.windows import Window, windows
from glassformer.text.words import words

WINDOW = 384  # tokens, where a model can read as many; Devlin et al. 2019, published with its code
SPARE = 8  # candidates beyond those asked for, since several may be one piece of text
TOLD = 5  # candidates that a run which is looked at tells of
EMPTY = (0, 0)  # of a token without characters of its own, such as one for a second space
Grown = Sequence[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Span(Displayed):
    """The likeliest answer, where its characters stand in the context, and how likely its two ends are together.

    No answer is an empty one: text "", start and end 0. `margin` is how far no answer's log-probability is above that
    of the best answer.
    """

    text: str
    start: int
    end: int
    probability: float
    margin: float
    others: tuple["Span", ...] = ()  # the next best ones, if they were asked for

    def __str__(self) -> str:
        return self.text or "(no answer)"


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a context is searched for an answer.

    A long context is read in windows of `window` tokens, each `stride` tokens further on than the one before. An
    answer has at most `longest` tokens, grown to whole words. `keep` answers are handed back. With `no_answer` the
    context need not hold one: none is given where that is likelier, its log-probability by more than `threshold`
    above that of the best answer.
    """

    window: int | None = None  # None: as many as the model reads, at most 384
    stride: int | None = None  # None: half of what a window has of the context
    longest: int = 30
    keep: int = 1
    no_answer: bool = False
    threshold: float = 0.0

    def __post_init__(self) -> None:
        for name in ("window", "stride", "longest", "keep"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise InputError(f"{name} is {value!r}; expected a whole number of 1 or more")
        if type(self.no_answer) is not bool:
            raise InputError(f"no_answer is {self.no_answer!r}; expected true or false")
        if not isinstance(self.threshold, int | float) or self.threshold != self.threshold:
            raise InputError(f"threshold is {self.threshold!r}; expected a number, such as 0.0")

    def changed(self, **changes: Any) -> "Search":
        """The same but for what is not None."""
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise InputError(f"a search for answers has no {name!r}; it has {', '.join(known)}")
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


@dataclass(frozen=True)
class Place:
    """A candidate: characters start to end of the context, its log-probability, and the window it was found in."""

    start: int
    end: int
    likelihood: float
    window: int


@dataclass(frozen=True)
class Found:
    """What a context holds: candidates, best first, and the log-probability that there is no answer in it."""

    context: str
    places: Sequence[Place]
    nothing: float


class Answering:
    """Devlin et al. 2019, sections 4.2 and 4.3: the first position stands for no answer."""

    def __init__(self, tokenizer: Tokenizer, search: Search | None = None) -> None:
        self.tokenizer, self.search = tokenizer, search or Search()

    @classmethod
    def published(cls, tokenizer: Tokenizer, raw: Mapping[str, Any]) -> "Answering":
        """Whether it may say that there is none, and from when on, stands in config.json if it was trained here."""
        said = {"no_answer": raw.get("no_answer"), "threshold": raw.get("no_answer_threshold")}
        return cls(tokenizer, Search().changed(**said))

    @property
    def no_answer(self) -> bool:
        """Whether it may say that the context holds no answer."""
        return self.search.no_answer

    def answer(self, model: Transformer, texts: Sequence[Text], **changes: Any) -> list[Span]:
        """The answer of each (question, context); `changes` are those of the search."""
        search = self.search.changed(**changes)
        return [told(found, search) for found in self.found(model, texts, search)]

    def found(self, model: Transformer, texts: Sequence[Text], search: Search) -> Iterator[Found]:
        """What each context holds.

        Probabilities are those within a window, over its part of the context and its first position, so that they
        hold whatever a window's logits are shifted by; that the context holds no answer is as likely as in the
        window where it is least so.
        """
        encodings, lots = self.windows(model, texts, search)
        flat = [window for lot in lots for window in lot]
        said = iter(in_order(read(model, self.tokenizer, [one.encoding for one in flat]), len(flat)))
        for text, encoding, lot in zip(texts, encodings, lots, strict=True):
            yield weighed(both(text)[1], encoding, lot, [next(said) for _ in lot], search)

    def windows(
        self, model: Transformer, texts: Sequence[Text], search: Search
    ) -> tuple[list[Encoding], list[list[Window]]]:
        """Each question with its whole context, and the windows that this is read in."""
        encodings = encoded(self.tokenizer, [both(text) for text in texts], None)
        limit = window_of(model.config, search.window)
        length = min(limit or WINDOW, search.window or WINDOW)
        for text, encoding in zip(texts, encodings, strict=True):
            for which, name in enumerate(("question", "context")):
                if not words(text[which], encoding.offsets, encoding.places(which)):
                    raise InputError(f"the {name} has no word that the model knows; give one that has")
        return encodings, [windows(encoding, length, search.stride) for encoding in encodings]

    def check(self, model: Transformer, texts: Sequence[Text], **changes: Any) -> None:
        """Refuse what `answer` would, before anything is computed."""
        self.windows(model, texts, self.search.changed(**changes))

    def run(self, model: Transformer, text: Text, **changes: Any) -> Run:
        """The run that answers this question; of a long context that of the window with the best answer."""
        return next(run for run, best in self._runs(model, text, changes) if best)

    def runs(self, model: Transformer, text: Text, **changes: Any) -> list[Run]:
        """The runs of all windows."""
        return [run for run, _ in self._runs(model, text, changes)]

    def _runs(self, model: Transformer, text: Text, changes: Mapping[str, Any]) -> Iterator[tuple[Run, bool]]:
        """The run of each window, and whether it holds the best answer."""
        search = self.search.changed(**changes)
        (encoding,), (lot,) = self.windows(model, [text], search)
        rows = in_order(read(model, self.tokenizer, [one.encoding for one in lot]), len(lot))
        wide = replace(search, keep=max(search.keep, TOLD))
        found = weighed(both(text)[1], encoding, lot, rows, wide)
        made = concluded(found, encoding, lot, rows, search)
        for number, window in enumerate(lot):
            run = run_of(model, self.tokenizer, window.encoding, str(told(found, search)))
            yield replace(run, conclusion=replace(made, window=number)), number == made.window


def weighed(
    context: str, encoding: Encoding, lot: Sequence[Window], rows: Sequence[Tensor], search: Search
) -> Found:
    """What a context holds, by what was said of each of its windows."""
    grown = edges(context, encoding)
    places: list[Place] = []
    nothing = 0.0
    for number, (window, row) in enumerate(zip(lot, rows, strict=True)):
        start, end, null = likelihoods(row, window)
        places += candidates(start, end, window.first, grown, number, search)
        nothing = min(nothing, null)
    return Found(context, distinct(places)[: search.keep], nothing)


def concluded(
    found: Found, encoding: Encoding, lot: Sequence[Window], rows: Sequence[Tensor], search: Search
) -> Answered:
    """How the answer follows from all windows, told from the window that holds the best."""
    context, answer = found.context, told(found, search)
    grown = edges(context, encoding)

    def named(place: Place) -> conclusion.Place:
        text = context[place.start : place.end]
        return conclusion.Place(
            text=text,
            start=place.start,
            end=place.end,
            log_probability=place.likelihood,
            window=place.window,
        )

    windows_read = []
    for number, (window, row) in enumerate(zip(lot, rows, strict=True)):
        start, end, null = likelihoods(row, window)
        said = row[[0, *window.places]].T.tolist()
        best = candidates(start, end, window.first, grown, number, search)[0]
        windows_read.append(
            WindowRead(
                first=window.first,
                place=window.places[0],
                start_logits=tuple(said[0]),
                end_logits=tuple(said[1]),
                no_answer=null,
                best=named(best),
            )
        )
    return Answered(
        window=found.places[0].window,
        windows=tuple(windows_read),
        words=tuple(grown),
        longest=search.longest,
        candidates=tuple(map(named, found.places)),
        no_answer=found.nothing,
        margin=answer.margin,
        threshold=float(search.threshold),
        may_have_none=search.no_answer,
        answer=answer.text,
        probability=answer.probability,
    )


def told(found: Found, search: Search) -> Span:
    """The best candidate as an answer, the others beside it."""
    margin = found.nothing - found.places[0].likelihood
    spans = [
        span(found.context[one.start : one.end], one.start, one.end, one.likelihood, margin)
        for one in found.places
    ]
    if search.no_answer:
        none = span("", 0, 0, found.nothing, margin)
        if margin > search.threshold:
            spans.insert(0, none)
        else:
            spans = [spans[0], *sorted([*spans[1:], none], key=lambda one: -one.probability)]
    best, *others = spans[: search.keep]
    return replace(best, others=tuple(others))


def span(text: str, start: int, end: int, likelihood: float, margin: float) -> Span:
    """An answer, from its log-probability."""
    return Span(text=text, start=start, end=end, probability=math.exp(likelihood), margin=margin)


def both(text: Text) -> tuple[str, str]:
    """A question and its context."""
    if isinstance(text, str):
        raise InputError("a question alone was given; give the question and the context that answers it")
    return text


def likelihoods(logits: Tensor, window: Window) -> tuple[Tensor, Tensor, float]:
    """Logits T 2 -> log-probabilities that an answer starts, and ends, at each token of the context, and of none.

    They are normalised over these tokens and the first position, which says that there is no answer.
    """
    likely = logits[[0, *window.places]].log_softmax(0)
    return likely[1:, 0], likely[1:, 1], float(likely[0].sum())


def candidates(
    start: Tensor, end: Tensor, first: int, grown: Grown, window: int, search: Search
) -> list[Place]:
    """The likeliest spans of a window, whose tokens are `first`, ... of the context, grown to whole words.

    An answer starts and ends with a token that has characters, and ends neither before it starts nor too far after.
    """
    empty = torch.tensor([grown[first + number] == EMPTY for number in range(len(start))])
    start, end = start.masked_fill(empty, -torch.inf), end.masked_fill(empty, -torch.inf)
    later = torch.nn.functional.pad(end, (0, search.longest - 1), value=-torch.inf).unfold(
        0, search.longest, 1
    )
    together = (start[:, None] + later).flatten()  # start * longest + tokens beyond it
    most = int((together > -torch.inf).sum())
    count = min(search.keep + SPARE, most)
    while True:
        best = together.topk(count)
        places = []
        for likelihood, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            begins, beyond = divmod(place, search.longest)
            ends = grown[first + begins + beyond][1]
            places.append(Place(grown[first + begins][0], ends, likelihood, window))
        found = distinct(places)
        if count == most or len(found) >= search.keep:
            return found
        count = min(2 * count, most)


def edges(context: str, encoding: Encoding) -> Grown:
    """The word that each token of the context stands in, as characters."""
    places = encoding.places(1)
    found = dict.fromkeys(places, EMPTY)
    for word in words(context, encoding.offsets, places):
        found |= dict.fromkeys(word.places, (word.start, word.end))
    return [found[place] for place in places]


def distinct(places: list[Place]) -> list[Place]:
    """Best first, each piece of text once: as likely as where it is likeliest."""
    best: dict[tuple[int, int], Place] = {}
    for place in sorted(places, key=lambda place: -place.likelihood):
        best.setdefault((place.start, place.end), place)
    return list(best.values())
