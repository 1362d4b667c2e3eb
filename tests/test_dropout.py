"""Dropout: the share that is asked for, a mean that stays, gradients of what was kept, the same draws from a seed."""

import pytest
import torch
from torch.nn import functional

from glassformer.nn import attention
from glassformer.nn.dropout import Dropout, dropped

pytestmark = pytest.mark.usefixtures("both_ways_to_learn")

MANY = 400_003  # not a multiple of four


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5, 0.9])
def test_the_share_is_zero_and_the_others_make_up_for_it(share: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    y = dropped(torch.ones(MANY, dtype=dtype), share)
    zero = (y == 0).double().mean().item()
    assert y.dtype == dtype
    assert zero == pytest.approx(share, abs=4 * (share * (1 - share) / MANY) ** 0.5)  # four standard deviations
    assert y.unique().tolist() == pytest.approx([0, 1 / (1 - share)], rel=5e-3 if dtype == torch.bfloat16 else 1e-3)


def test_neighbours_fall_independently() -> None:
    """Some of them share a draw: no pair of its parts goes together more often than chance has it."""
    torch.manual_seed(1)
    kept = (dropped(torch.ones(100_000, 4), 0.5) > 0).double()
    together = torch.corrcoef(kept.T) - torch.eye(4)
    assert together.abs().max().item() < 0.015
    after = torch.corrcoef(torch.stack([kept.flatten()[:-4], kept.flatten()[4:]]))[0, 1]
    assert abs(after.item()) < 0.015


def test_the_gradient_passes_where_a_number_was_kept() -> None:
    torch.manual_seed(2)
    x = torch.randn(50, 7, dtype=torch.float64, requires_grad=True)
    y = dropped(x, 0.4)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient * x, y, rtol=1e-12, atol=0)
    assert 0 < (gradient == 0).sum() < x.numel()


def test_a_seed_gives_the_same_and_nothing_falls_outside_training() -> None:
    x, part = torch.randn(33, 3), Dropout(0.5)
    torch.manual_seed(3)
    first = part(x)
    torch.manual_seed(3)
    assert torch.equal(part(x), first)
    assert not torch.equal(part(x), first)
    assert part.eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert str(part) == "Dropout(share=0.5)"


def test_attention_that_drops_weights_is_torchs_but_for_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(4)
    q, k, v = torch.randn(3, 2, 4, 5, 8, dtype=torch.float64)
    added = attention.mask_of(torch.tensor([[1, 1, 1, 0, 0], [1] * 5]), 5, causal=True, dtype=torch.float64)
    seen = {
        "all": attention.Visibility(None),
        "mask": attention.Visibility(added),
        "future": attention.Visibility(None, causal=True),
    }
    monkeypatch.setattr(attention, "dropped", lambda weights, share: weights if share == 0.3 else None)
    for name, visible in seen.items():
        torch.testing.assert_close(
            attention.fused(q, k, v, visible, 0.3, 0.7),
            functional.scaled_dot_product_attention(
                q, k, v, attn_mask=added if name == "mask" else None, is_causal=name == "future", scale=0.7
            ),
            rtol=1e-12,
            atol=1e-12,
        )


def test_what_attention_drops_are_weights() -> None:
    """With values that are rows of the identity each result is a row of weights: some zero, the mean the same."""
    torch.manual_seed(5)
    q, k = torch.randn(2, 1, 1, 16, 8, dtype=torch.float64)
    weights, rows = (q @ k.mT).softmax(-1), torch.eye(16, dtype=torch.float64)[None, None]
    anywhere = attention.Visibility(None)
    drawn = torch.stack([attention.fused(q, k, rows, anywhere, 0.25, 1.0) for _ in range(4000)])
    assert (drawn == 0).double().mean().item() == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(drawn.mean(0), weights, rtol=0.06, atol=1e-3)
