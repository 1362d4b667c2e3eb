"""Translation: a text in one language in, the same in another out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from glassformer.decoding.options import Decoding
from glassformer.decoding.shortlist import Shortlist
from glassformer.model import Transformer
from glassformer.tasks.rewriting import BEYOND, Rewriting, Rewritten


@dataclass(frozen=True, kw_only=True)
class TranslationAnswer(Rewritten):
    """A translation; as a string it is its text."""


class Translation(Rewriting):
    """Vaswani et al. 2017."""

    task: ClassVar[str] = "translation"
    made: ClassVar[type[Rewritten]] = TranslationAnswer
    usual: ClassVar[Decoding] = Decoding(num_beams=5, beyond_source=BEYOND)  # section 6.1, with one beam more

    def translate(
        self,
        model: Transformer,
        texts: Sequence[str],
        decoding: Decoding | None = None,
        *,
        tokens: int = 8192,
        truncate: bool = False,
        shortlist: Shortlist | None = None,
    ) -> list[Rewritten]:
        """The translation of every text, in order; `tokens` bounds what a batch reads at once."""
        return self.rewrite(model, texts, decoding, tokens=tokens, truncate=truncate, shortlist=shortlist)
