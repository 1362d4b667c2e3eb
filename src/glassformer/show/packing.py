"""Numbers packed into a page: as they are, or rounded to a round unit that the page tells, all in one compressed block.

An array stands in the block byte by byte: the first byte of every number, then the second of every number, since
bytes of one kind compress better side by side. A rounded number is a whole multiple of its unit, and a unit is 1, 2
or 5 times a power of ten, so what is shown is a short decimal. The block is text of 85 letters (RFC 1924), four bytes
in five of them.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassformer.show.numbers import HIDDEN

KINDS: dict[str, np.dtype[Any]] = {"f8": np.dtype("<f8"), "f4": np.dtype("<f4"), "i4": np.dtype("<i4")}
MIDDLE = 128  # a rounded zero is the middle of a byte, so that small numbers of either sign take one
LESS_THAN = ","  # stands for "<", which no text inside a script element should have


@dataclass(frozen=True, slots=True)
class Unit:
    """`digit` times ten to the power of -`places`: what rounded numbers are multiples of."""

    digit: int
    places: int

    @classmethod
    def below(cls, size: float) -> Unit:
        """The largest round unit that is no larger than `size`."""
        places = -math.floor(math.log10(size))
        digit = next((d for d in (5, 2) if d * 10.0**-places <= size), 1)
        return cls(digit, places)

    @property
    def size(self) -> float:
        """The unit as a number."""
        return self.digit / 10.0**self.places if self.places >= 0 else self.digit * 10.0**-self.places

    def counts(self, values: NDArray[Any]) -> NDArray[Any]:
        """How many units each number is, to the nearest."""
        scaled = values.astype(np.float64) * 10.0**self.places / self.digit
        counts: NDArray[Any] = np.rint(scaled).astype(np.int64)
        return counts


def plain(value: Tensor) -> NDArray[Any]:
    """The numbers as they are kept: 64 or 32 bit floats, or whole numbers."""
    value = value.detach().cpu()
    if not value.is_floating_point():
        return value.numpy().astype(KINDS["i4"])
    kind = "f8" if value.dtype == torch.float64 else "f4"
    return value.to(torch.float64 if kind == "f8" else torch.float32).numpy().astype(KINDS[kind])


def usual_size(values: NDArray[Any]) -> float:
    """The median size of the numbers that are not zero: what their rounding is measured against."""
    sizes = np.abs(values[values != 0])
    return float(np.median(sizes)) if sizes.size else 0.0


def roundable(values: NDArray[Any]) -> bool:
    """Whether these are finite numbers, none of which hides what it is added to."""
    return values.dtype.kind == "f" and bool(np.isfinite(values).all()) and float(values.min(initial=0.0)) > HIDDEN


class Pack:
    """Arrays one after the other, and where each stands."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def exact(self, values: NDArray[Any]) -> dict[str, Any]:
        """Keep every bit."""
        return {"kind": values.dtype.str[1:], "count": values.size, "at": self._placed(_planes(values.ravel()))}

    def rounded(self, values: NDArray[Any], unit: Unit) -> dict[str, Any]:
        """Keep the nearest multiples of a unit."""
        counts = unit.counts(values.ravel())
        low, high = int(counts.min(initial=0)) + MIDDLE, int(counts.max(initial=0)) + MIDDLE
        middle = MIDDLE - 256 * (low // 256)
        width = max((high - MIDDLE + middle).bit_length() + 7, 8) // 8
        stored = (counts + middle).astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
        at = self._placed(stored.T.tobytes())
        kept = {"unit": [unit.digit, unit.places], "middle": middle, "width": width}
        return {"kind": "u", "count": values.size, "at": at, **kept}

    def _placed(self, data: bytes) -> int:
        self.parts.append(data)
        self.size += len(data)
        return self.size - len(data)

    def text(self, manifest: Mapping[str, Any]) -> tuple[str, int]:
        """Everything as one text, and how many bytes it stands for: the manifest's length, the manifest, the arrays."""
        told = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        block = zlib.compress(b"".join([len(told).to_bytes(4, "little"), told, *self.parts]), 9)
        padded = block + bytes(-len(block) % 4)
        return base64.b85encode(padded).decode("ascii").replace("<", LESS_THAN), len(block)


def _planes(values: NDArray[Any]) -> bytes:
    return values.view(np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()


def unpacked(text: str, size: int) -> tuple[dict[str, Any], bytes]:
    """The manifest and the arrays' bytes of a text that `Pack.text` made: what the page's script does, in Python."""
    block = zlib.decompress(base64.b85decode(text.replace(LESS_THAN, "<"))[:size])
    end = 4 + int.from_bytes(block[:4], "little")
    return json.loads(block[4:end]), block[end:]


def numbers(holder: Mapping[str, Any], arrays: bytes) -> NDArray[Any]:
    """The numbers of one array, flat."""
    rounded = holder["kind"] == "u"
    width, count = holder["width"] if rounded else KINDS[holder["kind"]].itemsize, holder["count"]
    planes = np.frombuffer(arrays, np.uint8, width * count, holder["at"]).reshape(width, count)
    if not rounded:
        return np.ascontiguousarray(planes.T).view(KINDS[holder["kind"]]).ravel()
    wide = np.zeros((count, 8), np.uint8)
    wide[:, :width] = planes.T
    counts = wide.view("<u8").ravel().astype(np.int64) - holder["middle"]
    digit, places = holder["unit"]
    values: NDArray[Any] = counts * digit / 10.0**places if places >= 0 else counts * digit * 10.0**-places
    return values
