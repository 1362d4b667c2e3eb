"""Examples read from files: tables (tsv, csv, jsonl) and parallel texts, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from glassformer.data.examples import Found, Pair, Skipped
from glassformer.errors import InputError

Column = str | int


Columns = tuple[Column, Column]
Cells = list[object]


def read_pairs(
    folder: str | Path,
    names: str | Sequence[str],
    *,
    source: Column | None = None,
    target: Column | None = None,
) -> Found[Pair]:
    """All pairs of a folder's files.

    `names` is one glob pattern for tables (`train.part*.tsv.gz`), whose source and target columns are given
    by name or number (a tsv has by default exactly two; csv and jsonl have by default `source` and `target`),
    or two patterns for parallel texts (`["train.en.gz", "train.de.gz"]`), line by line.
    """
    pairs: list[Pair] = []
    skipped: list[Skipped] = []
    for found in iterate_pairs(folder, names, source=source, target=target):
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            skipped.append(found)
    if not pairs:
        why = f"; the first line was left out because {skipped[0].reason}" if skipped else ""
        raise InputError(
            f"{names} in {folder} holds no pair{why}; give a text and its translation on each line"
        )
    return Found(pairs, skipped)


def iterate_pairs(
    folder: str | Path,
    names: str | Sequence[str],
    *,
    source: Column | None = None,
    target: Column | None = None,
) -> Iterator[Pair | Skipped]:
    """`read_pairs` one at a time, in the order of the files."""
    if isinstance(names, str):
        for path in find_files(folder, names):
            yield from table_pairs(path, source, target)
        return
    if len(names) != 2:
        raise InputError(f"{len(names)} files were named for pairs; name one table or two parallel texts")
    sources, targets = (find_files(folder, name) for name in names)
    if len(sources) != len(targets):
        raise InputError(
            f"{names[0]} matches {len(sources)} files and {names[1]} matches {len(targets)} in {folder}; "
            "parallel texts come in twos"
        )
    for source_path, target_path in zip(sources, targets, strict=True):
        yield from parallel_pairs(source_path, target_path)


def find_files(folder: str | Path, pattern: str) -> list[Path]:
    """The files of a folder that match a name or glob pattern, sorted by name."""
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"{place} is not a folder; give the folder that holds {pattern}")
    found = sorted(path for path in place.glob(pattern) if path.is_file())
    if not found:
        raise InputError(f"{place} has no file {pattern}; it has {_some(p.name for p in place.iterdir())}")
    return found


def table_pairs(path: Path, source: Column | None, target: Column | None) -> Iterator[Pair | Skipped]:
    """The pairs of one tsv, csv or jsonl file."""
    kind = _kind(path)
    if kind not in TABLES:
        raise InputError(f"{path} is no table; expected a name in .tsv, .csv or .jsonl (.gz may follow)")
    usual: tuple[Column, Column] = (0, 1) if kind == ".tsv" else ("source", "target")
    columns = (usual[0] if source is None else source, usual[1] if target is None else target)
    width = 2 if kind == ".tsv" and source is None and target is None else None
    for line, found in TABLES[kind](path, columns, width):
        yield Skipped(str(path), line, found) if isinstance(found, str) else _pair(path, line, found, columns)


def parallel_pairs(source: Path, target: Path) -> Iterator[Pair | Skipped]:
    """Line i of one text with line i of the other."""
    left, right = read_lines(source), read_lines(target)
    if len(left) != len(right):
        raise InputError(
            f"{source} has {len(left)} lines and {target} has {len(right)}; parallel texts have equally many"
        )
    for line, texts in enumerate(zip(left, right, strict=True), start=1):
        yield _pair(source, line, list(texts), (source.name, target.name))


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text, plain or gzipped, cut at line feeds only."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path} is not UTF-8 text in line {line}; convert it to UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}); give a whole, readable file") from error
    if not text.strip():
        raise InputError(f"{path} is empty; give a file with one example a line")
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def _tsv(path: Path, columns: Columns, width: int | None) -> Iterator[tuple[int, Cells | str]]:
    """Cells between tabs, without quoting; the first line names the columns if they are asked for by name."""
    rows = enumerate((line.split("\t") for line in read_lines(path)), start=1)
    names = next(rows)[1] if any(isinstance(column, str) for column in columns) else None
    places = _places(path, names, columns)
    for line, row in rows:
        yield line, _cells(row, places, len(names) if names else width)


def _csv(path: Path, columns: Columns, width: int | None) -> Iterator[tuple[int, Cells | str]]:
    """Comma-separated cells with quotes as in RFC 4180; the first line names the columns."""
    reader = csv.reader((line + "\n" for line in read_lines(path)), strict=True)
    line = 1
    try:
        names = next(reader)
        places = _places(path, names, columns)
        line = reader.line_num + 1
        for row in reader:
            yield line, _cells(row, places, len(names))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path} is not csv at line {line} ({error}); mend its quotes") from error


def _jsonl(path: Path, columns: Columns, width: int | None) -> Iterator[tuple[int, Cells | str]]:
    """One JSON object a line."""
    for line, text in enumerate(read_lines(path), start=1):
        try:
            row = json.loads(text)
        except ValueError:
            yield line, "it is not JSON"
        else:
            is_object = isinstance(row, dict)
            yield line, [row.get(str(name)) for name in columns] if is_object else "it is not a JSON object"


TABLES: Mapping[str, Callable[[Path, Columns, int | None], Iterator[tuple[int, Cells | str]]]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _jsonl,
}


def _places(path: Path, names: list[str] | None, columns: Columns) -> list[int]:
    """The numbers of the columns, by the names in the first line."""
    missing = [column for column in columns if isinstance(column, str) and column not in (names or [])]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}; its columns are {', '.join(names or [])}")
    return [names.index(column) if names and isinstance(column, str) else int(column) for column in columns]


def _cells(row: list[str], places: list[int], width: int | None) -> Cells | str:
    """The asked cells of a row, or why it has none."""
    if width is not None and len(row) != width:
        return f"it has {len(row)} columns, not {width}"
    if max(places) >= len(row):
        return f"it has {len(row)} columns, and column {max(places)} was asked for (the first is 0)"
    return [row[place] for place in places]


def _pair(path: Path, line: int, texts: Cells, columns: Columns) -> Pair | Skipped:
    """A pair of two texts that are there; the ordinary spaces around them are no content."""
    for text, column in zip(texts, columns, strict=True):
        if not isinstance(text, str):
            return Skipped(str(path), line, f"it has no text in {column!r}")
        if not text.strip():
            return Skipped(str(path), line, f"{column!r} is empty")
    source, target = (str(text).strip(" ") for text in texts)
    return Pair(source, target)


def _kind(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix


def _some(names: Iterator[str], most: int = 8) -> str:
    listed = sorted(names)
    left = len(listed) - most
    return (", ".join(listed[:most]) or "nothing") + (f" and {left} more" if left > 0 else "")
