"""Tagging: a text in, a label for each of its tokens out."""

from collections.abc import Sequence
from dataclasses import dataclass

from glassformer.model import Transformer
from glassformer.tasks.reading import one_run, read
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Encoding, Tokenizer


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A token, where its characters stand, and its likeliest label."""

    token: str
    start: int
    end: int
    label: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Tags:
    """The tags of a text's tokens, added ones left out."""

    tags: tuple[Tag, ...]

    def __str__(self) -> str:
        return " ".join(f"{tag.token}/{tag.label}" for tag in self.tags)


class Tagging:
    """Devlin et al. 2019, section 5.3."""

    def __init__(self, tokenizer: Tokenizer, labels: Sequence[str]) -> None:
        self.tokenizer, self.labels = tokenizer, tuple(labels)

    def answer(self, model: Transformer, texts: Sequence[Text]) -> list[Tags]:
        """The tags of each text."""
        return [
            self.tags(encoding, rows)
            for lot in read(model, self.tokenizer, texts)
            for encoding, rows in zip(lot.encodings, lot.logits.softmax(-1).tolist(), strict=True)
        ]

    def tags(self, encoding: Encoding, rows: Sequence[Sequence[float]]) -> Tags:
        """The likeliest label of each token that came from the text."""
        found = []
        for token, (start, end), row in zip(encoding.tokens, encoding.offsets, rows, strict=False):
            if end > start:
                best = max(range(len(row)), key=row.__getitem__)
                tag = Tag(token=token, start=start, end=end, label=self.labels[best], probability=row[best])
                found.append(tag)
        return Tags(tags=tuple(found))

    def run(self, model: Transformer, text: Text) -> Run:
        """The one run that tags this text."""
        return one_run(model, self.tokenizer, text, str(self.answer(model, [text])[0]))
