"""How far the model's probabilities are from the labels."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from glassformer.data.batch import IGNORE, Batch
from glassformer.model import Transformer
from glassformer.nn.compiled import compiled
from glassformer.nn.heads import LanguageHead, guess_of
from glassformer.training.utilization import count_product

ALIGNED = 64  # columns; a GPU multiplies matrices of other widths, such as 50257, several times slower


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


def shares(logits: Tensor, labels: Tensor, words: int, smoothing: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of logits N P: log p of the labels, the sum of log p of all `words`, and p less what smoothing wants of each.

    This is what is compiled: read once, written once, in float32 only on the way.
    """
    log_p = torch.log_softmax(logits.float() if logits.itemsize < 4 else logits, dim=-1)
    chosen = log_p.gather(-1, labels[:, None])
    spread = log_p[:, :words].sum() if smoothing else torch.zeros((), dtype=log_p.dtype, device=log_p.device)
    p = log_p.exp_()
    return chosen, spread, (p - smoothing / words if smoothing else p).to(logits.dtype)


class _WordsCrossEntropy(torch.autograd.Function):
    """The same two sums from the rows that meet the words, on a GPU: logits and gradient in the products' own kind
    of number, and the table of words as wide as products are quick with; what is too much weighs nothing.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        smoothing: float,
        kind: torch.dtype,
        work: Callable[..., tuple[Tensor, Tensor, Tensor]],
    ) -> tuple[Tensor, Tensor]:
        """Smoothed and plain sums of -log p."""
        words, spare = len(weight), -len(weight) % ALIGNED
        narrow, table = rows.to(kind), functional.pad(weight.to(kind), (0, 0, 0, spare))
        logits = functional.linear(narrow, table, None if bias is None else functional.pad(bias.to(kind), (0, spare)))
        logits[:, words:] = -torch.inf
        chosen, spread, slope = work(logits, labels, words, smoothing)
        slope.scatter_(-1, labels[:, None], (chosen.exp() - (1 - smoothing) - smoothing / words).to(slope.dtype))
        nll = -chosen.sum()
        total = (1 - smoothing) * nll - smoothing * spread / words if smoothing else nll.clone()
        ctx.save_for_backward(narrow, table, slope)
        ctx.words, ctx.kinds = words, (rows.dtype, weight.dtype, None if bias is None else bias.dtype)
        ctx.mark_non_differentiable(nll)
        return total, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of the smoothed sum with respect to rows, weight and bias."""
        narrow, table, slope = ctx.saved_tensors
        words, (of_rows, of_weight, of_bias) = ctx.words, ctx.kinds
        rows = weight = bias = None
        if ctx.needs_input_grad[0]:
            rows = (slope @ table).to(of_rows) * gradient
        if ctx.needs_input_grad[1]:
            weight = (slope.mT @ (narrow * gradient))[:words].to(of_weight)
        if ctx.needs_input_grad[2]:
            bias = slope.sum(0, dtype=gradient.dtype)[:words].to(of_bias) * gradient
        return rows, weight, bias, None, None, None, None


def words_cross_entropy(
    head: LanguageHead, rows: Tensor, labels: Tensor, smoothing: float, *, compile_it: bool
) -> Loss:
    """`cross_entropy` of what a head says of rows (N C), in one piece with its largest product."""
    device, x = rows.device.type, head.transformed(rows)
    scaled = x * head.scale if head.scale != 1.0 else x
    kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else scaled.dtype
    work = compiled(shares) if compile_it else shares
    linear = head.output
    count_product(linear, len(scaled))
    total, nll = _WordsCrossEntropy.apply(  # type: ignore[no-untyped-call]
        scaled, linear.weight, linear.bias, labels, smoothing, kind, work
    )
    return Loss(total=total, nll=nll, count=len(labels))


def cross_entropy_of_words(model: Transformer, rows: Tensor, labels: Tensor, smoothing: float = 0.0) -> Loss:
    """Cross-entropy of what the model's head says of rows (N C), in the way that is quick on this device."""
    head = model.head
    if rows.is_cuda and torch.is_grad_enabled() and isinstance(head, LanguageHead) and type(head.output) is nn.Linear:
        return words_cross_entropy(head, rows, labels, smoothing, compile_it=model.compiled)
    return cross_entropy(head(rows), labels, smoothing)


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """How far two sets of logits N L are apart: the mean of both Kullback-Leibler divergences, summed over N.

    (KL(p|q) + KL(q|p)) / 2 = sum of (p - q) (log p - log q) / 2. Liang et al. 2021, section 2.1, equation 2.
    """
    log_p, log_q = (torch.log_softmax(each.float() if each.itemsize < 4 else each, dim=-1) for each in (first, second))
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum() / 2


def labels_of(batch: Batch) -> Tensor:
    """The labels of a batch to learn from."""
    assert batch.labels is not None, "a batch to learn from carries labels"
    return batch.labels


def counted_of(rows: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Of rows (B T C) and labels (B T) those with a label: (N C) and (N). A GPU is told how many, so nothing waits."""
    rows, labels = rows.flatten(0, 1), labels.flatten()
    if count == len(labels):
        return rows, labels
    missing = labels == IGNORE
    places = missing.byte().sort(stable=True).indices[:count] if labels.is_cuda else (~missing).nonzero()[:, 0]
    return rows.index_select(0, places), labels.index_select(0, places)


@dataclass(frozen=True)
class ChoiceLoss(ABC):
    """Cross-entropy of choices among labels; with `r_drop` also how far two passes with different dropout are apart."""

    smoothing: float = 0.0
    weights: Tensor | None = None  # of each label; None: all weigh the same
    r_drop: float = 0.0  # Liang et al. 2021, section 2.1: alpha

    @abstractmethod
    def choices(self, model: Transformer, batch: Batch) -> tuple[Tensor, Tensor]:
        """The logits N L of what is scored, and its labels N."""

    def __call__(self, model: Transformer, batch: Batch) -> Loss:
        """The loss of one batch; when the model does not learn, of one pass."""
        if not self.r_drop or not model.training:
            return self.of_one_pass(model, batch)
        logits, labels = self.choices(model, batch.repeated(2))  # 2N L: dropout tells the halves apart
        loss = self.measured(logits, labels)
        apart = divergence(*logits.chunk(2))
        return Loss(
            total=(loss.total + self.r_drop * apart) / 2, nll=loss.nll / 2, count=loss.count // 2
        )  # half of the paper's: the rate that suits one pass suits two

    def of_one_pass(self, model: Transformer, batch: Batch) -> Loss:
        """The loss of one batch, read once."""
        return self.measured(*self.choices(model, batch))

    def measured(self, logits: Tensor, labels: Tensor) -> Loss:
        """The cross-entropy of what is scored."""
        if self.weights is None:
            return cross_entropy(logits, labels, self.smoothing)
        return weighted(logits, labels, self.weights, self.smoothing)


class TokenLoss(ChoiceLoss):
    """At each position that has a label; the others never meet the vocabulary."""

    def choices(self, model: Transformer, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits N V of the positions that count."""
        rows, labels = self.rows(model, batch)
        return model.head(rows), labels

    def rows(self, model: Transformer, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the head is given at the positions that count, N C, and their labels."""
        return counted_of(model.body(**batch.inputs()), labels_of(batch), batch.tokens)

    def of_one_pass(self, model: Transformer, batch: Batch) -> Loss:
        """The loss of one batch, read once."""
        rows, labels = self.rows(model, batch)
        if self.weights is not None:
            return self.measured(model.head(rows), labels)
        return cross_entropy_of_words(model, rows, labels, self.smoothing)


class LabelLoss(ChoiceLoss):
    """One label per sequence, (B L) against (B)."""

    def choices(self, model: Transformer, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits N L of the sequences that have a label."""
        logits, labels = model(**batch.inputs()), labels_of(batch)  # B L, B
        if batch.tokens == len(labels):
            return logits, labels
        counted = labels != IGNORE
        return logits[counted], labels[counted]


@dataclass(frozen=True)
class LabelsLoss:
    """Any number of labels per sequence: a yes or no for each, (B L) against (B L) of 0 and 1."""

    def __call__(self, model: Transformer, batch: Batch) -> Loss:
        """The loss of one batch."""
        logits, labels = model(**batch.inputs()), labels_of(batch)
        total = functional.binary_cross_entropy_with_logits(
            logits.float() if logits.itemsize < 4 else logits, labels.to(logits.dtype), reduction="sum"
        )
        return Loss(total=total, nll=total.detach(), count=labels.numel())


@dataclass(frozen=True)
class SpanLoss(ChoiceLoss):
    """Where an answer starts and where it ends, each a choice among the positions: (B T 2) against (B 2).

    Devlin et al. 2019, section 4.2.
    """

    def choices(self, model: Transformer, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits 2B T, two rows for a sequence, and labels 2B."""
        logits, labels = model(**batch.inputs()), labels_of(batch)
        mask = batch.source_mask if model.decoder is None else batch.target_mask
        if mask is not None:  # finite, for the divergence of R-Drop: nothing less nothing; its exponential is 0
            logits = logits.masked_fill(~mask.bool()[..., None], torch.finfo(logits.dtype).min / 2)
        return logits.mT.flatten(0, 1), labels.flatten()


@dataclass(frozen=True)
class PretrainingLoss:
    """The hidden tokens, and whether the second text follows the first: two means, added.

    Devlin et al. 2019, appendix A.2. The plain figure beside it is that of the tokens.
    """

    def __call__(self, model: Transformer, batch: Batch) -> Loss:
        """The loss of one batch."""
        hidden = model.body(**batch.inputs())
        tokens = cross_entropy_of_words(model, *counted_of(hidden, labels_of(batch), batch.tokens))
        assert batch.follows is not None, "a batch of two texts says whether they follow one another"
        guesses = guess_of(model.head)(hidden, batch.source_mask)  # B 2
        follows = cross_entropy(guesses, batch.follows)
        share = tokens.count / follows.count
        return Loss(total=tokens.total + share * follows.total, nll=tokens.nll, count=tokens.count)


def weighted(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float) -> Loss:
    """Cross-entropy in which each label has its own weight, N L against N; the plain sum beside it has none."""
    weights = weights.to(logits.device, logits.dtype)
    total = functional.cross_entropy(logits, labels, weights, reduction="sum", label_smoothing=smoothing)
    nll = functional.cross_entropy(logits.detach(), labels, reduction="sum")
    return Loss(total=total, nll=nll, count=len(labels))


def balanced(labels: Tensor, count: int) -> Tensor:
    """The weight of each of `count` labels with which all weigh the same together: N / (count * how many it has)."""
    seen = torch.bincount(labels[labels != IGNORE], minlength=count).clamp(min=1)
    return seen.sum() / (count * seen)
