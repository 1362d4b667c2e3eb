"""From scores to weights while a model learns: scaled, hidden, made shares, some of them dropped, in one pass."""

from collections.abc import Sequence
from ctypes import byref, c_int64
from typing import Any

import torch
from torch import Tensor

from glassformer.native.library import Scores, loaded
from glassformer.nn.dropout import drawn_fate
from glassformer.nn.kernels import STORED, address, first_derivative


class _Weighed(torch.autograd.Function):
    """Forward and back by kernels; of the way there only the weights are kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, added: Tensor | None, causal: bool, share: float) -> Tensor:
        """(B, H, Q, K), and what is added to it -> (B, H, Q, K)."""
        x, fate = x.contiguous(), drawn_fate(share)
        ctx.shape = () if added is None else added.shape
        scores, kept = scores_of(x.shape, scale, added, causal, x.dtype)
        weights = torch.empty_like(x)
        dropped = torch.empty_like(x) if fate.zeros else None
        second = None if dropped is None else address(dropped)
        given = address(x), address(weights), second, torch.get_num_threads()
        done(loaded().learn_weigh(STORED[x.dtype], byref(fate), byref(scores), *given))
        del kept
        scores.added = None
        ctx.fate, ctx.scores = fate, scores
        ctx.save_for_backward(weights)
        return weights if dropped is None else dropped

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient with respect to the scores."""
        first_derivative()
        (weights,) = ctx.saved_tensors
        gradient, y = gradient.contiguous(), torch.empty_like(weights)
        given = address(weights), address(gradient), address(y), torch.get_num_threads()
        done(loaded().learn_weigh_back(STORED[y.dtype], byref(ctx.fate), byref(ctx.scores), *given))
        of_added = None
        if ctx.needs_input_grad[2]:
            scale = ctx.scores.scale
            of_added = (y if scale == 1 else y / scale).sum_to_size(ctx.shape)
        return y, None, of_added, None, None


def scores_of(
    shape: Sequence[int], scale: float, added: Tensor | None, causal: bool, kind: torch.dtype
) -> tuple[Scores, Tensor | None]:
    """What kernels need to know of scores (B, H, Q, K); and what is added to them, which has to outlive their work."""
    if added is None:
        return Scores(*shape, added=None, strides=(c_int64 * 3)(), causal=causal, scale=scale), None
    added = added.to(kind)
    added = (added if added.stride(-1) == 1 else added.contiguous()).expand(*shape)
    spread = (c_int64 * 3)(*added.stride()[:3])
    return Scores(*shape, added=added.data_ptr(), strides=spread, causal=causal, scale=scale), added


def done(failed: int) -> None:
    """Raise MemoryError where a kernel found no room for a row."""
    if failed:
        raise MemoryError("there was no memory for a row of scores")


def weighed(x: Tensor, scale: float, added: Tensor | None, causal: bool, share: float) -> Tensor:
    """softmax(scale * x + added), of which a share is dropped; where `causal` the last query sees all, each before it
    one key less. For scores that kernels can compute with.
    """
    y: Tensor = _Weighed.apply(x, scale, added, causal, share)  # type: ignore[no-untyped-call]
    return y
