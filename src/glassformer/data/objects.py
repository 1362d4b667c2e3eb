"""JSON: an object a line, a list of objects, and the questions of SQuAD."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from glassformer.data.columns import listed
from glassformer.data.examples import Skipped
from glassformer.data.lines import CHUNK, Line, opened, read_lines
from glassformer.data.reading import Column, Reading
from glassformer.data.table import Row, Table, nested_names, peek
from glassformer.errors import InputError

ROLES = {
    "question": "question",
    "context": "context",
    "answers": "answers",
    "id": "id",
    "impossible": "is_impossible",
}
DECODER = json.JSONDecoder(strict=False)  # control characters are the cell's fault, not the whole file's
SPACE = " \t\r\n"
BETWEEN = re.compile(r"[,\s]*")  # what stands before a value of a list
LONGEST = 1 << 26  # characters that one value may have
BLANK = "it is empty"
NO_JSON = "it is not JSON"
NO_OBJECT = "it is not a JSON object"


def read_jsonl(path: Path, reading: Reading) -> Table:
    """One JSON object a line."""
    return _table(path, _parsed(path, read_lines(path, reading.max_characters)), "line")


def read_json(path: Path, reading: Reading) -> Table:
    """A list of objects, which may be larger than memory; SQuAD's form; or, by their looks, objects line by line."""
    with opened(path) as stream:
        start = stream.read(CHUNK).decode("utf-8", "replace").lstrip("\ufeff" + SPACE)
    if not start:
        raise InputError(f"{path} is empty; give a file with examples")
    if start.startswith("["):
        return _table(path, _items(path), "item")
    if _is_lines(start):
        return read_jsonl(path, reading)
    return _whole(path)


def _table(path: Path, rows: Iterator[Row | Skipped], unit: str) -> Table:
    """The columns are the names that the first objects have."""
    head, rows = peek(rows)
    names: dict[Column, None] = {}
    for row in head:
        if isinstance(row, Row):
            names |= dict.fromkeys(nested_names(row.cells))
    return Table(file=str(path), names=tuple(names), rows=rows, unit=unit)


def _parsed(path: Path, lines: Iterator[Line | Skipped]) -> Iterator[Row | Skipped]:
    for line in lines:
        if isinstance(line, Skipped):
            yield line
        elif not line.text.strip():
            yield Skipped(str(path), line.number, BLANK)
        else:
            yield _object(path, line)


def _object(path: Path, line: Line) -> Row | Skipped:
    try:
        value = json.loads(line.text)
    except (ValueError, RecursionError):
        return Skipped(str(path), line.number, NO_JSON)
    return Row(line.number, value) if isinstance(value, dict) else Skipped(str(path), line.number, NO_OBJECT)


def _is_lines(start: str) -> bool:
    """Whether a file that begins like this holds an object a line, as many a `.json` does."""
    first, _, rest = start.partition("\n")
    try:
        return isinstance(json.loads(first), dict) and rest.lstrip(SPACE).startswith("{")
    except (ValueError, RecursionError):
        return False


def _items(path: Path) -> Iterator[Row | Skipped]:
    """The objects of a list, read a piece at a time."""
    with opened(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape")
        for number, value in enumerate(_elements(path, text), start=1):
            is_object = isinstance(value, dict)
            yield Row(number, value) if is_object else Skipped(str(path), number, NO_OBJECT, "item")


def _elements(path: Path, text: io.TextIOWrapper) -> Iterator[dict[Column, object]]:
    """What stands between [ and ], with little more in memory than one of it."""
    buffer, line, wanted = text.read(CHUNK), 1, CHUNK
    place = buffer.index("[") + 1
    while True:
        found = _element(buffer, place)
        if isinstance(found, str):
            line += buffer.count("\n", 0, place)
            more = text.read(wanted)
            if not more or len(buffer) - place > LONGEST:
                raise InputError(f"{path} is not JSON after line {line} ({found}); mend it there")
            buffer, place, wanted = buffer[place:] + more, 0, min(2 * wanted, LONGEST)
        elif found is None:
            return
        else:
            value, place = found
            wanted = CHUNK
            yield cast(dict[Column, object], value)


def _element(buffer: str, place: int) -> tuple[object, int] | str | None:
    """The next value and where it ends; None at the list's end; or why there is none yet."""
    between = BETWEEN.match(buffer, place)
    place = between.end() if between else place
    if buffer.startswith("]", place):
        return None
    try:
        value, end = DECODER.raw_decode(buffer, place)
    except json.JSONDecodeError as error:
        return error.msg
    except RecursionError:
        return "it is nested too deeply"
    return (value, end) if end < len(buffer) else "it breaks off"


def _whole(path: Path) -> Table:
    """One object: SQuAD's, or another with its examples in `data`."""
    with opened(path) as stream:
        content = stream.read().decode("utf-8-sig", "surrogateescape")
    try:
        value = DECODER.decode(content)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not JSON ({error}); give a list of objects, or an object a line"
        ) from error
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, list):
        raise InputError(
            f"{path} is {_what(value)}; give a list of objects, an object a line, or one with 'data'"
        )
    if any(isinstance(each, dict) and "paragraphs" in each for each in data):
        rows = _questions(path, data)
        return Table(file=str(path), names=tuple(ROLES.values()), rows=rows, unit="question", roles=ROLES)
    plain = (
        Row(number, each) if isinstance(each, dict) else Skipped(str(path), number, NO_OBJECT, "item")
        for number, each in enumerate(data, start=1)
    )
    return _table(path, plain, "item")


def _what(value: object) -> str:
    return f"an object of {listed(value)}" if isinstance(value, dict) else f"a single {type(value).__name__}"


def _questions(path: Path, articles: list[object]) -> Iterator[Row | Skipped]:
    """SQuAD 1.1 and 2.0: data > paragraphs > qas (Rajpurkar et al. 2016, 2018), questions counted from 1."""
    number = 0
    for article in articles:
        for paragraph in _members(article, "paragraphs"):
            context = paragraph.get("context") if isinstance(paragraph, Mapping) else None
            for question in _members(paragraph, "qas"):
                number += 1
                if isinstance(question, Mapping):
                    yield Row(number, {**question, "context": context})
                else:
                    yield Skipped(str(path), number, NO_OBJECT, "question")


def _members(holder: object, name: str) -> list[object]:
    """The list inside an object; a holder without one stands for one broken question, so that it is told."""
    found = holder.get(name) if isinstance(holder, Mapping) else None
    return found if isinstance(found, list) else [None]
