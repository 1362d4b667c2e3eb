"""The loss of a run as steps: from logits and labels to the one number that training makes smaller."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.nn.part import Part

LossKind = Literal["choice", "span", "any", "number"]


class LossSteps(Part):
    """How far logits are from labels; the arithmetic is that of training, each value of it named.

    `choice`: one of the last axis at each place, (B T V) or (B L) against (B T) or (B), nothing where a label is
    `ignored`; with `smoothing`, 1 - smoothing of the target lies on the label and the rest on all alike (Szegedy et
    al. 2016, section 7). `span`: one of the positions for each end, (B T 2) against (B 2). `any`: a yes or no for each
    label, (B L) against 0 and 1. `number`: a value for each, (B L) against (B L). `over` is the axis that a choice at
    each position is made along: V, the vocabulary, or L, labels. With `weights` (L) each label weighs by itself.
    """

    def __init__(
        self,
        kind: LossKind,
        *,
        ignored: int,
        smoothing: float = 0.0,
        over: str = "V",
        weights: Tensor | None = None,
        path: str = "loss",
    ) -> None:
        super().__init__()
        self.path, self.weights = path, weights
        if not 0.0 <= smoothing < 1.0:
            raise InputError(f"label_smoothing is {smoothing!r}; expected a share from 0 to below 1")
        if smoothing and kind != "choice":
            raise InputError("label smoothing is for one label of several; leave label_smoothing out")
        self.kind, self.ignored, self.smoothing, self.over = kind, ignored, smoothing, over

    def forward(
        self, logits: Tensor, labels: Tensor, mask: Tensor | None = None, trace: Trace | None = None
    ) -> Tensor:
        """Logits and labels -> the mean loss of a label, a number without axes; `mask` (B, T) belongs to a span."""
        count = int((labels != self.ignored).sum())
        if count == 0:
            raise InputError("nothing is wanted of this text, so it has no loss; give a target with a label")
        each = self.each(logits, labels, mask, trace)
        total = self.step("total", "", each.sum(), trace, "total", (each,))
        return self.step("mean", "", total / count, trace, "mean_loss", (total,), count=count)

    def each(self, logits: Tensor, labels: Tensor, mask: Tensor | None, trace: Trace | None) -> Tensor:
        """The loss of each label."""
        wide = logits.float() if logits.itemsize < 4 else logits
        if self.kind in ("any", "number"):
            labels = self.step("labels", "B L", labels, trace, "given")
            if self.kind == "number":
                found = (wide - labels) ** 2
                return self.step("each", "B L", found, trace, "squared_error", (logits, labels))
            found = torch.logaddexp(wide, torch.zeros_like(wide)) - labels * wide
            return self.step("each", "B L", found, trace, "binary_cross_entropy", (logits, labels))
        if self.kind == "span":
            return self.of_span(logits, wide, labels, mask, trace)
        return self.of_choice(logits, wide, labels, trace)

    def of_choice(self, logits: Tensor, wide: Tensor, labels: Tensor, trace: Trace | None) -> Tensor:
        """-ln y of what is wanted at each place, nothing where nothing is."""
        axes, whole = ("B T", f"B T {self.over}") if logits.ndim == 3 else ("B", "B L")
        labels = self.step("labels", axes, labels, trace, "given")
        logs = self.step(
            "log_probabilities", whole, wide.log_softmax(-1), trace, "log_probabilities", (logits,)
        )
        inputs: tuple[Tensor, ...] = (logs, labels)
        weighed, formula = logs, "cross_entropy"
        if self.weights is not None:
            weights = self.step("weights", "L", self.weights.to(logs), trace, "given")
            inputs, weighed = (*inputs, weights), logs * weights
        counted = labels != self.ignored
        found = -weighed.gather(-1, labels.where(counted, 0)[..., None])[..., 0]
        constants = {"ignored": float(self.ignored)}
        if self.smoothing:
            found = (1.0 - self.smoothing) * found - self.smoothing * weighed.mean(-1)
            formula, constants["smoothing"] = f"smoothed_{formula}", self.smoothing
        formula = formula if self.weights is None else f"weighted_{formula}"
        return self.step("each", axes, found.where(counted, 0.0), trace, formula, inputs, **constants)

    def of_span(
        self, logits: Tensor, wide: Tensor, labels: Tensor, mask: Tensor | None, trace: Trace | None
    ) -> Tensor:
        """-ln y of where the answer starts and where it ends."""
        labels = self.step("labels", "B L", labels, trace, "given")
        hidden = wide if mask is None else wide.masked_fill(~mask.bool()[..., None], -torch.inf)
        logs = self.step(
            "log_probabilities",
            "B T L",
            hidden.log_softmax(1),
            trace,
            "span_log_probabilities",
            (logits, mask),
        )
        found = -logs.gather(1, labels[:, None, :])[:, 0]
        return self.step("each", "B L", found, trace, "span_cross_entropy", (logs, labels))


class PretrainingLossSteps(Part):
    """BERT's two losses, added: of the hidden words, and of whether the second text follows the first.

    Devlin et al. 2019, appendix A.2.
    """

    path = "loss"

    def __init__(self, *, ignored: int) -> None:
        super().__init__()
        self.words = LossSteps("choice", ignored=ignored, path="loss.hidden_words")
        self.neighbours = LossSteps("choice", ignored=ignored, path="loss.next_sentence")

    def forward(
        self, logits: Tensor, labels: Tensor, guesses: Tensor, follows: Tensor, trace: Trace | None = None
    ) -> Tensor:
        """(B T V) against (B T), and (B 2) against (B): 0 where the second text follows -> one number."""
        words = self.words(logits, labels, None, trace)
        neighbours = self.neighbours(guesses, follows, None, trace)
        return self.step("mean", "", words + neighbours, trace, "both_losses", (words, neighbours))


@contextmanager
def overheard(part: nn.Module) -> Iterator[list[Tensor]]:
    """What a part answers while a model runs in which others go on from something else."""
    heard: list[Tensor] = []

    def hear(_: nn.Module, __: Any, answer: Tensor) -> None:
        heard.append(answer)

    handle = part.register_forward_hook(hear)
    try:
        yield heard
    finally:
        handle.remove()
