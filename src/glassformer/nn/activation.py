"""The activations of the wide layer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from glassformer.native.library import ACTIVATIONS as NUMBERS
from glassformer.native.library import loaded
from glassformer.nn.kernels import STORED, address, has_kernels

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu-tanh": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
}
QUICK = {"relu"}  # torch's own is one instruction each way


class _Activated(torch.autograd.Function):
    """The same by a kernel, which computes the derivative anew on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, number: int) -> Tensor:
        """Any shape; the same shape."""
        x, ctx.number = x.contiguous(), number
        y, threads = torch.empty_like(x), torch.get_num_threads()
        loaded().learn_activate(STORED[x.dtype], number, address(x), address(y), x.numel(), threads)
        ctx.save_for_backward(x)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The gradient with respect to x."""
        (x,) = ctx.saved_tensors
        gradient, y, threads = gradient.contiguous(), torch.empty_like(x), torch.get_num_threads()
        kind = STORED[x.dtype]
        loaded().learn_activate_back(kind, ctx.number, address(x), address(gradient), address(y), x.numel(), threads)
        return y, None


def activated(x: Tensor, name: str, *, learns: bool) -> Tensor:
    """The activation of each number of x; who learns has it by a kernel, to a few units in the last place."""
    if learns and name not in QUICK and x.requires_grad and has_kernels(x):
        y: Tensor = _Activated.apply(x, NUMBERS[name])  # type: ignore[no-untyped-call]
        return y
    return ACTIVATIONS[name](x)
