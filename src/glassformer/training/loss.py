"""How far the model's probabilities are from the labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from glassformer.data.batch import IGNORE, Batch
from glassformer.model import Transformer


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Sums over a batch's labels, not means: batches of different sizes add up."""

    total: Tensor  # what is minimised, with its gradient
    nll: Tensor  # -log p(label), without smoothing and without gradient; exp of its mean is the perplexity
    count: int  # labels


Objective = Callable[[Transformer, Batch], Loss]


class _SmoothedCrossEntropy(torch.autograd.Function):
    """Both sums from one log-softmax; the gradient, p - (1 - s) onehot - s / V, is written over it.

    Composed from torch's own parts the same numbers take more passes over memory, and this is the largest
    tensor of a training step.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        """Smoothed and plain sums of -log p."""
        log_p = torch.log_softmax(logits, dim=-1)
        nll = -log_p.gather(-1, labels[:, None]).sum()
        total = nll if not smoothing else (1 - smoothing) * nll - smoothing * log_p.sum() / logits.shape[-1]
        ctx.save_for_backward(log_p, labels)
        ctx.smoothing = smoothing
        nll = nll.clone()
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the smoothed sum with respect to the logits."""
        log_p, labels = ctx.saved_tensors
        p = log_p.exp_()
        if ctx.smoothing:
            p -= ctx.smoothing / p.shape[-1]
        hit = torch.full((len(labels), 1), ctx.smoothing - 1, dtype=p.dtype, device=p.device)
        return p.scatter_add_(-1, labels[:, None], hit).mul_(gradient), None, None


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Loss:
    """Label-smoothed cross-entropy of logits (N V) against labels (N), and the plain one beside it.

    The target gives 1 - smoothing to the label and spreads smoothing evenly over the vocabulary, the label
    included. Szegedy et al. 2016, section 7.
    """
    precise = logits.float() if logits.itemsize < 4 else logits
    total, nll = _SmoothedCrossEntropy.apply(precise, labels, smoothing)  # type: ignore[no-untyped-call]
    return Loss(total=total, nll=nll, count=len(labels))


@dataclass(frozen=True)
class TokenLoss:
    """Cross-entropy at each position that has a label; the others never meet the vocabulary."""

    smoothing: float = 0.0

    def __call__(self, model: Transformer, batch: Batch) -> Loss:
        """The loss of one batch."""
        hidden = model.body(
            batch.source,
            batch.target,
            source_mask=batch.source_mask,
            target_mask=batch.target_mask,
            segments=batch.segments,
        )  # B T C
        assert batch.labels is not None, "a batch to learn from carries labels"
        counted = batch.labels != IGNORE  # B T
        return cross_entropy(model.head(hidden[counted]), batch.labels[counted], self.smoothing)


@dataclass(frozen=True)
class LabelLoss:
    """Cross-entropy of one label per sequence, (B L) against (B)."""

    smoothing: float = 0.0

    def __call__(self, model: Transformer, batch: Batch) -> Loss:
        """The loss of one batch."""
        logits = model(
            batch.source,
            batch.target,
            source_mask=batch.source_mask,
            target_mask=batch.target_mask,
            segments=batch.segments,
        )  # B L
        assert batch.labels is not None, "a batch to learn from carries labels"
        counted = batch.labels != IGNORE  # B
        return cross_entropy(logits[counted], batch.labels[counted], self.smoothing)
