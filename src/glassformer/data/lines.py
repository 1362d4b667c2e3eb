"""The lines of a text file, plain or gzipped, one at a time, however large the file and whatever is in it."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from glassformer.data.examples import Skipped
from glassformer.data.reading import MAX_CHARACTERS
from glassformer.data.table import peek
from glassformer.errors import InputError

MARK = b"\xef\xbb\xbf"  # the byte order mark that some programs put before UTF-8
OTHERS = (b"\xff\xfe", b"\xfe\xff")  # those of UTF-16 and UTF-32
LONGEST_CHARACTER = 4  # bytes
CHUNK = 1 << 16
NOT_UTF8 = "it is not UTF-8 text"
NUL = "it has a NUL character"
HALF = re.compile("[\ud800-\udfff]")  # what escapes in JSON can hold and UTF-8 cannot


class Unfit(Exception):  # noqa: N818 (it is no error of the program, but a property of a line)
    """A line or row that holds no example; its text is the reason."""


class Line(NamedTuple):
    """A line's number from 1, and its text without its end."""

    number: int
    text: str


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, unpacked if it is gzipped; what cannot be read is refused, also in its middle."""
    try:
        with path.open("rb") as stream:
            if path.suffix == ".gz":
                with gzip.open(stream) as unpacked:
                    yield io.BufferedReader(cast(io.RawIOBase, unpacked), CHUNK)
            else:
                yield stream
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}); give a whole, readable file") from error


def read_lines(path: Path, max_characters: int = MAX_CHARACTERS) -> Iterator[Line | Skipped]:
    """A UTF-8 text cut at line feeds; a line that is no text or too long is told instead of handed out.

    No more than one line is held in memory, and of a line that is too long only its beginning. A file most of whose
    first lines are no text is in another encoding, or no text at all, and is refused.
    """
    head, lines = peek(_lines(path, max_characters))
    no_text = [line for line in head if isinstance(line, Skipped) and line.reason.startswith((NOT_UTF8, NUL))]
    if 2 * len(no_text) > len(head):
        first = f"line {no_text[0].line}: {no_text[0].reason}"
        raise InputError(f"most lines of {path} are not UTF-8 text ({first}); convert it to UTF-8")
    yield from lines


def _lines(path: Path, max_characters: int) -> Iterator[Line | Skipped]:
    with opened(path) as stream:
        most = LONGEST_CHARACTER * max_characters + 2 if max_characters else -1
        number = 0
        while raw := stream.readline(most):
            number += 1
            if number == 1:
                raw = _unmarked(raw, path)
            cut = len(raw) == most and not raw.endswith(b"\n") and _goes_on(stream)
            try:
                yield Line(number, _text(raw, cut, max_characters))
            except Unfit as unfit:
                yield Skipped(str(path), number, str(unfit))


def checked(text: str, max_characters: int) -> str:
    """A text that can be used: not too long, no NUL, and nothing that UTF-8 cannot hold."""
    if max_characters and len(text) > max_characters:
        raise Unfit(f"it has {len(text):,} characters, more than max_characters, {max_characters:,}")
    if "\0" in text:
        raise Unfit(NUL)
    if not text.isascii() and HALF.search(text):
        raise Unfit(NOT_UTF8)
    return text


def _text(raw: bytes, cut: bool, max_characters: int) -> str:
    if cut:
        raise Unfit(f"it has more characters than max_characters, {max_characters:,}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"its byte {error.start + 1} is 0x{raw[error.start]:02x}"
        raise Unfit(f"{NOT_UTF8} ({byte})") from error
    return checked(text.removesuffix("\n").removesuffix("\r"), max_characters)


def _unmarked(raw: bytes, path: Path) -> bytes:
    if raw.startswith(OTHERS):
        raise InputError(f"{path} is UTF-16 text; convert it to UTF-8")
    return raw.removeprefix(MARK)


def _goes_on(stream: BinaryIO) -> bool:
    """Whether a line has a rest; it is read and not kept."""
    rest = False
    while raw := stream.readline(CHUNK):
        rest = True
        if raw.endswith(b"\n"):
            break
    return rest
