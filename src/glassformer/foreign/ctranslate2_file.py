"""The model.bin of a CTranslate2 folder: named arrays, from its second version to its sixth."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from glassformer.errors import InputError

FILE = "model.bin"
KINDS = (
    torch.float32,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.float16,
    torch.bfloat16,
)  # by their number
OF_SIZE = {1: torch.int8, 2: torch.int16, 4: torch.float32}  # before the fourth version, which numbers kinds
QUANTIZED = (torch.int8, torch.int16)
SCALE = "_scale"


class Variables(dict[str, Tensor]):
    """What a file holds, by its names there; `spec` is the kind of model."""

    def __init__(self, spec: str, revision: int) -> None:
        super().__init__()
        self.spec, self.revision = spec, revision

    def number(self, name: str, default: float) -> float:
        """A number that a model may state."""
        return self[name].item() if name in self else default

    def word(self, name: str, default: str) -> str:
        """A word that a model may state."""
        return bytes(self[name].tolist()).decode("utf-8") if name in self else default

    def tensor(self, name: str) -> Tensor:
        """One tensor, its whole numbers turned back into what they stand for."""
        stored, scale = self[name], self.get(name + SCALE)
        if scale is None:
            return stored
        return stored.float() / (scale if scale.ndim == 0 else scale[:, None])

    def tensors(self) -> dict[str, Tensor]:
        """All that are no single numbers."""
        scales = {name + SCALE for name in self}
        return {name: self.tensor(name) for name, value in self.items() if value.ndim and name not in scales}


def read(path: Path) -> Variables:
    """The whole file; a name that stands for another holds the same."""
    try:
        with path.open("rb") as file:
            return parsed(file, path)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a whole CTranslate2 model ({error}); convert it again") from error


def parsed(file: BinaryIO, path: Path) -> Variables:
    """Version, kind of model, variables, other names."""
    (version,) = numbers(file, "I")
    if not 2 <= version <= 6:
        raise InputError(
            f"{path} is not a CTranslate2 model of the versions 2 to 6 (it starts with {version}); convert it again"
        )
    spec, (revision,) = word(file), numbers(file, "I")
    found = Variables(spec, revision)
    (count,) = numbers(file, "I")
    for _ in range(count):
        name = word(file)
        found[name] = tensor(file, version)
    for alias, name in aliases(file) if version >= 3 else ():
        found[alias] = found[name]
        if name + SCALE in found:
            found[alias + SCALE] = found[name + SCALE]
    return found


def aliases(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Other names of what was read already."""
    (count,) = numbers(file, "I")
    for _ in range(count):
        yield word(file), word(file)


def numbers(file: BinaryIO, form: str) -> tuple[int, ...]:
    """Some numbers, as `struct` writes their form, all little-endian."""
    form = "<" + form
    return struct.unpack(form, file.read(struct.calcsize(form)))


def word(file: BinaryIO) -> str:
    """A word with its length before it and a zero after it."""
    (length,) = numbers(file, "H")
    return file.read(length)[:-1].decode("utf-8")


def tensor(file: BinaryIO, version: int) -> Tensor:
    """Shape, kind of number, numbers."""
    (rank,) = numbers(file, "B")
    shape = numbers(file, f"{rank}I")
    kind_or_size, count = numbers(file, "BI")
    kind = KINDS[kind_or_size] if version >= 4 else OF_SIZE[kind_or_size]
    size = count if version >= 4 else count * kind_or_size
    data = file.read(size)
    if len(data) != size:
        raise ValueError("it ends too early")
    return torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy()).view(kind).reshape(shape)
