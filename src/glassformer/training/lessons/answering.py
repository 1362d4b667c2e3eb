"""Question answering: where in the context the answer starts and ends."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from glassformer.data.batches import ExampleBatches
from glassformer.data.examples import Question
from glassformer.evaluation.answering import AT_BEST, BY_KIND, FIGURES, evaluate, figures_of, version_of
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint
from glassformer.tasks.answering import WINDOW, Answering, Search
from glassformer.tasks.wanted import NOWHERE, span_in
from glassformer.text.tokenizer import Encoding, Tokenizer
from glassformer.text.windows import windows
from glassformer.training.lessons.labelled import with_labels
from glassformer.training.lessons.lesson import Lesson, mean_loss
from glassformer.training.loss import Objective, SpanLoss
from glassformer.training.recipe import Recipe


class AnsweringLesson(Lesson[Question]):
    """Devlin et al. 2019, sections 4.2 and 4.3. A long context is learnt in overlapping windows."""

    kind = "questions"
    figures = ("loss", "nll", *FIGURES, *BY_KIND, *AT_BEST)
    head = "answer-span"
    counts = "labels"
    fields = {"stack": "encoder"}
    special = "bert"

    threshold: float | None = None
    no_answer = False  # whether the model may say that there is none

    @classmethod
    def texts(cls, examples: Sequence[Question]) -> Iterator[str]:
        """Every question, and every context once."""
        yield from dict.fromkeys(example.context for example in examples)
        yield from (example.question for example in examples)

    @classmethod
    def takes(cls, recipe: Recipe) -> frozenset[str]:
        """An answer is two choices among places, of which most are padding: nothing to smooth with."""
        return frozenset({"training.r_drop"})

    @classmethod
    def described(cls, recipe: Recipe, examples: Sequence[Question]) -> dict[str, Any]:
        """Whether it may say that there is no answer: where some of the questions have none."""
        return {
            **super().described(recipe, examples),
            "no_answer": any(not example.answers for example in examples),
        }

    @classmethod
    def measures_of(cls, recipe: Recipe, examples: Sequence[Question]) -> tuple[str, ...]:
        """Thresholds are tried where some questions have no answer."""
        version = version_of(examples)
        return ("loss", "nll", *figures_of(examples, version, version == "2.0"))

    def prepare(self, checkpoint: Checkpoint, source_tokenizer: Tokenizer | None) -> None:
        """Whether it may say that there is no answer hangs on what it learns from, not on what it is measured by."""
        self.no_answer = bool(checkpoint.raw.get("no_answer"))

    def batches(
        self, model: Transformer, examples: Sequence[Question], *, seed: int | None
    ) -> ExampleBatches:
        """Windows of like length, and where their answers stand."""
        bounds = self.bounds(model)
        found = [each for example in examples for each in self.windows(example, bounds["max_length"])]
        labels = torch.tensor([span for _, span in found])
        encodings = [one for one, _ in found]
        return with_labels(model, self.tokenizer, encodings, labels, seed=seed, bounds=bounds)

    def windows(self, example: Question, length: int) -> Iterator[tuple[Encoding, tuple[int, int]]]:
        """Each window of a context, and the positions at which the first right answer starts and ends."""
        encoding = self.tokenizer.encode(example.question, example.context)
        for window in windows(encoding, length):
            answer = example.answers[0] if example.answers else None
            yield window.encoding, NOWHERE if answer is None else span_in(window, answer)

    def objective(self, examples: Sequence[Question]) -> Objective:
        """Cross-entropy of both ends."""
        return SpanLoss(r_drop=self.recipe.training.r_drop)

    def measure(self, model: Transformer, examples: Sequence[Question]) -> Mapping[str, float]:
        """Exact match and F1, and the threshold that suits these questions best."""
        length = min(self.recipe.data.max_length, model.config.limit or WINDOW)
        task = Answering(self.tokenizer, Search(window=length, no_answer=self.no_answer))
        figures = evaluate(task, model, examples)
        self.recall(figures)
        return figures

    def tested(self, checkpoint: Checkpoint, examples: Sequence[Question]) -> Mapping[str, float]:
        """As the published model answers: with its own threshold, in windows as long as it reads."""
        model = checkpoint.transformer
        loss = mean_loss(model, self.batches(model, examples, seed=None), self.objective(examples))
        return {**loss, **evaluate(Answering.published(self.tokenizer, checkpoint.raw), model, examples)}

    def recall(self, metrics: Mapping[str, float]) -> None:
        """The threshold that suited the dev questions best."""
        self.threshold = metrics.get("best_threshold", self.threshold)

    def learnt(self) -> dict[str, Any]:
        """From when on no answer is given."""
        return {} if self.threshold is None else {"no_answer_threshold": self.threshold}
