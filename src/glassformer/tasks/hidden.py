"""No question asked: a text in, the model's last row for each token out."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from glassformer.model import Transformer
from glassformer.tasks.reading import encoded, in_order, one_run, read
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The last hidden row of each token."""

    tokens: tuple[str, ...]
    rows: Tensor  # T C

    @property
    def mean(self) -> Tensor:
        """The mean of the rows, C: one vector for the whole text (Reimers and Gurevych 2019)."""
        return self.rows.mean(0)

    def __str__(self) -> str:
        return f"{len(self.tokens)} rows of {self.rows.shape[1]} numbers"


class Hidden:
    """What a checkpoint without a task head gives."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def answer(self, model: Transformer, texts: Sequence[Text]) -> list[Rows]:
        """The rows of each text, padding left out."""
        encodings = encoded(self.tokenizer, texts, model.config.limit)
        found = in_order(read(model, self.tokenizer, encodings), len(texts))
        return [
            Rows(tokens=tuple(encoding.tokens), rows=rows)
            for encoding, rows in zip(encodings, found, strict=True)
        ]

    def check(self, model: Transformer, texts: Sequence[Text], **options: object) -> None:
        """Refuse what `answer` would, before anything is computed."""
        encoded(self.tokenizer, texts, model.config.limit)

    def run(self, model: Transformer, text: Text) -> Run:
        """The one run that reads this text."""
        return one_run(model, self.tokenizer, text, str(self.answer(model, [text])[0]))
