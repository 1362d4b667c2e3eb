"""Classification: one label for a text, or for two that are judged together; or any number of labels."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from glassformer.data.batches import ExampleBatches
from glassformer.data.examples import LabelledText, having_only
from glassformer.errors import InputError
from glassformer.evaluation.classification import MULTIPLE, SINGLE, evaluate, text_of
from glassformer.model import Transformer
from glassformer.tasks.classification import Classification, Kind
from glassformer.tasks.reading import encoded
from glassformer.training.lessons.labelled import with_labels
from glassformer.training.lessons.lesson import LABELLED, NOTHING, Lesson, numbered
from glassformer.training.loss import LabelLoss, LabelsLoss, Objective, balanced
from glassformer.training.recipe import Recipe


class ClassificationLesson(Lesson[LabelledText]):
    """Devlin et al. 2019, section 4.1. A text longer than the recipe allows loses its end."""

    kind = "labels"
    figures = tuple(dict.fromkeys(("loss", *SINGLE, *MULTIPLE)))
    head = "sequence-label"
    counts = "labels"
    fields = {"stack": "encoder", "pooler": True}
    special = "bert"

    @classmethod
    def texts(cls, examples: Sequence[LabelledText]) -> Iterator[str]:
        """Every text, and every second one."""
        for example in examples:
            yield example.text
            if example.pair is not None:
                yield example.pair

    @classmethod
    def chosen(cls, examples: Sequence[LabelledText], recipe: Recipe) -> Sequence[LabelledText]:
        """Those whose labels are all among the recipe's."""
        only = recipe.data.only
        return having_only(examples, only) if only else examples

    @classmethod
    def named(cls, examples: Sequence[LabelledText]) -> tuple[str, ...]:
        """Every label once."""
        return tuple(sorted({label for example in examples for label in example.labels}))

    @classmethod
    def label_counts(cls, examples: Sequence[LabelledText]) -> Mapping[str, int]:
        """How often each is given."""
        return Counter(label for example in examples for label in example.labels)

    @classmethod
    def check_labels(cls, labels: Sequence[str], recipe: Recipe) -> None:
        """One label for every text is no choice."""
        if len(labels) == 1 and not recipe.data.multiple:
            raise InputError(
                f"every text to learn from has the label {labels[0]!r}, so there is nothing to choose; "
                "give examples of at least two labels, some of each beyond those that are held out"
            )

    @classmethod
    def measures(cls, recipe: Recipe) -> tuple[str, ...]:
        """Of one label for a text other figures than of several."""
        return ("loss", *(MULTIPLE if recipe.data.multiple else SINGLE))

    @classmethod
    def takes(cls, recipe: Recipe) -> frozenset[str]:
        """A yes or no for each label is not one choice."""
        return NOTHING if recipe.data.multiple else LABELLED

    @classmethod
    def described(cls, recipe: Recipe, examples: Sequence[LabelledText]) -> dict[str, Any]:
        """Published checkpoints say in the same words whether a text has one label or any number."""
        several = "multi_label" if recipe.data.multiple else "single_label"
        return {**super().described(recipe, examples), "problem_type": f"{several}_classification"}

    def batches(
        self, model: Transformer, examples: Sequence[LabelledText], *, seed: int | None
    ) -> ExampleBatches:
        """Texts of like length, and their labels."""
        bounds = self.bounds(model)
        targets = self.targets(examples)
        texts = [text_of(example) for example in examples]
        encodings = encoded(self.tokenizer, texts, bounds["max_length"], truncate=True)
        return with_labels(model, self.tokenizer, encodings, targets, seed=seed, bounds=bounds)

    def targets(self, examples: Sequence[LabelledText]) -> Tensor:
        """N numbers, or, where a text may have several labels, N L of 0 and 1."""
        known = {label: number for number, label in enumerate(self.labels)}
        rows = [numbered(each.labels, known, f"the text {each.text[:30]!r}") for each in examples]
        if not self.recipe.data.multiple:
            return torch.tensor([row[0] for row in rows])
        table = torch.zeros(len(rows), len(known), dtype=torch.long)
        for row, numbers in zip(table, rows, strict=True):
            row[numbers] = 1
        return table

    def objective(self, examples: Sequence[LabelledText]) -> Objective:
        """One choice among the labels, or a yes or no for each."""
        training = self.recipe.training
        if self.recipe.data.multiple:
            return LabelsLoss()
        weights = None
        if training.class_weights == "balanced":
            weights = balanced(self.targets(examples), len(self.labels))
        return LabelLoss(training.label_smoothing, weights, training.r_drop)

    def measure(self, model: Transformer, examples: Sequence[LabelledText]) -> Mapping[str, float]:
        """Accuracy and its kin."""
        kind: Kind = "any" if self.recipe.data.multiple else "one"
        task = Classification(self.tokenizer, self.labels, kind)
        return evaluate(task, model, examples)
