"""The activations of the wide layer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from glassformer.native.library import loaded
from glassformer.nn.kernels import STORED, address, first_derivative, has_kernels

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu-tanh": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
}


class _GeluTanh(torch.autograd.Function):
    """Gelu by tanh from a kernel: in bfloat16 it takes half of the time that torch's does, whose others are as quick.

    The derivative is computed anew on the way back.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Any shape; the same shape."""
        x = x.contiguous()
        y = torch.empty_like(x)
        loaded().learn_gelu_tanh(STORED[x.dtype], address(x), address(y), x.numel(), torch.get_num_threads())
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The gradient with respect to x."""
        first_derivative()
        (x,) = ctx.saved_tensors
        gradient, y = gradient.contiguous(), torch.empty_like(x)
        given = address(x), address(gradient), address(y), x.numel(), torch.get_num_threads()
        loaded().learn_gelu_tanh_back(STORED[x.dtype], *given)
        return y


def activated(x: Tensor, name: str, *, learns: bool) -> Tensor:
    """The activation of each number of x; who learns has one of them by a kernel, to a few units in the last place."""
    if learns and name == "gelu-tanh" and x.requires_grad and has_kernels(x):
        y: Tensor = _GeluTanh.apply(x)  # type: ignore[no-untyped-call]
        return y
    return ACTIVATIONS[name](x)
