"""Rounded weights in a file: whole numbers, and beside them the scales that they are multiples of.

A matrix `name` of int8 has `name.rounded_scale` beside it, a scale for each row of the map. Of int4 two numbers share a
byte, all in one line: `name.rounded_shape` says how they lie, and there is a scale for each GROUP numbers of a row.
Both lie as the family lays its matrices, so a map that it stores turned over has its scales turned over too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SCALE, SHAPE = ".rounded_scale", ".rounded_shape"
GROUP = 32  # numbers of a row that share a scale of int4
MOST = {"int8": 127, "int4": 7}


@dataclass(frozen=True)
class Parted:
    """A weight (N, K) as whole numbers and scales, (N, 1) or (N, K / GROUP)."""

    precision: str
    whole: Tensor
    scale: Tensor


def parted(weight: Tensor, precision: str) -> Parted:
    """A weight that the engine has rounded already, as the numbers that it was rounded to."""
    if precision == "int8":
        scale = weight.abs().amax(1, keepdim=True) / MOST["int8"]
        return Parted(precision, multiples(weight, scale), scale)
    rows, columns = weight.shape
    groups = functional.pad(weight, (0, -columns % GROUP)).view(rows, -1, GROUP)
    most = groups.gather(2, groups.abs().argmax(2, keepdim=True))
    eighth, seventh = ((most / steps).bfloat16().float() for steps in (-8.0, 7.0))  # the outermost is -8, 7 or -7
    scale = torch.where(missed(groups, eighth) <= missed(groups, seventh), eighth, seventh)
    whole = multiples(groups, scale).flatten(1)[:, :columns]
    return Parted(precision, whole, scale[..., 0].bfloat16())


def missed(groups: Tensor, scale: Tensor) -> Tensor:
    """How far the multiples of a scale are from the numbers of its group, at the most."""
    return (groups - multiples(groups, scale) * scale).abs().amax(2, keepdim=True)


def multiples(weight: Tensor, scale: Tensor) -> Tensor:
    """How many times its scale each number is; of nothing none."""
    return torch.where(scale == 0, 0.0, weight / scale).round().to(torch.int8)


def stored(name: str, whole: Tensor, scale: Tensor, precision: str) -> dict[str, Tensor]:
    """The tensors of one matrix, as they are written."""
    if precision == "int8":
        return {name: whole.contiguous(), name + SCALE: scale.contiguous()}
    shape = torch.tensor(whole.shape, dtype=torch.int32)
    return {name: nibbles(whole), name + SCALE: scale.contiguous(), name + SHAPE: shape}


def nibbles(whole: Tensor) -> Tensor:
    """Whole numbers from -8 to 7, two to a byte in one line: the first is the lower half."""
    moved = functional.pad((whole + 8).to(torch.uint8).flatten(), (0, whole.numel() % 2))
    return moved[0::2] | moved[1::2] << 4


def from_nibbles(bytes_: Tensor, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """The whole numbers again."""
    both = torch.stack([bytes_ & 15, bytes_ >> 4], dim=1).flatten()
    return (both[: torch.Size(shape).numel()].to(torch.int8) - 8).view(shape)


def joined(whole: Tensor, scale: Tensor) -> Tensor:
    """The matrix: every number times the scale of its row or group, along whichever axis these lie."""
    factors = scale.float()
    for axis, size in enumerate(whole.shape):
        if factors.shape[axis] != size:
            times = size if factors.shape[axis] == 1 else GROUP
            factors = factors.repeat_interleave(times, dim=axis).narrow(axis, 0, size)
    return whole.float() * factors
