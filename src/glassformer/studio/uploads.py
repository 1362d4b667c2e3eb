"""Files of examples that the page sends: kept for this studio alone, small enough, of kinds that are only ever read."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

from glassformer.errors import InputError

MOST = 64 * 2**20  # bytes of a file
ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".conll", ".txt")
NAME = re.compile(r"[\w][\w .-]{0,80}")


def checked(name: str) -> str:
    """A file name that is no path, of a kind that the readers know."""
    plain = name.removesuffix(".gz")
    if not NAME.fullmatch(name) or not plain.endswith(ENDINGS):
        raise InputError(f"{name!r} cannot be taken; give a file that ends in {', '.join(ENDINGS)}, or .gz after it")
    return name


async def received(name: str, parts: AsyncIterator[bytes], folder: Path) -> Path:
    """Write a file whole or not at all."""
    path = folder / checked(name)
    partial, size = path.with_name(f"{path.name}.partial"), 0
    try:
        with partial.open("wb") as file:
            async for part in parts:
                size += len(part)
                if size > MOST:
                    raise InputError(f"{name} has more than {MOST // 2**20} MiB; train on it with `glassformer train`")
                file.write(part)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
