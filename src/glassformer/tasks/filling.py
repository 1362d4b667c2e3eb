"""Masked words: a text with hidden words in, the likeliest words for each out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.conclusion import words as conclusion
from glassformer.glass.conclusion.words import Candidate, HiddenWord
from glassformer.glass.views import Displayed
from glassformer.model import Transformer
from glassformer.tasks.reading import (
    TOKENS,
    batch_of,
    batches,
    encoded,
    in_order,
    precise,
    run_of,
)
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Encoding, Tokenizer

SHOWN = 5  # candidates for each hidden word


@dataclass(frozen=True, kw_only=True)
class Filled(Displayed):
    """The text with its hidden words filled in, and the candidates for each: (word, probability), best first."""

    text: str
    candidates: tuple[tuple[tuple[str, float], ...], ...]
    ids: tuple[tuple[int, ...], ...] = ()  # the candidates' numbers in the vocabulary

    def __str__(self) -> str:
        return self.text


class Filling:
    """Devlin et al. 2019, section 3.1."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def answer(self, model: Transformer, texts: Sequence[Text], *, top: int = SHOWN) -> list[Filled]:
        """Each text with its hidden words filled in, each by itself; `top` candidates are told of each."""
        if top < 1:
            raise InputError(f"top is {top}; ask for 1 word or more")
        return in_order(self.each(model, self.encoded(model, texts), top), len(texts))

    def encoded(self, model: Transformer, texts: Sequence[Text]) -> list[Encoding]:
        """Each text cut into tokens; one without a hidden word is refused."""
        encodings = encoded(self.tokenizer, texts, model.config.limit)
        if not all(self.hidden(encoding) for encoding in encodings):
            mask = None if self.tokenizer.mask_id is None else self.tokenizer.token(self.tokenizer.mask_id)
            raise InputError(f"no word of the text is hidden; write {mask or 'the mask token'} in its place")
        return encodings

    def check(self, model: Transformer, texts: Sequence[Text], **options: object) -> None:
        """Refuse what `answer` would, before anything is computed."""
        self.encoded(model, texts)

    def hidden(self, encoding: Encoding) -> list[int]:
        """The places of the hidden words."""
        return [place for place, id in enumerate(encoding.ids) if id == self.tokenizer.mask_id]

    @torch.inference_mode()
    def each(
        self, model: Transformer, encodings: Sequence[Encoding], top: int
    ) -> Iterator[tuple[int, Filled]]:
        """The answers as they are found; the vocabulary is scored at hidden words alone."""
        for numbers in batches([len(encoding) for encoding in encodings], TOKENS):
            lot = [encodings[number] for number in numbers]
            batch = batch_of(model, self.tokenizer, lot)
            read = batch.source if batch.target is None else batch.target
            assert read is not None, "a batch has something to read"
            hidden: Tensor = torch.eq(read, self.tokenizer.mask_id or 0)
            rows = model.body(
                batch.source,
                batch.target,
                source_mask=batch.source_mask,
                target_mask=batch.target_mask,
                segments=batch.segments,
            )
            scores = model.scored(rows, hidden)
            found = iter(precise(scores).softmax(-1).cpu())
            for number, encoding in zip(numbers, lot, strict=True):
                yield number, self.fill(encoding, [next(found) for _ in self.hidden(encoding)], top)

    def fill(self, encoding: Encoding, rows: Sequence[Tensor], top: int) -> Filled:
        """The likeliest word at each mask, from how likely each of the vocabulary is there."""
        ids = list(encoding.ids)
        found: list[tuple[tuple[str, float], ...]] = []
        numbers: list[tuple[int, ...]] = []
        for place, row in zip(self.hidden(encoding), rows, strict=True):
            best = row.topk(min(top, len(row)))
            words = [self.tokenizer.decode([id]).strip() for id in best.indices.tolist()]
            found.append(tuple(zip(words, best.values.tolist(), strict=True)))
            numbers.append(tuple(best.indices.tolist()))
            ids[place] = int(best.indices[0])
        text = self.tokenizer.decode(ids)
        return Filled(text=text, candidates=tuple(found), ids=tuple(numbers))

    def run(self, model: Transformer, text: Text, *, top: int = SHOWN) -> Run:
        """The one run that reads this text; a text without hidden words can be looked at too."""
        (encoding,) = encoded(self.tokenizer, [text], model.config.limit)
        seen, places = run_of(model, self.tokenizer, encoding, ""), self.hidden(encoding)
        if not places:
            return seen
        (answer,) = self.answer(model, [text], top=top)
        return replace(seen, answer=str(answer), conclusion=concluded(places, answer))


def concluded(places: Sequence[int], answer: Filled) -> conclusion.Filled:
    """How the words follow from the logits at their places."""
    hidden = [
        HiddenWord(
            place=place,
            candidates=tuple(
                Candidate(word=word, id=id, probability=probability)
                for (word, probability), id in zip(candidates, ids, strict=True)
            ),
        )
        for place, candidates, ids in zip(places, answer.candidates, answer.ids, strict=True)
    ]
    return conclusion.Filled(hidden=tuple(hidden))
