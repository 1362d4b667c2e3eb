"""Translation: a text in one language in, the same in another out."""

from dataclasses import dataclass
from typing import ClassVar

from glassformer.decoding.options import Decoding
from glassformer.tasks.rewriting import BEYOND, Rewriting, Rewritten


@dataclass(frozen=True, kw_only=True)
class TranslationAnswer(Rewritten):
    """A translation; as a string it is its text."""


class Translation(Rewriting):
    """Vaswani et al. 2017."""

    task: ClassVar[str] = "translation"
    made: ClassVar[type[Rewritten]] = TranslationAnswer
    usual: ClassVar[Decoding] = Decoding(num_beams=5, beyond_source=BEYOND)  # section 6.1, with one beam more
