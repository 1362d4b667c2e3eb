"""How a model is to be written, whatever the format."""

import re
from dataclasses import dataclass

from glassformer.errors import InputError

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be chosen."""

    dtype: str | None = None  # None: as it is stored, or computed
    shard_size: int | None = None  # bytes; None: one file
    internals: tuple[str, ...] = ()  # patterns of step names: these steps are outputs too


def bytes_of(text: str) -> int:
    """2GB, 500MB or plain bytes as a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?B|)", text.strip().upper())
    if match is None or not (size := int(float(match[1]) * UNITS[match[2]])):
        raise InputError(f"the size {text!r} is not one; expected a number and a unit, such as 2GB or 500MB")
    return size
