"""Some numbers of a tensor, as bytes: a large trace costs nothing until it is looked at."""

import re
from typing import NamedTuple

import torch
from torch import Tensor

from glassformer.errors import InputError

MOST = 4_000_000  # numbers in one answer
KINDS = {torch.float64: ("f8", "<f8"), torch.float32: ("f4", "<f4")}
PART = re.compile(r"(\d*):(\d*)|(\d+)")


class Numbers(NamedTuple):
    """Numbers in row order, little-endian, with their shape; `kind` is f8, f4 or i4."""

    kind: str
    shape: tuple[int, ...]
    data: bytes


def numbers(value: Tensor, part: str = "") -> Numbers:
    """A tensor, or the part of it that `0,:,4:12` names, axis by axis: a place, or from:to; axes left out are whole."""
    chosen = value[indices(value, part)] if part else value
    if chosen.numel() > MOST:
        raise InputError(f"{chosen.numel():,} numbers were asked for at once; ask for {MOST:,} at most, as a part")
    plain = chosen.detach().cpu()
    if plain.is_floating_point():
        plain = plain if plain.dtype in KINDS else plain.float()
        kind, order = KINDS[plain.dtype]
    else:
        plain, kind, order = plain.int(), "i4", "<i4"
    return Numbers(kind, tuple(plain.shape), plain.contiguous().numpy().astype(order).tobytes())


def indices(value: Tensor, part: str) -> tuple[int | slice, ...]:
    """What a part means for this tensor."""
    found: list[int | slice] = []
    for axis, text in enumerate(part.split(",")):
        match = PART.fullmatch(text)
        if match is None or axis >= value.ndim:
            raise InputError(
                f"the part {part!r} does not fit the shape {tuple(value.shape)}; give a place or from:to for each axis"
            )
        if match[3] is None:
            found.append(slice(int(match[1] or 0), int(match[2]) if match[2] else None))
        elif int(match[3]) < value.shape[axis]:
            found.append(int(match[3]))
        else:
            raise InputError(f"axis {axis} has {value.shape[axis]} places, and {match[3]} was asked for")
    return tuple(found)
