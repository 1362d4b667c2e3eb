"""All of attention while a model learns in bfloat16: one kernel there and one back, of heads as they lie in memory."""

from ctypes import byref
from typing import Any

import torch
from torch import Tensor

from glassformer.native.library import Mix, Rows, loaded
from glassformer.nn.dropout import drawn_fate
from glassformer.nn.kernels import first_derivative, has_kernels
from glassformer.nn.softmax import done, scores_of


def attends(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None) -> bool:
    """Whether there is a kernel for these: a processor that multiplies pairs of bfloat16, rows of whole steps, and
    nothing added to scores that learns.
    """
    if added is not None and added.requires_grad:
        return False
    pairs = {q.dtype, k.dtype, v.dtype} == {torch.bfloat16} and q.numel() * k.numel() > 0
    return pairs and has_kernels(q, k, v) and bool(loaded().learn_attends(q.shape[-1]))


class _Attended(torch.autograd.Function):
    """Of the way there the weights are kept, before any of them were dropped."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float, added: Tensor | None, causal: bool, share: float
    ) -> Tensor:
        """(B, H, Q, D), twice (B, H, K, D) and what is added to scores -> (B, H, Q, D)."""
        q, k, v = side_by_side(q), side_by_side(k), side_by_side(v)
        shape = *q.shape[:3], k.shape[2]
        fate, (scores, kept) = drawn_fate(share), scores_of(shape, scale, added, causal, q.dtype)
        weights = q.new_empty(*shape[:3], loaded().learn_attention_width(shape[3]))
        mixed = empty_rows(q)
        mix = mix_of(q, k, v, mixed, weights)
        done(loaded().learn_attend(byref(fate), byref(scores), byref(mix), torch.get_num_threads()))
        del kept
        scores.added = None
        ctx.fate, ctx.scores = fate, scores
        ctx.save_for_backward(q, k, v, weights)
        return mixed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients with respect to queries, keys and values."""
        first_derivative()
        q, k, v, weights = ctx.saved_tensors
        gradient, of_q, of_k, of_v = side_by_side(gradient), *map(empty_rows, (q, k, v))
        mix, gradients = mix_of(q, k, v, gradient, weights), mix_of(of_q, of_k, of_v, gradient, weights)
        given = byref(ctx.fate), byref(ctx.scores), byref(mix), byref(gradients)
        done(loaded().learn_attend_back(*given, torch.get_num_threads()))
        return of_q, of_k, of_v, None, None, None, None


def side_by_side(x: Tensor) -> Tensor:
    """The same, the numbers of a row one after the other."""
    return x if x.stride(-1) == 1 else x.contiguous()


def empty_rows(like: Tensor) -> Tensor:
    """(B, H, T, D) without numbers yet, which lie in memory as (B, T, H, D): as a linear map reads and gives them."""
    batch, heads, length, size = like.shape
    return like.new_empty(batch, length, heads, size).transpose(1, 2)


def mix_of(q: Tensor, k: Tensor, v: Tensor, mixed: Tensor, weights: Tensor) -> Mix:
    """Where they all are."""
    rows = (Rows(x.data_ptr(), *x.stride()[:3]) for x in (q, k, v, mixed))
    return Mix(q.shape[-1], *rows, weights.data_ptr())


def attended(q: Tensor, k: Tensor, v: Tensor, scale: float, added: Tensor | None, causal: bool, share: float) -> Tensor:
    """softmax(scale * q k + added) v, of whose weights a share is dropped; where `causal` the last query sees all, each
    before it one key less. Nothing learns from what is added.
    """
    y: Tensor = _Attended.apply(q, k, v, scale, added, causal, share)  # type: ignore[no-untyped-call]
    return y
