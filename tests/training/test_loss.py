"""The loss against torch's own, and how batches add up."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glassformer.data.batch import IGNORE, Batch
from glassformer.training.loss import LabelLoss, SpanLoss, TokenLoss, cross_entropy

from .toy import toy_batches, toy_model


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_value_and_gradient_equal_torchs_in_float64(smoothing: float) -> None:
    torch.manual_seed(0)
    logits = (3 * torch.randn(50, 17, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(0, 17, (50,))
    expected = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad(expected * 0.37, logits)
    loss = cross_entropy(logits, labels, smoothing)
    (loss.total * 0.37).backward()
    assert loss.count == 50
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-13)
    assert loss.nll.item() == pytest.approx(
        F.cross_entropy(logits, labels, reduction="sum").item(), rel=1e-13
    )
    assert torch.allclose(logits.grad, gradient, rtol=0, atol=1e-14)
    assert not loss.nll.requires_grad


def test_far_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([1]), 0.1)
    loss.total.backward()
    assert loss.nll.item() == 2e4
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits = torch.randn(9, 5, dtype=torch.bfloat16, requires_grad=True)
    loss = cross_entropy(logits, torch.arange(9) % 5, 0.1)
    loss.total.backward()
    assert loss.total.dtype == torch.float32
    assert logits.grad.dtype == torch.bfloat16


def test_ignored_positions_change_nothing() -> None:
    """The whole logits with torch's own rule for ignored labels give the same loss."""
    model = toy_model(dropout=0.0, dtype="float64")
    batch = next(toy_batches().epoch(0))
    labels = batch.labels.clone()
    labels[:, 1] = IGNORE
    batch = Batch(**{**vars(batch), "labels": labels, "tokens": -1})
    logits = model(batch.source, batch.target, source_mask=batch.source_mask, target_mask=batch.target_mask)
    expected = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=0.1)
    loss = TokenLoss(0.1)(model, batch)
    assert loss.count == batch.tokens == int((labels != IGNORE).sum())
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-12)


def test_one_label_per_sequence() -> None:
    model = toy_model(
        stack="encoder", decoder_layers=0, head="sequence-label", labels=3, pooler=True, dropout=0.0
    )
    batch = Batch(source=torch.randint(4, 12, (3, 5)), labels=torch.tensor([2, IGNORE, 0]))
    loss = LabelLoss()(model, batch)
    logits = model(batch.source)
    assert loss.count == 2
    assert loss.total.item() == pytest.approx(
        F.cross_entropy(logits, batch.labels, reduction="sum").item(), rel=1e-6
    )


def test_two_passes_are_held_together_as_the_paper_says() -> None:
    """The same dropout again, torch's own divergences: Liang et al. 2021, equations 2 to 4, halved."""
    model = toy_model(dropout=0.3, dtype="float64").train()
    batch = next(toy_batches().epoch(0))
    torch.manual_seed(5)
    loss = TokenLoss(0.1, r_drop=4.0)(model, batch)
    loss.total.backward()
    gradient = model.tokens.weight.grad.clone()
    model.zero_grad()
    torch.manual_seed(5)
    twice = batch.repeated(2)
    counted = batch.labels != IGNORE
    first, second = (half[counted] for half in model(**twice.inputs()).chunk(2))
    labels = batch.labels[counted]
    log_p, log_q = first.log_softmax(-1), second.log_softmax(-1)
    apart = (
        F.kl_div(log_q, log_p, reduction="sum", log_target=True)
        + F.kl_div(log_p, log_q, reduction="sum", log_target=True)
    ) / 2
    one, two = (F.cross_entropy(each, labels, reduction="sum", label_smoothing=0.1) for each in (first, second))
    expected = (one + two + 4.0 * apart) / 2
    expected.backward()
    assert apart.item() > 0.01
    assert loss.count == batch.tokens
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-12)
    assert torch.allclose(gradient, model.tokens.weight.grad, rtol=0, atol=1e-12)


def test_two_passes_over_spans_are_held_together_where_some_places_are_padding() -> None:
    """The same dropout again, over what is there of each text alone: torch's own losses and divergences."""
    model = toy_model(
        stack="encoder", decoder_layers=0, head="answer-span", dropout=0.3, dtype="float64"
    ).train()
    lengths = (5, 3)
    batch = Batch(
        source=torch.randint(4, 12, (2, 5)),
        source_mask=torch.arange(5) < torch.tensor(lengths)[:, None],
        labels=torch.tensor([[1, 4], [0, 2]]),
    )
    torch.manual_seed(5)
    loss = SpanLoss(r_drop=4.0)(model, batch)
    loss.total.backward()
    gradient = model.tokens.weight.grad.clone()
    model.zero_grad()
    torch.manual_seed(5)
    first, second = model(**batch.repeated(2).inputs()).chunk(2)  # 2 T 2 each
    expected, apart = 0.0, 0.0
    for row, length in enumerate(lengths):
        for end in range(2):
            one, two = (half[row, :length, end][None] for half in (first, second))
            expected += sum(F.cross_entropy(each, batch.labels[row, end][None]) for each in (one, two))
            log_p, log_q = one.log_softmax(-1), two.log_softmax(-1)
            apart += sum(
                F.kl_div(*pair, reduction="sum", log_target=True) for pair in ((log_q, log_p), (log_p, log_q))
            )
    expected = (expected + 4.0 * apart / 2) / 2
    expected.backward()
    assert apart.item() > 0.01
    assert loss.count == 4
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-12)
    assert torch.allclose(gradient, model.tokens.weight.grad, rtol=0, atol=1e-12)


def test_without_dropout_two_passes_are_one() -> None:
    model = toy_model(dropout=0.0, dtype="float64").train()
    batch = next(toy_batches().epoch(0))
    one, two = TokenLoss(0.1)(model, batch), TokenLoss(0.1, r_drop=4.0)(model, batch)
    assert two.total.item() == pytest.approx(one.total.item(), rel=1e-12)
    assert two.nll.item() == pytest.approx(one.nll.item(), rel=1e-12)
    assert two.count == one.count


def test_a_model_that_does_not_learn_passes_once() -> None:
    model, batch = toy_model(dropout=0.3).eval(), next(toy_batches().epoch(0))
    assert TokenLoss(0.1, r_drop=4.0)(model, batch).total.item() == TokenLoss(0.1)(model, batch).total.item()


def test_perplexity_of_a_uniform_model_is_its_vocabulary() -> None:
    head = nn.Linear(4, 11)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    loss = cross_entropy(head(torch.randn(6, 4)), torch.arange(6), 0.1)
    assert (loss.nll / loss.count).exp().item() == pytest.approx(11.0, rel=1e-6)
