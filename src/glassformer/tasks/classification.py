"""Classification: a text, or a pair, in; one label of a fixed set out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glassformer.model import Transformer
from glassformer.tasks.reading import one_run, read
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Label:
    """The likeliest label, and how likely each is."""

    label: str
    probability: float
    probabilities: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.label} ({self.probability:.1%})"


class Classification:
    """Devlin et al. 2019, section 4.1."""

    def __init__(self, tokenizer: Tokenizer, labels: Sequence[str]) -> None:
        self.tokenizer, self.labels = tokenizer, tuple(labels)

    def answer(self, model: Transformer, texts: Sequence[Text]) -> list[Label]:
        """The label of each text."""
        return [
            self.label(row)
            for lot in read(model, self.tokenizer, texts)
            for row in lot.logits.softmax(-1).tolist()
        ]

    def label(self, probabilities: Sequence[float]) -> Label:
        """The likeliest of one text's labels."""
        named = dict(zip(self.labels, probabilities, strict=True))
        best = max(named, key=lambda name: named[name])
        return Label(label=best, probability=named[best], probabilities=named)

    def run(self, model: Transformer, text: Text) -> Run:
        """The one run that labels this text."""
        return one_run(model, self.tokenizer, text, str(self.answer(model, [text])[0]))
