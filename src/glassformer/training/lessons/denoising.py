"""Denoising: a text with pieces missing in, the pieces or the whole text out; pairs learn it from text alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from glassformer.data.batch import IGNORE, Batch, pad
from glassformer.data.blocks import BlockBatches, Numbers
from glassformer.data.masking import Spans, corrupted, infilled
from glassformer.errors import InputError
from glassformer.evaluation.score import perplexity
from glassformer.model import Transformer
from glassformer.text.tokenizer import Tokenizer
from glassformer.training.lessons.lesson import mean_loss
from glassformer.training.lessons.texts import TextLesson
from glassformer.training.loss import Objective
from glassformer.training.recipe import Recipe

MARKS = tuple(f"<extra_id_{number}>" for number in range(100))  # T5's names of the gaps


class DenoisingLesson(TextLesson):
    """T5's span corruption (Raffel et al. 2020, section 3.1.4) or BART's infilling (Lewis et al. 2020, section 2.2)."""

    figures = ("loss", "nll", "perplexity")
    head = "language-model"
    fields = {"stack": "encoder-decoder"}
    special = "denoising"
    pretraining = frozenset({"context", "mask_share", "corruption", "mean_span"})

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, labels: Sequence[str]) -> None:
        super().__init__(recipe, tokenizer, labels)
        table = recipe.pretraining
        self.infill = table.corruption == "infilling"
        self.spans = Spans(share=table.mask_share, mean=table.mean_span, poisson=self.infill)
        needed = {
            "eos": tokenizer.eos_id,
            "pad": tokenizer.pad_id,
            "mask": tokenizer.mask_id if self.infill else 0,
        }
        missing = [name for name, token in needed.items() if token is None]
        self.marks = [number for mark in MARKS if (number := tokenizer.id(mark)) is not None]
        if not self.infill and not self.marks:
            missing.append(MARKS[0])
        if missing:
            other = "" if self.infill else ", or say [pretraining] corruption = 'infilling'"
            raise InputError(
                f"the tokenizer has no {' and no '.join(missing)} token; give another model to start from{other}"
            )
        self.eos, self.pad, self.mask = (int(token or 0) for token in needed.values())
        self.start = self.pad if tokenizer.bos_id is None or not self.infill else tokenizer.bos_id

    @classmethod
    def extra_tokens(cls, recipe: Recipe) -> tuple[str, ...]:
        """The marks that stand for the gaps."""
        return () if recipe.pretraining.corruption == "infilling" else MARKS

    def batches(self, model: Transformer, examples: Sequence[str], *, seed: int | None) -> BlockBatches:
        """Blocks of text, each with gaps of its own."""
        context = self.context(model) - 1
        return BlockBatches(
            self.tokenizer.ids(examples, special=False),
            self.gapped,
            length=context,
            rows=max(1, self.recipe.training.max_tokens // context),
            end=self.eos,
            seed=seed,
        )

    def gapped(self, rows: Numbers, random: np.random.Generator) -> Batch:
        """B T -> a batch of sources with gaps, and what is to be written."""
        read, written = zip(*(self.pair(row.tolist(), random) for row in rows), strict=True)
        source, source_mask = pad([[*ids, self.eos] for ids in read], self.pad)
        target, target_mask = pad([[self.start, *ids] for ids in written], self.pad)
        labels, _ = pad([[*ids, self.eos] for ids in written], IGNORE)
        return Batch(
            source=source, source_mask=source_mask, target=target, target_mask=target_mask, labels=labels
        )

    def pair(self, ids: Sequence[int], random: np.random.Generator) -> tuple[list[int], list[int]]:
        """One block as what is read and what is written."""
        spans = self.spans(len(ids), random)
        if self.infill:
            return infilled(ids, spans, self.mask), list(ids)
        return corrupted(ids, spans[: len(self.marks)], self.marks)

    def objective(self, examples: Sequence[str]) -> Objective:
        """Cross-entropy of what is to be written."""
        return self.token_loss()

    def measure(self, model: Transformer, examples: Sequence[str]) -> Mapping[str, float]:
        """Nothing that the loss does not say."""
        return {}

    def evaluate(self, model: Transformer, examples: Sequence[str]) -> Mapping[str, float]:
        """The loss and its perplexity; the same gaps each time."""
        loss = mean_loss(model, self.batches(model, examples, seed=None), self.objective(examples))
        return {**loss, "perplexity": perplexity(loss["nll"])}
