"""Summarization: a short text from a long one, learnt as translations are."""

from collections.abc import Mapping, Sequence

from glassformer.data.examples import Pair
from glassformer.evaluation import summarization
from glassformer.model import Transformer
from glassformer.tasks.summarization import Summarization
from glassformer.training.lessons.translation import TranslationLesson


class SummarizationLesson(TranslationLesson):
    """Rush et al. 2015. What is too long loses its end: what matters mostly stands at the beginning."""

    figures = ("loss", "nll", *summarization.FIGURES)
    task_kind = Summarization

    def framed(self, sources: Sequence[list[int]]) -> list[list[int]]:
        """Sources with the tokens of their language, cut where they are too long."""
        longest = self.recipe.data.max_length
        return [
            self.task.cut(ids, longest) if len(ids) > longest else ids for ids in super().framed(sources)
        ]

    def measure(self, model: Transformer, examples: Sequence[Pair]) -> Mapping[str, float]:
        """ROUGE of the model's own summaries."""
        return summarization.evaluate(self.task, model, examples, self.recipe.decoding)
