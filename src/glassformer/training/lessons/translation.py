"""Pairs of texts: the second is written from the first. Translation and summarization learn alike."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from glassformer.data.batches import TokenBatches
from glassformer.data.examples import Pair
from glassformer.evaluation import translation
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks.rewriting import Rewriting
from glassformer.tasks.translation import Translation
from glassformer.text.tokenizer import Tokenizer
from glassformer.training.lessons.lesson import Lesson
from glassformer.training.loss import Objective
from glassformer.training.recipe import Recipe


class TranslationLesson(Lesson[Pair]):
    """Vaswani et al. 2017, section 5. One vocabulary serves both languages."""

    kind = "pairs"
    figures: ClassVar[tuple[str, ...]] = ("loss", "nll", "bleu", "chrf")
    head = "language-model"
    task_kind: ClassVar[type[Rewriting]] = Translation
    fields = {"stack": "encoder-decoder"}

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, labels: Sequence[str]) -> None:
        super().__init__(recipe, tokenizer, labels)
        self.task = self.task_kind(tokenizer, decoding=recipe.decoding)

    @classmethod
    def texts(cls, examples: Sequence[Pair]) -> Iterator[str]:
        """Both sides of every pair."""
        return (text for pair in examples for text in (pair.source, pair.target))

    def prepare(self, checkpoint: Checkpoint) -> None:
        """A published model says which token its answers begin and end with."""
        self.task = self.task_kind.published(self.tokenizer, None, checkpoint.generation, checkpoint.raw)

    def batches(self, model: Transformer, examples: Sequence[Pair], *, seed: int | None) -> TokenBatches:
        """Pairs of like length."""
        return TokenBatches(
            list(zip(*self.encoded(examples), strict=True)),
            pad_id=self.task.pad,
            bos_id=self.task.start,
            eos_id=self.task.ends[0],
            seed=seed,
            **self.bounds(model),
        )

    def encoded(self, examples: Sequence[Pair]) -> tuple[list[list[int]], list[list[int]]]:
        """Ids of the sources, and of what is written."""
        task = self.task
        read = task.source_tokenizer.ids([task.prefix + pair.source for pair in examples])
        framed = [task.languages.framed(ids, task.source_language, task.target_language) for ids in read]
        return framed, self.tokenizer.ids([pair.target for pair in examples], special=False)

    def objective(self, examples: Sequence[Pair]) -> Objective:
        """Cross-entropy of each token of what is written."""
        return self.token_loss()

    def measure(self, model: Transformer, examples: Sequence[Pair]) -> Mapping[str, float]:
        """BLEU and chrF of the model's own translations."""
        assert isinstance(self.task, Translation), "a translation is what is measured here"
        return translation.evaluate(
            self.task, model, examples, self.recipe.decoding, lowercase=self.recipe.tokenizer.lowercase
        )
