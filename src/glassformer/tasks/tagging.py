"""Tagging: a text in, the names in it out, each with its kind and the characters it stands at."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import Any, Literal

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.conclusion.entities import Name, Tagged, TokenLabels, WordLabel
from glassformer.glass.views import Displayed
from glassformer.model import Transformer
from glassformer.tasks.reading import encoded, in_order, read, run_of, single, window_of
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Encoding, Tokenizer
from glassformer.text.windows import Window, windows
from glassformer.text.words import Word, characters, words

OUTSIDE = "O"
Aggregation = Literal["first", "mean", "simple"]
AGGREGATIONS = ("first", "mean", "simple")
STARTS, ENDS, INSIDE = "BSU", "ESL", "IM"  # of IOB1, IOB2, BIOES, BILOU, BMES


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A token, where its characters stand, and its likeliest label."""

    token: str
    start: int
    end: int
    label: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A name, its kind, where its characters stand, and how likely its words' labels are in the mean."""

    type: str
    text: str
    start: int
    end: int
    probability: float

    def __str__(self) -> str:
        return f"{self.type} {self.text!r} ({self.probability:.1%})"


@dataclass(frozen=True, kw_only=True)
class Entities(Displayed):
    """The names in a text, and the tag of each of its tokens; as a string the text with its names in brackets."""

    text: str
    entities: tuple[Entity, ...]
    tags: tuple[Tag, ...]

    def __str__(self) -> str:
        return "".join(f"[{kind} {piece}]" if kind else piece for piece, kind in self.pieces())

    def pieces(self) -> Iterator[tuple[str, str | None]]:
        """The whole text, piece by piece: (characters, kind of the entity that they are, or None)."""
        done = 0
        for entity in self.entities:
            if entity.start > done:
                yield self.text[done : entity.start], None
            yield entity.text, entity.type
            done = entity.end
        if done < len(self.text):
            yield self.text[done:], None


class Scheme:
    """What a model's labels say of where an entity begins and ends.

    Read as they are meant in IOB1, IOB2 (BIO), BIOES and BILOU, and leniently: an inside without a beginning begins.
    Labels without such marks are kinds, and what stands side by side under one kind is one entity. Ramshaw and Marcus
    1995; Tjong Kim Sang and Veenstra 1999.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.marked = any(label[:2] in ("B-", "I-") for label in labels)

    def read(self, label: str) -> tuple[str, str]:
        """A label's mark and its kind; a label without one goes on with what is of its kind."""
        mark, dash, kind = label.partition("-")
        if self.marked and dash and len(mark) == 1 and mark in STARTS + ENDS + INSIDE:
            return mark, kind
        return "I", label

    def spans(self, labels: Sequence[str]) -> list[tuple[str, int, int]]:
        """(kind, number of the first word, number behind the last) of each entity."""
        found: list[tuple[str, int, int]] = []
        open_kind = None  # of the entity that the next word may belong to
        for number, label in enumerate(labels):
            mark, kind = self.read(label)
            if label == OUTSIDE:
                open_kind = None
                continue
            if kind == open_kind and mark not in STARTS:
                found[-1] = (kind, found[-1][1], number + 1)
            else:
                found.append((kind, number, number + 1))
            open_kind = None if mark in ENDS else kind
        return found


class Tagging:
    """Devlin et al. 2019, section 5.3: a word's first token decides its label.

    With `capitals` the encoder is told which tokens begin with a capital letter, as segment 1: where the vocabulary is
    of small letters alone, it would not know. Collobert et al. 2011 ("Natural language processing (almost) from
    scratch") tell their nets of capitals beside words of small letters too.
    """

    def __init__(self, tokenizer: Tokenizer, labels: Sequence[str], *, capitals: bool = False) -> None:
        self.tokenizer, self.labels, self.capitals = tokenizer, tuple(labels), capitals
        self.scheme = Scheme(labels)
        read = [self.scheme.read(label)[1] for label in labels if label != OUTSIDE]
        self.kinds = tuple(dict.fromkeys(read))  # of entities, in the labels' order

    @classmethod
    def published(cls, tokenizer: Tokenizer, labels: Sequence[str], raw: Mapping[str, Any]) -> "Tagging":
        """As config.json says."""
        return cls(tokenizer, labels, capitals=raw.get("capitals") is True)

    def encoded(self, texts: Sequence[str]) -> list[Encoding]:
        """Texts as tokens, and what the encoder is told of each. None may be empty."""
        return self.told(texts, encoded(self.tokenizer, texts, None))

    def told(self, texts: Sequence[str], encodings: list[Encoding]) -> list[Encoding]:
        """Tokens, and which of them begin with a capital."""
        if not self.capitals:
            return encodings
        return [capitalized(encoding, text) for encoding, text in zip(encodings, texts, strict=True)]

    def answer(
        self,
        model: Transformer,
        texts: Sequence[Text],
        *,
        aggregation: Aggregation = "first",
        window: int | None = None,
        stride: int | None = None,
    ) -> list[Entities]:
        """The names in each text. No text is too long: it is read in windows that overlap.

        A word's label is that of its first token ("first"), or the likeliest in the mean of its tokens ("mean");
        or each token stands for itself ("simple").
        """
        if aggregation not in AGGREGATIONS:
            raise InputError(f"aggregation is {aggregation!r}; expected one of {', '.join(AGGREGATIONS)}")
        plain = [single(text, "names are found in") for text in texts]
        encodings = self.encoded(plain)
        found = self.probabilities(model, encodings, plain, window, stride)
        return [
            self.entities(text, encoding, rows, aggregation)
            for text, encoding, rows in zip(plain, encodings, found, strict=True)
        ]

    def words(self, model: Transformer, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """A label for each word of sentences that are cut into words already, for evaluation."""
        texts, starts = zip(*map(joined, sentences), strict=True) if sentences else ((), ())
        encodings = self.told(texts, self.tokenizer.encode_batch(texts))
        found = self.probabilities(model, encodings, texts, None, None)
        missing = OUTSIDE if OUTSIDE in self.labels else self.labels[0]  # for a word that has no token
        labelled = []
        for text, begins, encoding, rows in zip(texts, starts, encodings, found, strict=True):
            first = firsts(text, begins, encoding)
            best = rows.argmax(-1).tolist() if len(rows) else []
            before = encoding.places(0)[0] if best else 0
            labelled.append([missing if at is None else self.labels[best[at - before]] for at in first])
        return labelled

    def probabilities(
        self,
        model: Transformer,
        encodings: Sequence[Encoding],
        texts: Sequence[str],
        window: int | None,
        stride: int | None,
    ) -> list[Tensor]:
        """How likely each label is for each of a text's own tokens, T L: read where most stands on both sides."""
        length = window_of(model.config, window)
        lots = [windows(encoding, length, stride) for encoding in encodings]
        flat = [one for lot in lots for one in lot]
        rows = iter(in_order(read(model, self.tokenizer, [one.encoding for one in flat]), len(flat)))
        found = []
        for text, encoding, lot in zip(texts, encodings, lots, strict=True):
            pieces = [next(rows)[places] for places in read_places(text, encoding, lot)]
            found.append(torch.cat(pieces).softmax(-1))
        return found

    def entities(self, text: str, encoding: Encoding, rows: Tensor, aggregation: Aggregation) -> Entities:
        """The answer of one text, from how likely each label is for each of its tokens, T L."""
        places = encoding.places(0)
        tokens = list(characters(text, encoding.offsets, places))
        tags = tuple(
            Tag(token=encoding.tokens[place], start=start, end=end, label=label, probability=probability)
            for (place, start, end), (label, probability) in zip(
                tokens, self.best(rows[[place - places[0] for place, _, _ in tokens]]), strict=True
            )
        )
        units = self.units(text, encoding, aggregation)
        labelled = self.best(of_words(units, rows, places[0] if places else 0, aggregation))
        entities = []
        for kind, first, behind in self.scheme.spans([label for label, _ in labelled]):
            start, end = units[first].start, units[behind - 1].end
            sure = fmean(probability for _, probability in labelled[first:behind])
            entities.append(Entity(type=kind, text=text[start:end], start=start, end=end, probability=sure))
        return Entities(text=text, entities=tuple(entities), tags=tags)

    def units(self, text: str, encoding: Encoding, aggregation: Aggregation) -> list[Word]:
        """What is given a label: words, or each token alone."""
        places = encoding.places(0)
        if aggregation == "simple":
            return [Word(start, end, (at,)) for at, start, end in characters(text, encoding.offsets, places)]
        return words(text, encoding.offsets, places)

    def best(self, rows: Tensor) -> list[tuple[str, float]]:
        """The likeliest label of each row."""
        likeliest = rows.max(-1)
        numbers: list[int] = likeliest.indices.tolist()
        return list(zip([self.labels[number] for number in numbers], likeliest.values.tolist(), strict=True))

    def check(self, model: Transformer, texts: Sequence[Text], **options: object) -> None:
        """Refuse what `answer` would, before anything is computed: pairs, for no text is too long."""
        for text in texts:
            single(text, "names are found in")

    def run(self, model: Transformer, text: Text, **options: Any) -> Run:
        """The run that tags this text; of a long one that of its first window."""
        return self.runs(model, text, **options)[0]

    def runs(
        self,
        model: Transformer,
        text: Text,
        *,
        aggregation: Aggregation = "first",
        window: int | None = None,
        stride: int | None = None,
    ) -> list[Run]:
        """The runs of all windows of a text."""
        plain, options = single(text, "names are found in"), {"window": window, "stride": stride}
        (answer,) = self.answer(model, [plain], aggregation=aggregation, **options)
        (encoding,) = self.encoded([plain])
        (rows,) = self.probabilities(model, [encoding], [plain], window, stride)
        lot = windows(encoding, window_of(model.config, window), stride)
        places = [
            (number, place)
            for number, of_window in enumerate(read_places(plain, encoding, lot))
            for place in of_window
        ]
        made = self.concluded(answer, encoding, rows, places, aggregation, len(lot))
        runs = [run_of(model, self.tokenizer, one.encoding, str(answer)) for one in lot]
        return [replace(run, conclusion=replace(made, window=number)) for number, run in enumerate(runs)]

    def concluded(
        self,
        answer: Entities,
        encoding: Encoding,
        rows: Tensor,
        places: Sequence[tuple[int, int]],
        aggregation: Aggregation,
        count: int,
    ) -> Tagged:
        """How the names follow from the labels of the tokens; `places` are (window, place in it) of each token."""
        own, text = encoding.places(0), answer.text
        before = own[0] if own else 0
        spelt = list(characters(text, encoding.offsets, own))
        number_of = {place: number for number, (place, _, _) in enumerate(spelt)}
        units = self.units(text, encoding, aggregation)
        labelled = self.best(of_words(units, rows, before, aggregation))
        spans = self.scheme.spans([label for label, _ in labelled])
        return Tagged(
            labels=self.labels,
            aggregation=aggregation,
            window=0,
            windows=count,
            tokens=tuple(
                TokenLabels(
                    token=encoding.tokens[place],
                    start=start,
                    end=end,
                    window=places[place - before][0],
                    place=places[place - before][1],
                    probabilities=tuple(rows[place - before].tolist()),
                )
                for place, start, end in spelt
            ),
            words=tuple(
                WordLabel(
                    text=text[unit.start : unit.end],
                    start=unit.start,
                    end=unit.end,
                    tokens=tuple(number_of[place] for place in unit.places),
                    label=label,
                    probability=probability,
                )
                for unit, (label, probability) in zip(units, labelled, strict=True)
            ),
            names=tuple(
                Name(type=kind, text=one.text, first=first, behind=behind, probability=one.probability)
                for (kind, first, behind), one in zip(spans, answer.entities, strict=True)
            ),
        )


def capitalized(encoding: Encoding, text: str) -> Encoding:
    """Segment 1 for each of a text's tokens that begins with a capital letter."""
    begins = [text[start:end].lstrip()[:1] for start, end in encoding.offsets]
    return replace(encoding, segments=[int(letter.isupper()) for letter in begins])


def joined(sentence: Sequence[str]) -> tuple[str, list[int]]:
    """Words as one text, and where each begins in it."""
    starts, at = [], 0
    for word in sentence:
        starts.append(at)
        at += len(word) + 1
    return " ".join(sentence), starts


def firsts(text: str, starts: Sequence[int], encoding: Encoding) -> list[int | None]:
    """The place of the first token of each of a text's words, which begin at `starts`; None: it has none."""
    found: list[int | None] = [None] * len(starts)
    for place, start, _ in characters(text, encoding.offsets, encoding.places(0)):
        number = bisect_right(starts, start) - 1
        if found[number] is None:
            found[number] = place
    return found


def of_words(units: Sequence[Word], rows: Tensor, before: int, aggregation: Aggregation) -> Tensor:
    """How likely each label is for each word, W L; of the tokens' rows the first is that of place `before`."""
    if aggregation == "mean" and units:
        return torch.stack([rows[[place - before for place in word.places]].mean(0) for word in units])
    return rows[[word.places[0] - before for word in units]]


def word_begins(text: str, encoding: Encoding) -> set[int]:
    """Which of a text's tokens, counted from its first, begin a word."""
    places = encoding.places(0)
    return {word.places[0] - places[0] for word in words(text, encoding.offsets, places)}


def read_places(text: str, encoding: Encoding, lot: Sequence[Window]) -> Iterator[list[int]]:
    """Window by window, the places in it of the tokens that are read there."""
    begins = word_begins(text, encoding) if len(lot) > 1 else set()
    for one, (cut, following) in zip(lot, pairwise(boundaries(lot, begins)), strict=True):
        yield [one.places[token - one.first] for token in range(cut, following)]


def boundaries(lot: Sequence[Window], begins: set[int]) -> list[int]:
    """The token at which each window takes over, then the end: amid the overlap, where a word begins if one does."""
    cuts = [0]
    for one, following in pairwise(lot):
        amid = (following.first + one.last) // 2
        overlap = range(max(cuts[-1], following.first), one.last)
        near = sorted(begins.intersection(overlap), key=lambda token: (abs(token - amid), token))
        cuts.append(near[0] if near else max(cuts[-1], amid))
    return [*cuts, lot[-1].last]
