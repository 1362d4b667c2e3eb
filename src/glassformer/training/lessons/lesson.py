"""A lesson: what a task brings to its training."""

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from glassformer.data.columns import KindName
from glassformer.data.examples import subject
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.text.tokenizer import Tokenizer
from glassformer.training.loop import Batches
from glassformer.training.loss import Objective, TokenLoss
from glassformer.training.recipe import Recipe

Example = TypeVar("Example")


OPTIONAL: Mapping[str, tuple[Any, str]] = {  # table and name -> what it is where it is off, and what it needs
    "training.label_smoothing": (0.0, "a loss of one choice at a time"),
    "training.r_drop": (0.0, "a loss of one choice at a time"),
    "training.class_weights": ("none", "one label for a text or a word"),
    "training.bpe_dropout_source": (0.0, "texts that are cut anew in every epoch"),
    "training.bpe_dropout_target": (0.0, "texts that are cut anew in every epoch"),
    "data.capitals": (False, "a label for each word"),
    "data.source_language": (None, "a text that is written from another"),
    "data.target_language": (None, "a text that is written from another"),
}
ONE_CHOICE = frozenset({"training.label_smoothing", "training.r_drop"})  # of a loss of one choice at a time
LABELLED = ONE_CHOICE | {"training.class_weights"}
WORDS = LABELLED | {"data.capitals"}
WRITTEN = frozenset(OPTIONAL) - WORDS | ONE_CHOICE
NOTHING = frozenset[str]()


class Lesson(ABC, Generic[Example]):
    """How a task's examples become batches, which head and loss it needs, and by which figures it is judged.

    Made once the tokenizer is known and the labels have been counted; the methods of the class itself are asked before
    that.
    """

    kind: ClassVar[KindName]  # the form of its examples, as the readers call it
    figures: ClassVar[tuple[str, ...]]  # what `evaluate` measures
    head: ClassVar[str]
    fields: ClassVar[Mapping[str, Any]]  # of the configuration, where neither family nor preset gives any
    counts: ClassVar[str] = "tokens"  # what its labels stand for, which a run counts
    special: ClassVar[str | None] = None  # the special tokens of a vocabulary learnt for it
    pretraining: ClassVar[frozenset[str]] = frozenset()  # keys of that table that say something here

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, labels: Sequence[str]) -> None:
        self.recipe, self.tokenizer, self.labels = recipe, tokenizer, tuple(labels)

    @classmethod
    @abstractmethod
    def texts(cls, examples: Sequence[Example]) -> Iterator[str]:
        """The text that a tokenizer is learnt from."""

    @classmethod
    def chosen(cls, examples: Sequence[Example], recipe: Recipe) -> Sequence[Example]:
        """Those that the recipe does not leave out."""
        if recipe.data.only:
            raise InputError(f"[data] only names labels, and {recipe.task} has none; leave it out")
        return examples

    @classmethod
    def divided(
        cls, examples: Sequence[Example], share: float
    ) -> tuple[Sequence[Example], Sequence[Example]]:
        """What is learnt from, and a share that is held out, drawn alike in every run: a file may be sorted.

        Examples about the same stay together, else the figures would be of what was learnt; unless all of them are too
        many for the share. Of no label all examples are held out.
        """
        alike: dict[Hashable, list[int]] = {}
        every: Sequence[Any] = examples
        for place, example in enumerate(every):
            alike.setdefault(subject(example), []).append(place)
        wanted = max(1, round(share * len(examples)))
        groups = [group for group in alike.values() if len(group) <= wanted]
        groups = groups or [[place] for place in range(len(examples))]
        random.Random(1).shuffle(groups)
        labels = [cls.named([example]) for example in examples]
        left = Counter(label for each in labels for label in each)
        held: set[int] = set()
        for group in groups:
            taken = Counter(label for place in group for label in labels[place])
            if len(held) + len(group) <= wanted and all(left[label] > count for label, count in taken.items()):
                held.update(group)
                left -= taken
        if len(held) == len(examples):
            raise InputError(f"of {len(examples)} examples none is left to learn from; lower [data] held_out")
        if not held:
            raise InputError(
                f"of {len(examples)} examples none can be held out, since each has a label that no other has; give dev "
                "files, or leave out [data] held_out"
            )
        kept = [each for place, each in enumerate(examples) if place not in held]
        return kept, [examples[place] for place in sorted(held)]

    @classmethod
    def named(cls, examples: Sequence[Example]) -> tuple[str, ...]:
        """The labels that examples have, sorted; nothing where the task has none."""
        return ()

    @classmethod
    def label_counts(cls, examples: Sequence[Example]) -> Mapping[str, int]:
        """How often each label is given, where an example is a label's; nothing elsewhere."""
        return {}

    @classmethod
    def check_labels(cls, labels: Sequence[str], recipe: Recipe) -> None:
        """Refuse labels that leave nothing to learn."""

    @classmethod
    def measures(cls, recipe: Recipe) -> tuple[str, ...]:
        """Those of its figures that such a run is judged by."""
        return cls.figures

    @classmethod
    def measures_of(cls, recipe: Recipe, examples: Sequence[Example]) -> tuple[str, ...]:
        """Those of them that such examples have."""
        return cls.measures(recipe)

    @classmethod
    def extra_tokens(cls, recipe: Recipe) -> tuple[str, ...]:
        """Special tokens that a learnt vocabulary needs beyond the usual ones."""
        return ()

    @classmethod
    def decided(cls, recipe: Recipe) -> dict[str, Any]:
        """Fields of a new model's configuration that follow from what is asked of it, beside its head."""
        return {}

    @classmethod
    def takes(cls, recipe: Recipe) -> frozenset[str]:
        """Of what not every task can do, what it can: names of OPTIONAL."""
        return ONE_CHOICE

    @classmethod
    def described(cls, recipe: Recipe, examples: Sequence[Example]) -> dict[str, Any]:
        """What else config.json says of such a model."""
        return {"task": recipe.task}

    def learnt(self) -> dict[str, Any]:
        """What config.json says of the model because of what was measured last."""
        return {}

    def recall(self, metrics: Mapping[str, float]) -> None:
        """Take up what a run that goes on had measured before. Most tasks keep nothing of it."""

    def prepare(self, checkpoint: Checkpoint, source_tokenizer: Tokenizer | None) -> None:
        """Fit what the model says of itself: a language's token, a prefix. Most tasks need nothing."""

    @abstractmethod
    def batches(self, model: Transformer, examples: Sequence[Example], *, seed: int | None) -> Batches:
        """What is learnt from, or with seed None measured on."""

    @abstractmethod
    def objective(self, examples: Sequence[Example]) -> Objective:
        """How far the model is from its labels."""

    @abstractmethod
    def measure(self, model: Transformer, examples: Sequence[Example]) -> Mapping[str, float]:
        """The figures that go beyond the loss."""

    def evaluate(self, model: Transformer, examples: Sequence[Example]) -> Mapping[str, float]:
        """Every figure of the dev examples."""
        loss = mean_loss(model, self.batches(model, examples, seed=None), self.objective(examples))
        return {**loss, **self.measure(model, examples)}

    def tested(self, checkpoint: Checkpoint, examples: Sequence[Example]) -> Mapping[str, float]:
        """The figures of a published model, as whoever loads it would find them."""
        return self.evaluate(checkpoint.transformer, examples)

    def token_loss(self, weights: Tensor | None = None) -> TokenLoss:
        """Cross-entropy of tokens, as the recipe wants it."""
        training = self.recipe.training
        return TokenLoss(training.label_smoothing, weights, training.r_drop)

    def bounds(self, model: Transformer) -> dict[str, Any]:
        """The sizes of a batch, as the recipe wants them."""
        data, training = self.recipe.data, self.recipe.training
        limit = model.config.limit
        return {
            "tokens": training.max_tokens,
            "examples": training.max_examples,
            "max_length": data.max_length if limit is None else min(data.max_length, limit),
        }


@torch.no_grad()
def mean_loss(model: Transformer, batches: Batches, objective: Objective) -> dict[str, float]:
    """Loss and -log p of the labels, per label, over all batches."""
    device = model.tokens.weight.device
    losses = [objective(model, batch.to(device)) for batch in batches.epoch(0)]
    count = sum(loss.count for loss in losses)
    return {
        "loss": sum(float(loss.total) for loss in losses) / count,
        "nll": sum(float(loss.nll) for loss in losses) / count,
    }


def numbered(labels: Sequence[str], known: Mapping[str, int], what: str) -> list[int]:
    """The numbers of labels; one that training never saw is refused."""
    for label in labels:
        if label not in known:
            raise InputError(
                f"{what} has the label {label!r}, which the training files do not have ({', '.join(known)}); "
                "mend the label or add examples of it to the training files"
            )
    return [known[label] for label in labels]
