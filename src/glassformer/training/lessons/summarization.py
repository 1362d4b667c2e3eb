"""Summarization: a short text from a long one, learnt as translations are."""

from collections.abc import Mapping, Sequence

from glassformer.data.batches import TokenBatches
from glassformer.data.examples import Pair
from glassformer.evaluation import summarization
from glassformer.model import Transformer
from glassformer.tasks.summarization import Summarization
from glassformer.training.lessons.translation import TranslationLesson


class SummarizationLesson(TranslationLesson):
    """Rush et al. 2015. What is too long loses its end: what matters mostly stands at the beginning."""

    figures = ("loss", "nll", *summarization.FIGURES)
    task_kind = Summarization

    def batches(self, model: Transformer, examples: Sequence[Pair], *, seed: int | None) -> TokenBatches:
        """Pairs of like length; a source is cut where the model or a batch would not hold it."""
        bounds = self.bounds(model)
        self.longest = min(bounds["max_length"], bounds["tokens"])
        return super().batches(model, examples, seed=seed)

    def framed(self, sources: Sequence[list[int]]) -> list[list[int]]:
        """Sources with the tokens of their language, cut where they are too long."""
        longest = self.longest
        return [self.task.cut(ids, longest) if len(ids) > longest else ids for ids in super().framed(sources)]

    def measure(self, model: Transformer, examples: Sequence[Pair]) -> Mapping[str, float]:
        """ROUGE of the model's own summaries."""
        return summarization.evaluate(self.task, model, examples)
