"""Attention by several calls, as a processor learns quickest, and by torch's one: the same numbers and gradients."""

import pytest
import torch
from torch import Tensor

from glassformer.nn import attention
from glassformer.nn.attention import SEVERAL_CALLS, Visibility, fused, in_one_call, mask_of

pytestmark = pytest.mark.usefixtures("both_ways_to_learn")

SHAPE = (2, 3, 6, 8)  # B H T D
PADDED = torch.tensor([[1, 1, 1, 1, 0, 0], [1] * 6])


def seen(dtype: torch.dtype) -> dict[str, Visibility]:
    """What queries may see: everything, not the padding, not their future, and with what distance adds."""
    torch.manual_seed(1)
    mask = mask_of(PADDED, 6, True, dtype)
    return {
        "all": Visibility(None),
        "padding": Visibility(mask_of(PADDED, 6, False, dtype)),
        "future": Visibility(None, causal=True),
        "distance": Visibility(mask, torch.randn(1, 3, 6, 6, dtype=dtype)),
    }


def drawn(dtype: torch.dtype) -> list[Tensor]:
    """Queries, keys and values."""
    torch.manual_seed(0)
    return [torch.randn(SHAPE, dtype=dtype).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("name", ["all", "padding", "future", "distance"])
def test_several_calls_are_the_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = drawn(torch.float64)
    visible, slope = seen(torch.float64)[name], torch.randn(SHAPE, dtype=torch.float64)
    expected = in_one_call(q, k, v, visible, 0.0, 0.4)
    gradients = torch.autograd.grad(expected, (q, k, v), slope)
    monkeypatch.setattr(attention, "dropped", lambda weights, share: weights)
    mixed = fused(q, k, v, visible, 0.3, 0.4)
    torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-13)
    for mine, theirs in zip(torch.autograd.grad(mixed, (q, k, v), slope), gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["all", "padding", "future", "distance"])
def test_in_bfloat16_they_are_near_the_one_in_float32(name: str) -> None:
    q, k, v = drawn(torch.float32)
    visible, slope = seen(torch.float32)[name], torch.randn(SHAPE)
    expected = in_one_call(q, k, v, visible, 0.0, 0.4)
    gradients = torch.autograd.grad(expected, (q, k, v), slope)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = fused(q, k, v, visible, 0.0, 0.4)
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), expected, rtol=0, atol=0.03)
    for mine, theirs in zip(torch.autograd.grad(mixed.float(), (q, k, v), slope), gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0.05)


def test_a_query_that_may_look_nowhere_looks_everywhere_alike_in_bfloat16_too() -> None:
    q, k, v = drawn(torch.float32)
    nothing = Visibility(mask_of(torch.zeros_like(PADDED), 6, False, torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = fused(q, k, v, nothing, 0.0, 0.4)
    torch.testing.assert_close(mixed.float(), v.mean(2, keepdim=True).expand(SHAPE), rtol=0, atol=0.02)
    assert all(each.isfinite().all() for each in torch.autograd.grad(mixed.float().sum(), (q, k, v)))


@pytest.mark.parametrize(
    ("keys", "mixed", "learns", "calls"),
    [
        (8, False, True, 1),
        (8, False, False, 1),
        (8, True, False, 1),
        (SEVERAL_CALLS, True, True, 0),
        (SEVERAL_CALLS + 1, True, True, 1),
    ],
)
def test_one_call_answers_and_learns_from_long_texts(
    keys: int, mixed: bool, learns: bool, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[torch.dtype] = []

    def counted(q: Tensor, *rest: object) -> Tensor:
        made.append(q.dtype)
        return in_one_call(q, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(attention, "in_one_call", counted)
    x = torch.randn(1, 1, keys, 4, requires_grad=learns)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        fused(x, x, x, Visibility(None), 0.0, 0.5)
    assert made == [torch.float32] * calls
