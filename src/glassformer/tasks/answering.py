"""Question answering: a question and a context in, the span of the context that answers it out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.tasks.reading import one_run, read
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Encoding, Tokenizer

LONGEST = 30  # tokens of an answer


@dataclass(frozen=True, kw_only=True)
class Span:
    """The likeliest answer, where its characters stand in the context, and how likely its two ends are together."""

    text: str
    start: int
    end: int
    probability: float

    def __str__(self) -> str:
        return self.text


class Answering:
    """Devlin et al. 2019, section 4.2."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def answer(self, model: Transformer, texts: Sequence[Text]) -> list[Span]:
        """The answer of each (question, context)."""
        for text in texts:
            if isinstance(text, str):
                raise InputError(
                    "a question alone was given; give the question and the context that answers it"
                )
        return [
            self.span(text, encoding, logits)
            for lot in read(model, self.tokenizer, texts)
            for text, encoding, logits in zip(lot.texts, lot.encodings, lot.logits, strict=True)
        ]

    def span(self, text: Text, encoding: Encoding, logits: Tensor) -> Span:
        """The best start and end inside the context, the end not before the start nor too far after it."""
        inside = torch.tensor(self.in_context(encoding))
        length = len(inside)
        hidden = logits[:length].masked_fill(~inside[:, None], -torch.inf).softmax(0)
        together = hidden[:, None, 0] * hidden[None, :, 1]
        together = together.triu() - together.triu(LONGEST)
        start, end = divmod(int(together.argmax()), length)
        first, last = encoding.offsets[start][0], encoding.offsets[end][1]
        return Span(text=text[1][first:last], start=first, end=last, probability=float(together[start, end]))

    def in_context(self, encoding: Encoding) -> list[bool]:
        """Which tokens came from the context: those of the second text."""
        own = [end > start for start, end in encoding.offsets]
        if any(encoding.segments):
            return [segment == 1 and real for segment, real in zip(encoding.segments, own, strict=True)]
        gap = own.index(False, own.index(True))  # one segment for both texts: the frame stands between them
        return [real and place > gap for place, real in enumerate(own)]

    def run(self, model: Transformer, text: Text) -> Run:
        """The one run that answers this question."""
        return one_run(model, self.tokenizer, text, str(self.answer(model, [text])[0]))
