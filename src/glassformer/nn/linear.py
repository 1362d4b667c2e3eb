"""A linear map, and what is quicker about it while a model learns in bfloat16 on a processor."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from glassformer.native.library import loaded
from glassformer.nn.kernels import address, first_derivative, has_kernels

HALF = torch.bfloat16
LINE = 32  # numbers of bfloat16 in a line of the cache
LEAST = 2**21  # numbers of x or y: for fewer the calls cost as much as they save
ONEDNN = bool(torch._C._has_mkldnn)


def learns_in_halves(*given: Tensor) -> bool:
    """Whether one of these learns, products are made in bfloat16, and there are kernels for what is around them."""
    return (
        torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == HALF
        and any(x.requires_grad for x in given)
        and has_kernels(*given)
        and bool(loaded().learn_has_pairs())
    )


def product(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """W x + b of each row, in bfloat16. Torch's own call first writes the bias into every row of the result."""
    if ONEDNN:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
        return y
    return functional.linear(rows, weight, bias)


class _Mapped(torch.autograd.Function):
    """W x + b. On the way back one pass turns the gradient and sums it, where torch takes a pass for each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(..., in), (out, in) and (out,) -> (..., out)."""
        rows, narrow = x.reshape(-1, x.shape[-1]).to(HALF), weight.to(HALF)
        y = product(rows, narrow, None if bias is None else bias.to(HALF))
        ctx.save_for_backward(rows, narrow)
        ctx.kinds = x.dtype, weight.dtype
        return y.view(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients with respect to x, W and b."""
        first_derivative()
        (rows, narrow), (kind, kind_of_weight) = ctx.saved_tensors, ctx.kinds
        of_x = of_weight = of_bias = None
        from_rows = gradient.reshape(-1, gradient.shape[-1]).to(HALF).contiguous()
        if ctx.needs_input_grad[0]:
            of_x = (from_rows @ narrow).to(kind).view(*gradient.shape[:-1], narrow.shape[1])
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            turned, sums = columns_and_sums(from_rows)
            of_weight = (turned @ rows).to(kind_of_weight) if ctx.needs_input_grad[1] else None
            of_bias = sums.to(kind_of_weight) if ctx.needs_input_grad[2] else None
        return of_x, of_weight, of_bias


def columns_and_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """(rows, size) -> (size, rows), and the sums over the rows (size,) in float32."""
    rows, size = x.shape
    room = x.new_empty(size * loaded().learn_turned_width(rows) + LINE)
    gap = -room.data_ptr() % (LINE * x.element_size()) // x.element_size()
    columns = room[gap : len(room) - LINE + gap].view(size, -1)
    sums = x.new_empty(size, dtype=torch.float32)
    loaded().learn_turn_columns(address(x), rows, size, address(columns), address(sums), torch.get_num_threads())
    return columns[:, :rows], sums


def mapped(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """W x + b: (..., in) -> (..., out)."""
    many = x.numel() // max(1, x.shape[-1]) * max(weight.shape) >= LEAST
    if many and learns_in_halves(x, weight):
        y: Tensor = _Mapped.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return y
    return functional.linear(x, weight, bias)


class Linear(nn.Linear):
    """Torch's linear map, `mapped`."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return mapped(x, self.weight, self.bias)
