"""Generation: every token from those before it, learnt from text alone."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from glassformer.data.batch import Batch
from glassformer.data.blocks import BlockBatches, Numbers
from glassformer.evaluation.score import perplexity
from glassformer.model import Transformer
from glassformer.training.lessons.lesson import mean_loss
from glassformer.training.lessons.texts import TextLesson
from glassformer.training.loss import Objective


class GenerationLesson(TextLesson):
    """Radford et al. 2018, section 3.1."""

    figures = ("loss", "nll", "perplexity", "bits_per_byte")
    head = "language-model"
    fields = {
        "stack": "decoder",
        "norm_first": True,
        "final_norm": True,
        "initialization": "normal-scaled-residual",
    }
    special = None
    pretraining = frozenset({"context"})

    def batches(self, model: Transformer, examples: Sequence[str], *, seed: int | None) -> BlockBatches:
        """Blocks of `context` tokens, each with the one that follows as its label."""
        context = self.context(model)
        return BlockBatches(
            self.tokenizer.ids(examples, special=False),
            shifted,
            length=context + 1,
            overlap=1,
            rows=max(1, self.recipe.training.max_tokens // context),
            end=self.tokenizer.eos_id if len(examples) > 1 else None,
            seed=seed,
        )

    def objective(self, examples: Sequence[str]) -> Objective:
        """Cross-entropy of the next token."""
        return self.token_loss()

    def measure(self, model: Transformer, examples: Sequence[str]) -> Mapping[str, float]:
        """Nothing that the loss does not say."""
        return {}

    def evaluate(self, model: Transformer, examples: Sequence[str]) -> Mapping[str, float]:
        """The loss, and the same as perplexity and as bits for each byte of the text."""
        batches = self.batches(model, examples, seed=None)
        loss = mean_loss(model, batches, self.objective(examples))
        size = sum(len(text.encode()) for text in examples)
        bits = loss["nll"] / math.log(2) * len(batches.ids) / size
        return {**loss, "perplexity": perplexity(loss["nll"]), "bits_per_byte": bits}


def shifted(rows: Numbers, random: np.random.Generator) -> Batch:
    """B T+1 -> what is read, and the token after each."""
    ids: Tensor = torch.from_numpy(rows)
    return Batch(
        target=ids[:, :-1].contiguous(), labels=ids[:, 1:].contiguous(), tokens=ids.numel() - len(ids)
    )
