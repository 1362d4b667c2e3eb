"""Files that are written whole or not at all."""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from glassformer.errors import InputError

MARK = ".partial."  # in the name of a file that is not whole yet


def is_partial(path: Path) -> bool:
    """Whether a kill left this behind where `replacing` was at work."""
    return path.name.startswith(".") and MARK in path.name


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside the one meant, put in its place when it is whole, with the rights of any other new file.

    Its name ends as the other's does, for libraries choose a format by that.
    """
    partial = path.with_name(f".{secrets.token_hex(4)}{MARK}{path.name}")
    try:
        partial.touch()
        rights = partial.stat().st_mode  # what writes a file anew, as safetensors does, may choose its own
        yield partial
        partial.chmod(rights)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, *failures: type[Exception]) -> Iterator[Path]:
    """`replacing` for a file that a person named: an error of the disk is told in a sentence.

    `failures` are what else the library that writes says of the disk.
    """
    expected: tuple[type[Exception], ...] = (OSError, *failures)
    try:
        with replacing(path) as partial:
            yield partial
    except expected as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path} cannot be written: {reason}; give a file in a folder that may be written"
        ) from error


def write_text(path: str | Path, parts: Iterable[str]) -> None:
    """A text that a person asked for; its lines end as they are given."""
    with writing(Path(path)) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.writelines(parts)
