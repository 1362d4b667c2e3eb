"""Tagging: a label for each word, learnt at the word's first token."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from glassformer.data.batch import IGNORE
from glassformer.data.batches import ExampleBatches
from glassformer.data.examples import TaggedSentence
from glassformer.errors import InputError
from glassformer.evaluation.tagging import FIGURES, evaluate
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks.tagging import OUTSIDE, Tagging, firsts, joined
from glassformer.text.tokenizer import Encoding, Tokenizer
from glassformer.text.windows import windows
from glassformer.training.lessons.labelled import with_labels
from glassformer.training.lessons.lesson import WORDS, Lesson, numbered
from glassformer.training.loss import Objective, balanced
from glassformer.training.recipe import Recipe


class TaggingLesson(Lesson[TaggedSentence]):
    """Devlin et al. 2019, section 5.3. A sentence longer than the recipe allows is learnt in overlapping windows."""

    kind = "tags"
    figures = ("loss", "nll", *FIGURES)
    head = "token-label"
    counts = "labels"
    fields = {"stack": "encoder"}
    special = "bert"

    @classmethod
    def texts(cls, examples: Sequence[TaggedSentence]) -> Iterator[str]:
        """Every sentence, its words joined by spaces."""
        return (" ".join(example.words) for example in examples)

    @classmethod
    def named(cls, examples: Sequence[TaggedSentence]) -> tuple[str, ...]:
        """Every tag once, O first; each B- with its I-, for what is one word long in one file need not be elsewhere."""
        tags = {tag for example in examples for tag in example.tags}
        tags |= {f"I-{tag[2:]}" for tag in tags if tag.startswith("B-")}
        return tuple(sorted(tags, key=lambda tag: (tag != OUTSIDE, tag[2:], tag)))

    @classmethod
    def check_labels(cls, labels: Sequence[str], recipe: Recipe) -> None:
        """Where nothing is marked there is nothing to find."""
        if labels == (OUTSIDE,):
            raise InputError(f"every word to learn from has the tag {OUTSIDE}; give sentences with something marked")

    @classmethod
    def takes(cls, recipe: Recipe) -> frozenset[str]:
        """Every word has one label."""
        return WORDS

    @classmethod
    def decided(cls, recipe: Recipe) -> dict[str, Any]:
        """Capitals are a segment."""
        return {"segments": 2} if recipe.data.capitals else {}

    @classmethod
    def described(cls, recipe: Recipe, examples: Sequence[TaggedSentence]) -> dict[str, Any]:
        """Whoever uses the model tells it of capitals too."""
        capitals = {"capitals": True} if recipe.data.capitals else {}
        return {**super().described(recipe, examples), **capitals}

    @property
    def task(self) -> Tagging:
        """What is learnt."""
        return Tagging(self.tokenizer, self.labels, capitals=self.recipe.data.capitals)

    def prepare(self, checkpoint: Checkpoint, source_tokenizer: Tokenizer | None) -> None:
        """Refuse an encoder that cannot be told of capitals."""
        segments = checkpoint.transformer.config.segments
        if self.recipe.data.capitals and segments < 2:
            raise InputError(
                f"[data] capitals are told as segment 1, and this encoder knows {segments} segments; "
                "start from one with two, as BERT is, or set capitals = false"
            )

    def batches(
        self, model: Transformer, examples: Sequence[TaggedSentence], *, seed: int | None
    ) -> ExampleBatches:
        """Sentences of like length, and the tags of their words."""
        bounds = self.bounds(model)
        found = [each for example in examples for each in self.windows(example, bounds["max_length"])]
        encodings, labels = [one for one, _ in found], [one for _, one in found]
        return with_labels(model, self.tokenizer, encodings, labels, seed=seed, bounds=bounds)

    def windows(self, example: TaggedSentence, length: int) -> Iterator[tuple[Encoding, list[int]]]:
        """A sentence's tokens and their labels: the tag's number at a word's first token, elsewhere nothing."""
        known = {label: number for number, label in enumerate(self.labels)}
        text, starts = joined(example.words)
        (encoding,) = self.task.told([text], [self.tokenizer.encode(text)])
        whole = [IGNORE] * len(encoding)
        tags = numbered(example.tags, known, f"the sentence {text[:30]!r}")
        for place, tag in zip(firsts(text, starts, encoding), tags, strict=True):
            if place is not None:
                whole[place] = tag
        own = encoding.places(0)
        for window in windows(encoding, length):
            row = [IGNORE] * len(window.encoding)
            for number, place in enumerate(window.places):
                row[place] = whole[own[window.first + number]]
            yield window.encoding, row

    def objective(self, examples: Sequence[TaggedSentence]) -> Objective:
        """Cross-entropy of each word's tag."""
        training, weights = self.recipe.training, None
        if training.class_weights == "balanced":
            weights = balanced(self.counted(examples), len(self.labels))
        return self.token_loss(weights)

    def counted(self, examples: Sequence[TaggedSentence]) -> Tensor:
        """The numbers of all tags."""
        known = {label: number for number, label in enumerate(self.labels)}
        return torch.tensor([known[tag] for example in examples for tag in example.tags if tag in known])

    def measure(self, model: Transformer, examples: Sequence[TaggedSentence]) -> Mapping[str, float]:
        """Entity F1 and its kin."""
        return evaluate(self.task, model, examples)
