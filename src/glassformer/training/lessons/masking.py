"""Masked tokens: some are hidden, and found again from those around them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from glassformer.data.batch import IGNORE, Batch
from glassformer.data.blocks import BlockBatches, Numbers
from glassformer.data.masking import Masking
from glassformer.data.neighbours import NeighbourBatches
from glassformer.errors import InputError
from glassformer.evaluation.score import perplexity
from glassformer.model import Transformer
from glassformer.nn.heads import guess_of
from glassformer.text.tokenizer import Tokenizer
from glassformer.training.lessons.lesson import NOTHING, ONE_CHOICE, mean_loss
from glassformer.training.lessons.texts import TextLesson
from glassformer.training.loop import Batches
from glassformer.training.loss import Objective, PretrainingLoss
from glassformer.training.recipe import Recipe


class MaskingLesson(TextLesson):
    """BERT's objective, Devlin et al. 2019, section 3.1, with or without its guess about neighbours; drawn anew each
    time and on full blocks as RoBERTa's, Liu et al. 2019, section 4.
    """

    figures = ("loss", "nll", "perplexity", "accuracy", "next_sentence_accuracy")
    head = "masked-language-model"
    fields = {
        "stack": "encoder",
        "embedding_norm": True,
        "output_transform": True,
        "output_bias": True,
        "initialization": "truncated-normal",
    }
    special = "bert"
    pretraining = frozenset({"context", "mask_share", "whole_words", "next_sentence"})

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, labels: Sequence[str]) -> None:
        super().__init__(recipe, tokenizer, labels)
        pretraining = recipe.pretraining
        least = 5 if pretraining.next_sentence else 3
        if pretraining.context < least:
            raise InputError(
                f"[pretraining] context is {pretraining.context}, which the tokens around a text fill; "
                f"expected {least} or more"
            )
        needed = {"mask": tokenizer.mask_id, "cls": tokenizer.cls_id, "sep": tokenizer.sep_id}
        missing = [name for name, token in needed.items() if token is None]
        if missing:
            raise InputError(
                f"the tokenizer has no {' and no '.join(missing)} token; "
                "give [tokenizer] special, such as 'bert' or 'roberta', or another model to start from"
            )
        self.mask, self.cls, self.sep = (int(token or 0) for token in needed.values())
        self.masking = Masking(
            mask_id=self.mask,
            vocab_size=tokenizer.vocab_size,
            never=tokenizer.special_ids,
            share=pretraining.mask_share,
            begins=np.array(tokenizer.word_starts()) if pretraining.whole_words else None,
        )

    @classmethod
    def measures(cls, recipe: Recipe) -> tuple[str, ...]:
        """Guesses about neighbours where they are asked for."""
        asked = recipe.pretraining.next_sentence
        return tuple(name for name in cls.figures if asked or name != "next_sentence_accuracy")

    @classmethod
    def takes(cls, recipe: Recipe) -> frozenset[str]:
        """Beside the guess about neighbours it is not one choice."""
        return NOTHING if recipe.pretraining.next_sentence else ONE_CHOICE

    @classmethod
    def decided(cls, recipe: Recipe) -> dict[str, Any]:
        """The guess about neighbours is a part of the head."""
        return {"next_sentence": recipe.pretraining.next_sentence}

    def batches(self, model: Transformer, examples: Sequence[str], *, seed: int | None) -> Batches:
        """Blocks of text between the tokens that frame a text; or halves that may be neighbours."""
        context = self.context(model)
        shape: dict[str, Any] = {"rows": max(1, self.recipe.training.max_tokens // context), "seed": seed}
        if self.recipe.pretraining.next_sentence:
            sentences = [self.tokenizer.ids(sentences_of(text), special=False) for text in examples]
            return NeighbourBatches(sentences, self.neighbours, length=context - 3, **shape)
        documents = self.tokenizer.ids(examples, special=False)
        return BlockBatches(documents, self.block, length=context - 2, end=self.sep, **shape)

    def block(self, rows: Numbers, random: np.random.Generator) -> Batch:
        """B T -> a batch of one segment."""
        edge = np.ones((len(rows), 1), dtype=np.int64)
        ids, labels = self.masking(np.hstack([self.cls * edge, rows, self.sep * edge]), random)
        return Batch(source=torch.from_numpy(ids), labels=torch.from_numpy(labels))

    def neighbours(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int], bool]], random: np.random.Generator
    ) -> Batch:
        """A batch of two segments each, padded, and whether the second is the neighbour of the first."""
        rows = [[self.cls, *first, self.sep, *second, self.sep] for first, second, _ in pairs]
        longest = max(map(len, rows))
        lengths = np.array([len(row) for row in rows])
        pad = self.tokenizer.pad_id or 0
        ids = np.array([[*row, *[pad] * (longest - len(row))] for row in rows])
        real = np.arange(longest) < lengths[:, None]
        firsts = np.array([len(first) + 2 for first, _, _ in pairs])
        segments = (np.arange(longest) >= firsts[:, None]) & real
        read, labels = self.masking(ids, random)
        return Batch(
            source=torch.from_numpy(read),
            source_mask=None if real.all() else torch.from_numpy(real),
            segments=torch.from_numpy(segments.astype(np.int64)),
            labels=torch.from_numpy(np.where(real, labels, IGNORE)),
            follows=torch.tensor([int(not true) for _, _, true in pairs]),
        )

    def objective(self, examples: Sequence[str]) -> Objective:
        """Cross-entropy of the hidden tokens."""
        if self.recipe.pretraining.next_sentence:
            return PretrainingLoss()
        return self.token_loss()

    @torch.no_grad()
    def measure(self, model: Transformer, examples: Sequence[str]) -> Mapping[str, float]:
        """Which share of the hidden tokens is found, and of the neighbours, in percent."""
        found = hidden = guessed = pairs = 0
        for batch in self.batches(model, examples, seed=None).epoch(0):
            rows = model.body(**batch.to(model.tokens.weight.device).inputs())
            assert batch.labels is not None
            asked = (batch.labels != IGNORE).to(rows.device)
            labels = batch.labels.to(rows.device)[asked]
            found += int((model.head(rows[asked]).argmax(-1) == labels).sum())
            hidden += len(labels)
            if batch.follows is not None:
                mask = None if batch.source_mask is None else batch.source_mask.to(rows.device)
                guess = guess_of(model.head)(rows, mask).argmax(-1)
                guessed += int((guess == batch.follows.to(rows.device)).sum())
                pairs += len(guess)
        figures = {"accuracy": 100 * found / hidden}
        return {**figures, "next_sentence_accuracy": 100 * guessed / pairs} if pairs else figures

    def evaluate(self, model: Transformer, examples: Sequence[str]) -> Mapping[str, float]:
        """The loss, its perplexity, and what is found; the same tokens are hidden each time."""
        loss = mean_loss(model, self.batches(model, examples, seed=None), self.objective(examples))
        return {**loss, "perplexity": perplexity(loss["nll"]), **self.measure(model, examples)}


def sentences_of(text: str) -> list[str]:
    """A document's sentences, cut where one ends and another begins."""
    return [part for line in text.splitlines() for part in cut(line.strip()) if part]


def cut(line: str) -> Iterator[str]:
    """A line, after each full stop, question or exclamation mark that a space follows."""
    start = 0
    for place in range(len(line) - 1):
        if line[place] in ".!?" and line[place + 1] == " ":
            yield line[start : place + 1]
            start = place + 2
    yield line[start:]
