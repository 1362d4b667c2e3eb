"""Translation: a text in one language in, the same in another out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from glassformer.config import TransformerConfig
from glassformer.data.batch import IGNORE, Batch, pad
from glassformer.data.examples import Pair
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidates, Hypothesis, Token
from glassformer.decoding.search import search, stream
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.tasks.task import Run, Text
from glassformer.text.languages import Languages
from glassformer.text.tokenizer import Tokenizer

DECODING = Decoding(num_beams=5, beyond_source=50)  # Vaswani et al. 2017, section 6.1, with one beam more
GREEDY = Decoding(beyond_source=50)
UNBOUNDED = ("relative", "none")  # positions that never end


@dataclass(frozen=True, kw_only=True)
class TranslationAnswer:
    """A translation; as a string it is its text."""

    text: str
    score: float  # the summed log-probability of its tokens, divided by length ** length_penalty
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]  # one a token
    complete: bool  # False: cut off because no more tokens were allowed
    others: tuple["TranslationAnswer", ...] = ()  # the next best ones, if they were asked for

    def __str__(self) -> str:
        return self.text


class Translation:
    """Encodes sources, searches for their translations with a model, decodes them.

    An answer begins with the token `start` (by default the tokenizer's <bos>) and is closed by one of `ends`
    (its <eos>). Without a `source_tokenizer` both languages share one. `decoding` holds for every call that
    brings none of its own. A model of many languages is told which: `source_language`, `target_language`.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        source_tokenizer: Tokenizer | None = None,
        *,
        start: int | None = None,
        ends: Iterable[int] | None = None,
        decoding: Decoding = DECODING,
    ) -> None:
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer or tokenizer
        self.decoding = decoding
        self.start = _known(tokenizer.bos_id if start is None else start, "start", "<bos>")
        self.ends = tuple(ends or (_known(tokenizer.eos_id, "close", "<eos>"),))
        self.pad = tokenizer.pad_id if tokenizer.pad_id is not None else self.ends[0]
        source_pad = self.source_tokenizer.pad_id
        self.source_pad = source_pad if source_pad is not None else 0
        self.languages = Languages.of(self.source_tokenizer)
        self.source_language: int | None = None  # their tokens
        self.target_language: int | None = None

    @classmethod
    def published(
        cls,
        tokenizer: Tokenizer,
        source_tokenizer: Tokenizer | None,
        generation: Mapping[str, Any],
        raw: Mapping[str, Any],
    ) -> Self:
        """As a checkpoint's generation_config.json says, or, where it has none, its config.json."""
        said = generation or raw
        start = generation.get("decoder_start_token_id", raw.get("decoder_start_token_id"))
        ends = generation.get("eos_token_id", raw.get("eos_token_id"))
        bound = {} if said.get("max_length") else {"beyond_source": DECODING.beyond_source}
        return cls(
            tokenizer,
            source_tokenizer,
            start=start,
            ends=[ends] if isinstance(ends, int) else ends,
            decoding=Decoding.read(said, **bound),
        )

    def between(self, source_language: str | None = None, target_language: str | None = None) -> Self:
        """The same task from one language, or into another."""
        task = copy(self)
        if source_language is not None:
            if self.languages.place == "announced":
                raise InputError(
                    "this model sees by itself what language a text is in; name target_language alone"
                )
            task.source_language = self.languages.id(source_language)
        if target_language is not None:
            task.target_language = self.languages.id(target_language)
            if self.languages.place == "after":
                task.start = task.target_language
        return task

    def decided(self, decoding: Decoding | None) -> Decoding:
        """How to search, the token that the target's language puts first included."""
        decoding = decoding or self.decoding
        if self.languages.place != "before":
            return decoding
        asked = (self.target_language, decoding.forced_bos_token_id, self.decoding.forced_bos_token_id)
        first = next((token for token in asked if token is not None), None)
        if first is None:
            known = ", ".join(sorted(self.languages.ids))
            raise InputError(f"this model writes many languages; name target_language, one of {known}")
        return replace(decoding, forced_bos_token_id=first)

    def batch(self, pairs: Sequence[Pair]) -> Batch:
        """Sources and targets to learn from: target is <bos> + ids, labels are ids + <eos>."""
        source, source_mask = pad(self.source_tokenizer.ids([pair.source for pair in pairs]), self.source_pad)
        written = self.tokenizer.ids([pair.target for pair in pairs], special=False)
        target, target_mask = pad([[self.start, *ids] for ids in written], self.pad)
        labels, _ = pad([[*ids, self.ends[0]] for ids in written], IGNORE)
        return Batch(
            source=source, source_mask=source_mask, target=target, target_mask=target_mask, labels=labels
        )

    def question(self, sources: Sequence[Sequence[int]]) -> Batch:
        """Encoded sources, and the start of their translations."""
        source, mask = pad(sources, self.source_pad)
        return Batch(source=source, source_mask=mask, target=torch.full((len(sources), 1), self.start))

    def sources(self, texts: Sequence[str], config: TransformerConfig) -> list[list[int]]:
        """The ids of each source; an empty text and one longer than the model are refused."""
        for number, text in enumerate(texts, start=1):
            if not text.strip():
                which = f"text {number} of {len(texts)}" if len(texts) > 1 else "the text"
                raise InputError(f"{which} is empty; give at least one word to translate")
        encoded = [
            self.languages.framed(ids, self.source_language, self.target_language)
            for ids in self.source_tokenizer.ids(texts)
        ]
        limit = config.max_positions
        for text, ids in zip(texts, encoded, strict=True):
            if len(ids) > limit and config.positions not in UNBOUNDED:
                raise InputError(
                    f"the text {text[:30]!r}... has {len(ids)} tokens, but this model has {limit} positions; "
                    "shorten the text or split it"
                )
        return encoded

    def translate(
        self,
        model: Transformer,
        texts: Sequence[str],
        decoding: Decoding | None = None,
        *,
        tokens: int = 8192,
    ) -> list[TranslationAnswer]:
        """The translation of every text, in order; `tokens` bounds what a batch reads at once."""
        found = dict(self.each(model, texts, decoding, tokens=tokens))
        return [found[number] for number in range(len(texts))]

    def each(
        self,
        model: Transformer,
        texts: Sequence[str],
        decoding: Decoding | None = None,
        *,
        tokens: int = 8192,
    ) -> Iterator[tuple[int, TranslationAnswer]]:
        """(number of the text, translation) as they are found, short texts first."""
        decoding = self.decided(decoding)
        encoded = self.sources(texts, model.config)
        device = model.tokens.weight.device
        for numbers in batches([len(ids) for ids in encoded], tokens // decoding.num_beams):
            batch = self.question([encoded[number] for number in numbers]).to(device)
            found = search(model, batch, decoding, ends=self.ends)
            yield from zip(numbers, map(self.told, found), strict=True)

    def stream(
        self, model: Transformer, text: str, decoding: Decoding = GREEDY, *, alternatives: int = 0
    ) -> Iterator[Token]:
        """Every token of a greedy translation as soon as it is chosen."""
        question = self._one(model, text)
        return stream(model, question, self.decided(decoding), ends=self.ends, alternatives=alternatives)

    def tree(
        self, model: Transformer, text: str, decoding: Decoding | None = None
    ) -> tuple[TranslationAnswer, list[Candidates]]:
        """A translation, and all that its beam search weighed, step by step."""
        history: list[Candidates] = []
        found = search(model, self._one(model, text), self.decided(decoding), ends=self.ends, history=history)
        return self.told(found[0]), history

    def told(self, hypotheses: Sequence[Hypothesis]) -> TranslationAnswer:
        """The best hypothesis as text, the others beside it."""
        best, *others = (
            TranslationAnswer(
                text=self.tokenizer.decode(one.ids),
                score=one.score,
                ids=one.ids,
                tokens=tuple(map(self.tokenizer.token, one.ids)),
                log_probabilities=one.log_probabilities,
                complete=one.closed,
            )
            for one in hypotheses
        )
        return replace(best, others=tuple(others)) if others else best

    def answer(
        self,
        model: Transformer,
        texts: Sequence[Text],
        decoding: Decoding | None = None,
        *,
        source_language: str | None = None,
        target_language: str | None = None,
    ) -> list[TranslationAnswer]:
        """`translate`, as every task calls it."""
        task = self.between(source_language, target_language)
        return task.translate(model, [_single(text) for text in texts], decoding)

    def run(self, model: Transformer, text: Text) -> Run:
        """The decoder's last run: all positions of the translation, each seeing what stands before it."""
        best = self.answer(model, [text])[0]
        written = [self.start, *best.ids[:-1]]
        source = self.sources([_single(text)], model.config)
        batch = Batch(source=torch.tensor(source), target=torch.tensor([written]))
        tokens = {
            "encoder": [list(map(self.source_tokenizer.token, source[0]))],
            "decoder": [list(map(self.tokenizer.token, written))],
        }
        return Run(batch.to(model.tokens.weight.device), tokens, best.text)

    def _one(self, model: Transformer, text: str) -> Batch:
        return self.question(self.sources([text], model.config)).to(model.tokens.weight.device)


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """The numbers of the items, shortest first, in lots whose count times longest stays within `tokens`."""
    lot: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if lot and (len(lot) + 1) * lengths[number] > tokens:
            yield lot
            lot = []
        lot.append(number)
    if lot:
        yield lot


def _single(text: Text) -> str:
    if not isinstance(text, str):
        raise InputError("a pair of texts was given; a translation is made of one text")
    return text


def _known(token: int | None, what: str, usual: str) -> int:
    if token is None:
        raise InputError(
            f"the tokenizer has no token to {what} a translation ({usual}); train it with one or name another"
        )
    return token
