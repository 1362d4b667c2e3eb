"""Summarization: a long text in, a short one that says what matters in it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from glassformer.decoding.options import Decoding
from glassformer.model import Transformer
from glassformer.tasks.rewriting import Rewriting, Rewritten


@dataclass(frozen=True, kw_only=True)
class Summary(Rewritten):
    """A summary; as a string it is its text."""


class Summarization(Rewriting):
    """Rush et al. 2015; with a transformer: Liu and Lapata 2019."""

    task: ClassVar[str] = "summarization"
    made: ClassVar[type[Rewritten]] = Summary
    usual: ClassVar[Decoding] = Decoding(
        num_beams=4, no_repeat_ngram_size=3, length_penalty=2.0
    )  # Lewis et al. 2020, as published

    def summarize(
        self,
        model: Transformer,
        texts: Sequence[str],
        decoding: Decoding | None = None,
        *,
        tokens: int = 8192,
        truncate: bool = False,
    ) -> list[Rewritten]:
        """The summary of every text, in order; `tokens` bounds what a batch reads at once."""
        return self.rewrite(model, texts, decoding, tokens=tokens, truncate=truncate)
