"""Some numbers of a tensor, as bytes: a large trace costs nothing until it is looked at."""

import re
from typing import NamedTuple

import torch
from torch import Tensor

from glassformer.errors import InputError

MOST = 4_000_000  # numbers in one answer
KINDS = {torch.float64: ("f8", "<f8"), torch.float32: ("f4", "<f4")}
PART = re.compile(r"(\d*):(\d*)(?::([1-9]\d*))?|(\d+)")


class Numbers(NamedTuple):
    """Numbers in row order, little-endian, with their shape; `kind` is f8, f4 or i4."""

    kind: str
    shape: tuple[int, ...]
    data: bytes

    def headers(self, peak: float) -> dict[str, str]:
        """What the page has to know to read them, and what full colour means."""
        return {"x-kind": self.kind, "x-shape": ",".join(map(str, self.shape)), "x-peak": repr(peak)}


def numbers(value: Tensor, part: str = "") -> Numbers:
    """A tensor, or the part of it that `0,:,4:12` names, axis by axis: a place, from:to, or from:to:every."""
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
                f"the part {part!r} does not fit the shape {tuple(value.shape)}; "
                "give a place, from:to or from:to:every for each axis"
            )
        start, stop, every, place = match.groups()
        if place is None:
            found.append(slice(int(start or 0), int(stop) if stop else None, int(every or 1)))
        elif int(place) < value.shape[axis]:
            found.append(int(place))
        else:
            raise InputError(f"axis {axis} has {value.shape[axis]} places, and {place} was asked for")
    return tuple(found)
