"""Pairs of texts: the second is written from the first. Translation and summarization learn alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from glassformer.data.batches import TokenBatches, VariedBatches
from glassformer.data.examples import Pair
from glassformer.evaluation import translation
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks.rewriting import Rewriting
from glassformer.tasks.translation import Translation
from glassformer.text.tokenizer import Tokenizer
from glassformer.text.varying import VariedCuts
from glassformer.training.lessons.lesson import WRITTEN, Lesson
from glassformer.training.loss import Objective
from glassformer.training.recipe import Recipe


class TranslationLesson(Lesson[Pair]):
    """Vaswani et al. 2017, section 5. One vocabulary serves both languages, unless the model to start from has two."""

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

    def prepare(self, checkpoint: Checkpoint, source_tokenizer: Tokenizer | None) -> None:
        """A published model says which token its answers begin and end with; the recipe, which language they are in."""
        task = self.task_kind.published(self.tokenizer, source_tokenizer, checkpoint.generation, checkpoint.raw)
        data = self.recipe.data
        self.task = task.between(data.source_language, data.target_language)

    @classmethod
    def takes(cls, recipe: Recipe) -> frozenset[str]:
        """Its texts can be cut anew in every epoch, and be in many languages."""
        return WRITTEN

    def batches(self, model: Transformer, examples: Sequence[Pair], *, seed: int | None) -> TokenBatches:
        """Pairs of like length."""
        sources = [self.task.prefix + pair.source for pair in examples]
        targets = [pair.target for pair in examples]
        read = self.framed(self.task.source_tokenizer.ids(sources))
        written = map(self.task.begun, self.tokenizer.ids(targets, special=False))
        pairs = list(zip(read, written, strict=True))
        options = {
            "pad_id": self.task.pad,
            "source_pad_id": self.task.source_pad,
            "bos_id": self.task.start,
            "eos_id": self.task.ends[0],
            **self.bounds(model),
        }
        training = self.recipe.training
        if seed is None or not (training.bpe_dropout_source or training.bpe_dropout_target):
            return TokenBatches(pairs, seed=seed, **options)
        drawn, longest = self.varied(sources, targets, seed), model.config.limit
        return VariedBatches(pairs, drawn, seed=seed, longest=longest, **options)

    def varied(
        self, sources: Sequence[str], targets: Sequence[str], seed: int
    ) -> Callable[[int, np.random.Generator], tuple[list[int], list[int]]]:
        """Writes a pair anew, its words cut in another way (BPE-dropout)."""
        training = self.recipe.training
        reader = VariedCuts(self.task.source_tokenizer, training.bpe_dropout_source, seed=seed)
        writer = VariedCuts(self.tokenizer, training.bpe_dropout_target, seed=seed)
        read, written = reader.words(sources), writer.words(targets, special=False)

        def pair(number: int, random: np.random.Generator) -> tuple[list[int], list[int]]:
            (source,) = self.framed([reader.drawn(read[number], random)])
            return source, self.task.begun(writer.drawn(written[number], random))

        return pair

    def framed(self, sources: Sequence[list[int]]) -> list[list[int]]:
        """Sources with the tokens of their language."""
        task = self.task
        return [task.languages.framed(ids, task.source_language, task.target_language) for ids in sources]

    def objective(self, examples: Sequence[Pair]) -> Objective:
        """Cross-entropy of each token of what is written."""
        return self.token_loss()

    def measure(self, model: Transformer, examples: Sequence[Pair]) -> Mapping[str, float]:
        """BLEU and chrF of the model's own translations."""
        assert isinstance(self.task, Translation), "a translation is what is measured here"
        return translation.evaluate(self.task, model, examples, lowercase=self.tokenizer.lowers)
