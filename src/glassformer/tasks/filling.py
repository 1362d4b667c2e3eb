"""Masked words: a text with hidden words in, the likeliest words for each out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.tasks.reading import one_run, read
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Encoding, Tokenizer

SHOWN = 5  # candidates for each hidden word


@dataclass(frozen=True, kw_only=True)
class Filled:
    """The text with its hidden words filled in, and the candidates for each: (word, probability), best first."""

    text: str
    candidates: tuple[tuple[tuple[str, float], ...], ...]

    def __str__(self) -> str:
        return self.text


class Filling:
    """Devlin et al. 2019, section 3.1."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def answer(self, model: Transformer, texts: Sequence[Text]) -> list[Filled]:
        """Each text with its hidden words filled in."""
        return [
            self.fill(encoding, logits)
            for lot in read(model, self.tokenizer, texts)
            for encoding, logits in zip(lot.encodings, lot.logits, strict=True)
        ]

    def fill(self, encoding: Encoding, logits: Tensor) -> Filled:
        """The likeliest word at each mask."""
        ids, found = list(encoding.ids), []
        hidden = [place for place, id in enumerate(ids) if id == self.tokenizer.mask_id]
        if not hidden:
            mask = None if self.tokenizer.mask_id is None else self.tokenizer.token(self.tokenizer.mask_id)
            raise InputError(f"no word of the text is hidden; write {mask or 'the mask token'} in its place")
        for place in hidden:
            best = logits[place].softmax(-1).topk(SHOWN)
            words = [self.tokenizer.decode([id]).strip() for id in best.indices.tolist()]
            found.append(tuple(zip(words, best.values.tolist(), strict=True)))
            ids[place] = int(best.indices[0])
        return Filled(text=self.tokenizer.decode(ids), candidates=tuple(found))

    def run(self, model: Transformer, text: Text) -> Run:
        """The one run that reads this text; a text without hidden words can be looked at too."""
        seen = one_run(model, self.tokenizer, text, "")
        if (
            self.tokenizer.mask_id
            not in self.tokenizer.encode(*([text] if isinstance(text, str) else text)).ids
        ):
            return seen
        return replace(seen, answer=str(self.answer(model, [text])[0]))
