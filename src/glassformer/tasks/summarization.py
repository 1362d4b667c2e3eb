"""Summarization: a long text in, a short one that says what matters in it out."""

from dataclasses import dataclass
from typing import ClassVar

from glassformer.decoding.options import Decoding
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
