"""How a text became ids, step by step: normalized, cut into words, each word into pieces of the vocabulary.

The `tokenizers` library does the work everywhere else; here its models are walked in Python so that each decision can
be seen, and what comes out is compared with what the library says.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import PreTokenizedString
from tokenizers import Tokenizer as Backend

from glassformer.glass.plain import as_plain
from glassformer.text.pieces import MODELS, Pieces, Step


@dataclass(frozen=True, kw_only=True)
class WordCut:
    """A word as the vocabulary sees it, where it stands in the text, and how it was cut."""

    word: str
    start: int
    end: int
    steps: tuple[Step, ...]  # the last holds the pieces
    tokens: tuple[str, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of a text between tokens that are found whole; or such a token, which is neither normalized nor cut."""

    text: str
    normalized: str
    whole: bool
    words: tuple[WordCut, ...]


@dataclass(frozen=True, kw_only=True)
class Tokenization:
    """A text on its way to ids; `framed` are the tokens with those that frame it, as a model reads them."""

    text: str
    kind: str  # BPE, WordPiece, Unigram or WordLevel
    stretches: tuple[Stretch, ...]
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    framed: tuple[str, ...]
    framed_ids: tuple[int, ...]
    library: tuple[int, ...]  # what the `tokenizers` library makes of the text, without a frame

    @property
    def agrees(self) -> bool:
        """Whether these steps come to what the library says."""
        return self.ids == self.library

    @property
    def words(self) -> Iterator[WordCut]:
        """The words of all stretches, in order."""
        return (word for stretch in self.stretches for word in stretch.words)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**as_plain(self), "agrees": self.agrees}

    def lines(self) -> Iterator[str]:
        """Every step in words."""
        yield f"text        {self.text!r}"
        for stretch in self.stretches:
            if stretch.whole:
                yield f"whole       {stretch.text!r} is a token of its own: {stretch.words[0].ids[0]}"
                continue
            if stretch.normalized != stretch.text:
                yield f"normalized  {stretch.normalized!r}"
            yield f"words       {' | '.join(word.word for word in stretch.words)}"
            for word in stretch.words:
                yield from told(word)
        yield f"ids         {' '.join(f'{token}={id}' for token, id in zip(self.tokens, self.ids, strict=True))}"
        if self.framed != self.tokens:
            yield f"framed      {' '.join(self.framed)}"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def told(word: WordCut) -> Iterator[str]:
    """A word's steps, a line each."""
    if len(word.steps) == 1:
        yield f"  {word.word}: {word.steps[0].says}"
        return
    yield f"  {word.word}"
    wide = max(len(" ".join(step.pieces)) for step in word.steps)
    for step in word.steps:
        yield f"    {' '.join(step.pieces):{wide}}   {step.says}"


class Cutter:
    """Walks texts through one vocabulary."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        model: dict[str, Any] = json.loads(backend.to_str())["model"]
        self.kind = str(model.get("type") or "BPE")
        self.pieces: Pieces = MODELS[self.kind](model)
        self.vocabulary: Mapping[str, int] = backend.get_vocab()
        added = backend.get_added_tokens_decoder()
        self.raw = {token.content: token for token in added.values() if not token.normalized}
        self.later = {self._normalized(t.content): t for t in added.values() if t.normalized}

    def cut(self, text: str) -> Tokenization:
        """One text, from its characters to ids."""
        stretches = tuple(self._stretches(text))
        words = [word for stretch in stretches for word in stretch.words]
        framed = self.backend.encode(text)
        return Tokenization(
            text=text,
            kind=self.kind,
            stretches=stretches,
            tokens=tuple(token for word in words for token in word.tokens),
            ids=tuple(id for word in words for id in word.ids),
            framed=tuple(framed.tokens),
            framed_ids=tuple(framed.ids),
            library=tuple(self.backend.encode(text, add_special_tokens=False).ids),
        )

    def _stretches(self, text: str) -> Iterator[Stretch]:
        for token, start, end in found_whole(text, self.raw):
            if token is not None:
                yield self._whole(text[start:end], token, start, end)
                continue
            normalized = self._normalized_part(text, start, end)
            for later, first, last in found_whole(normalized, self.later):
                if later is not None:
                    yield self._whole(normalized[first:last], self.later[later].content, start, end)
                else:
                    yield self._part(text, (start, end), normalized, (first, last))

    def _whole(self, seen: str, token: str, start: int, end: int) -> Stretch:
        id = self.vocabulary[token]
        step = Step(pieces=(token,), says="a token of its own", rank=None, score=None)
        word = WordCut(word=token, start=start, end=end, steps=(step,), tokens=(token,), ids=(id,))
        return Stretch(text=seen, normalized=seen, whole=True, words=(word,))

    def _part(self, text: str, place: tuple[int, int], normalized: str, within: tuple[int, int]) -> Stretch:
        split = PreTokenizedString(text)
        split.split(lambda _, whole: [whole[slice(*place)]])
        self._normalize(split)
        if within != (0, len(normalized)):
            split.split(lambda _, whole: [whole[slice(*within)]])
        if self.backend.pre_tokenizer is not None:
            self.backend.pre_tokenizer.pre_tokenize(split)
        words = tuple(self._word(word, *offsets) for word, offsets, _ in split.get_splits("original", "char"))
        return Stretch(
            text=text[slice(*place)], normalized=normalized[slice(*within)], whole=False, words=words
        )

    def _word(self, word: str, start: int, end: int) -> WordCut:
        steps = tuple(self.pieces.steps(word))
        tokens = steps[-1].pieces
        ids = tuple(self.vocabulary[token] for token in self.pieces.tokens(tokens))
        names = tuple(str(self.backend.id_to_token(id)) for id in ids)
        return WordCut(word=word, start=start, end=end, steps=steps, tokens=names, ids=ids)

    def _normalize(self, split: PreTokenizedString) -> None:
        if self.backend.normalizer is not None:
            split.normalize(self.backend.normalizer.normalize)

    def _normalized_part(self, text: str, start: int, end: int) -> str:
        """A stretch normalized where it stands: some normalizers treat the beginning of a text otherwise."""
        split = PreTokenizedString(text)
        split.split(lambda _, whole: [whole[start:end]])
        self._normalize(split)
        return "".join(part for part, _, _ in split.get_splits("normalized", "char"))

    def _normalized(self, text: str) -> str:
        normalizer = self.backend.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))


Found = tuple[str | None, int, int]


def found_whole(text: str, tokens: Mapping[str, Any]) -> Iterator[Found]:
    """A text in stretches: (token, start, end) where one stands whole, (None, start, end) between."""
    done = place = 0
    by_length = sorted((token for token in tokens if token), key=len, reverse=True)
    while place < len(text):
        token = next((each for each in by_length if text.startswith(each, place)), None)
        if token is None or not bounded(text, place, place + len(token), tokens[token]):
            place += 1 if token is None else len(token)
            continue
        start, end = place, place + len(token)
        if tokens[token].lstrip:
            start = max(done, len(text[:start].rstrip()))
        if tokens[token].rstrip:
            end += len(text[end:]) - len(text[end:].lstrip())
        if done < start:
            yield None, done, start
        yield token, start, end
        done = place = end
    if done < len(text):
        yield None, done, len(text)


def bounded(text: str, start: int, end: int, token: Any) -> bool:
    """Whether a token that is to be a word by itself stands as one."""
    if not token.single_word:
        return True
    return not (text[:start][-1:] and word_like(text[start - 1])) and not (
        text[end:] and word_like(text[end])
    )


def word_like(character: str) -> bool:
    """Whether a character is part of a word."""
    return character.isalnum() or character == "_"


