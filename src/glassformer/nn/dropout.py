"""Dropout: while a model learns, a share of its numbers is zero. Srivastava et al. 2014."""

from ctypes import byref
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from glassformer.native.library import Fate, loaded
from glassformer.nn.kernels import STORED, address, has_kernels

STEPS = 1 << 16  # shares that a random number of 16 bits can tell apart


def zeros_of(share: float) -> int:
    """Of so many numbers as there are steps, how many are dropped."""
    return min(round(share * STEPS), STEPS - 1)


def drawn_fate(share: float) -> Fate:
    """What decides which numbers are dropped: a seed, drawn from torch's random state."""
    zeros = zeros_of(share)
    seed = int(torch.empty((), dtype=torch.int64, device="cpu").random_(-(2**63), None)) if zeros else 0
    return Fate(zeros=zeros, keep=STEPS / (STEPS - zeros), seed=seed)


class _Dropped(torch.autograd.Function):
    """Dropout by a kernel, which draws the same fates on the way back: nothing of them is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fate: Fate) -> Tensor:
        """Any shape; the same shape."""
        ctx.fate, x = fate, x.contiguous()
        y, threads = torch.empty_like(x), torch.get_num_threads()
        loaded().learn_drop(STORED[x.dtype], byref(fate), address(x), address(y), x.numel(), threads)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient with respect to x."""
        return by_kernel(gradient, ctx.fate), None


def by_kernel(x: Tensor, fate: Fate) -> Tensor:
    """Some numbers of x dropped."""
    y: Tensor = _Dropped.apply(x, fate)  # type: ignore[no-untyped-call]
    return y


class _DroppedOnto(torch.autograd.Function):
    """What is left of x, added to a stream in float32."""

    @staticmethod
    def forward(ctx: Any, stream: Tensor, x: Tensor, fate: Fate) -> Tensor:
        """Two of the same shape; the same shape."""
        ctx.fate, ctx.kind = fate, x.dtype
        stream, x = stream.contiguous(), x.contiguous()
        y = torch.empty_like(stream)
        given = address(stream), address(x), address(y), x.numel(), torch.get_num_threads()
        loaded().learn_drop_onto(STORED[x.dtype], byref(fate), *given)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """The gradients with respect to the stream and to x."""
        if torch.is_grad_enabled():  # it will be differentiated again
            left = by_kernel(gradient, ctx.fate) if ctx.fate.zeros else gradient
            return gradient, left.to(ctx.kind), None
        gradient = gradient.contiguous()
        y = torch.empty_like(gradient, dtype=ctx.kind)
        given = address(gradient), address(y), gradient.numel(), torch.get_num_threads()
        loaded().learn_drop_back(STORED[ctx.kind], byref(ctx.fate), *given)
        return gradient, y, None


def dropped(x: Tensor, share: float) -> Tensor:
    """Each number of x zero with probability `share`, else 1 / (1 - share) as large, so that the mean stays.

    On a processor a number's fate is 16 random bits. The share is rounded to a multiple of 2^-16,
    and what makes up for it to what the kind of number of x can say. Where there are no kernels one draw of torch's
    serves four numbers: its own dropout draws for each, which takes about twice as long; a compiler knows only that.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.dropout(x, share)
    zeros = zeros_of(share)
    if not zeros:
        return x
    if has_kernels(x):
        return by_kernel(x, drawn_fate(share))
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device="cpu").random_(-(2**63), None)
    most = zeros - STEPS // 2  # from here on a number is kept
    kept = draws.view(torch.int16)[: x.numel()].view(x.shape).clamp_(most - 1, most).sub_(most - 1)  # 0 or 1
    return x * kept.to(x.dtype).mul_(STEPS / (STEPS - zeros))


class Dropout(nn.Module):
    """`dropped` while the model learns; nothing else."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return dropped(x, self.share) if self.training and self.share else x

    def onto(self, stream: Tensor, x: Tensor) -> Tensor:
        """The stream plus what is left of x, to the same bits as in two steps."""
        share = self.share if self.training else 0.0
        alike = stream.dtype == torch.float32 and stream.shape == x.shape
        if alike and (zeros_of(share) or x.dtype != stream.dtype) and has_kernels(stream, x):
            return _DroppedOnto.apply(stream, x, drawn_fate(share))  # type: ignore
        return stream + self(x)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"share={self.share:g}"
