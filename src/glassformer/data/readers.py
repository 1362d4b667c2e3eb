"""The one way in: files, patterns or hub names become examples of a kind, and what does not fit is told."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from glob import glob
from itertools import chain
from pathlib import Path
from typing import Any, Literal, overload

from glassformer.data.arrow import hub_splits, read_hub
from glassformer.data.columns import KindName, find_columns, listed
from glassformer.data.examples import Found, LabelledText, Pair, Question, Skipped, TaggedSentence
from glassformer.data.formats import FORMATS, format_of, is_plain
from glassformer.data.kinds import KINDS, Source
from glassformer.data.names import LabelNames, find_names
from glassformer.data.plain import read_parallel
from glassformer.data.reading import Reading
from glassformer.data.table import Row, Table
from glassformer.errors import InputError

HUB = "hub:"
AS_USUAL = Reading()
SPLITS = {"train": ("train",), "dev": ("validation", "dev", "valid", "val"), "test": ("test",)}

File = str | Path
Files = File | Sequence[File]


@overload
def read_examples(
    kind: Literal["pairs"], files: Files, reading: Reading = ..., *, folder: File | None = ...
) -> Found[Pair]: ...
@overload
def read_examples(
    kind: Literal["labels"], files: Files, reading: Reading = ..., *, folder: File | None = ...
) -> Found[LabelledText]: ...
@overload
def read_examples(
    kind: Literal["tags"], files: Files, reading: Reading = ..., *, folder: File | None = ...
) -> Found[TaggedSentence]: ...
@overload
def read_examples(
    kind: Literal["questions"], files: Files, reading: Reading = ..., *, folder: File | None = ...
) -> Found[Question]: ...
@overload
def read_examples(
    kind: Literal["texts"], files: Files, reading: Reading = ..., *, folder: File | None = ...
) -> Found[str]: ...
@overload
def read_examples(
    kind: KindName, files: Files, reading: Reading = ..., *, folder: File | None = ...
) -> Found[Any]: ...
def read_examples(
    kind: KindName, files: Files, reading: Reading = AS_USUAL, *, folder: File | None = None
) -> Found[Any]:
    """All examples of some files, and the lines that hold none.

    `files` is one name or pattern (`train.part*.tsv.gz`), inside `folder` if that is given, or several; or
    `hub:OWNER/NAME`. For pairs, two plain texts are parallel: line i of one becomes line i of the other.
    """
    examples: list[Any] = []
    skipped: list[Skipped] = []
    for each in iterate_examples(kind, files, reading, folder=folder):
        (skipped if isinstance(each, Skipped) else examples).append(each)
    return Found(examples, skipped)


def iterate_examples(
    kind: KindName, files: Files, reading: Reading = AS_USUAL, *, folder: File | None = None
) -> Iterator[Any]:
    """`read_examples` one at a time, in the order of the files, for what is larger than memory.

    Files that hold no example at all are refused when they have been read.
    """
    if kind not in KINDS:
        raise InputError(f"there are no examples of kind {kind!r}; there are {', '.join(KINDS)}")
    reading.refuse_others(KINDS[kind].what, KINDS[kind].options)
    first: Skipped | None = None
    found = False
    for table, beside in find_tables(kind, files, reading, folder):
        for each in KINDS[kind].read(source_of(kind, table, reading, beside)):
            first = first or (each if isinstance(each, Skipped) else None)
            found = found or not isinstance(each, Skipped)
            yield each
    if not found:
        where = listed(_several(files)) + (f" in {folder}" if folder is not None else "")
        why = f"; {first.unit} {first.line} was left out because {first.reason}" if first else ""
        raise InputError(
            f"there are no {KINDS[kind].what} in {where}{why}; give {KINDS[kind].one} on each line"
        )


def source_of(kind: KindName, table: Table, reading: Reading, beside: Path | None) -> Source:
    """A table with all that is known of it; labels by number may be named by a file in the folder beside it."""
    rows = iter(_not_empty(table))
    first = next(rows)  # here, so that an empty file is refused before anything is made of it
    return Source(
        table=replace(table, rows=chain([first], rows)),
        columns=find_columns(kind, table, reading) if table.names else {},
        reading=reading,
        names=find_names(reading, beside) if "labels" in KINDS[kind].options else LabelNames(),
    )


def find_tables(
    kind: KindName, files: Files, reading: Reading, folder: File | None = None
) -> Iterator[tuple[Table, Path | None]]:
    """Each table that is named, and the folder that it lies in, if it is in one."""
    names = _several(files)
    if not names:
        raise InputError("no file was named; name one with examples")
    if kind == "pairs" and len(names) > 1 and reading.format in (None, "text"):
        sides = [find_files(folder, name) for name in names if not is_hub(name)]
        if len(sides) == len(names) and all(is_plain(path) for side in sides for path in side):
            yield from _parallel(names, sides, reading)
            return
    for name in names:
        if is_hub(name):
            yield read_hub(str(name).removeprefix(HUB), reading), None
            continue
        for path in find_files(folder, name):
            yield FORMATS[format_of(path, kind, reading)].read(path, reading), path.parent


def find_files(folder: File | None, pattern: File) -> list[Path]:
    """The files that a name or glob pattern stands for, sorted by name; inside a folder, if there is one."""
    if folder is None:
        return _free_files(str(pattern))
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"{place} is not a folder; give the folder that holds {pattern}")
    if (place / pattern).is_file():  # also one whose name looks like a pattern, and one that lies elsewhere
        return [place / pattern]
    if not str(pattern) or Path(pattern).is_absolute():
        raise InputError(f"there is no file {str(pattern)!r}; give one that exists, or a pattern inside {place}")
    found = sorted(path for path in place.glob(str(pattern)) if path.is_file())
    if not found:
        names = sorted(path.name for path in place.iterdir())
        raise InputError(f"{place} has no file {pattern}; it has {listed(names)}")
    return found


def is_hub(name: File) -> bool:
    """Whether a name is that of a data set on the hub."""
    return str(name).startswith(HUB)


def hub_roles(name: str, reading: Reading) -> dict[str, Reading]:
    """Role -> how to read its split of a data set on the hub: train, dev and test, as far as it has them."""
    splits = hub_splits(name.removeprefix(HUB), reading)
    found = {role: next((each for each in usual if each in splits), None) for role, usual in SPLITS.items()}
    return {role: replace(reading, split=split) for role, split in found.items() if split is not None}


def _several(files: Files) -> list[File]:
    return [files] if isinstance(files, str | Path) else list(files)


def _free_files(pattern: str) -> list[Path]:
    if Path(pattern).is_file():
        return [Path(pattern)]
    if Path(pattern).is_dir():
        raise InputError(f"{pattern} is a folder; name files in it, such as {Path(pattern) / '*.jsonl'}")
    found = sorted(path for name in glob(pattern, recursive=True) if (path := Path(name)).is_file())
    if not found:
        raise InputError(
            f"there is no file {pattern}; give one that exists, or {HUB}OWNER/NAME for one of the hub"
        )
    return found


def _parallel(
    names: Sequence[File], sides: Sequence[list[Path]], reading: Reading
) -> Iterator[tuple[Table, Path | None]]:
    if len(sides) != 2:
        raise InputError(
            f"{len(sides)} plain texts were named for pairs; name one table or two parallel texts"
        )
    if len(sides[0]) != len(sides[1]):
        raise InputError(
            f"{names[0]} matches {len(sides[0])} files and {names[1]} matches {len(sides[1])}; "
            "parallel texts come in twos"
        )
    for source, target in zip(*sides, strict=True):
        yield read_parallel(source, target, reading), source.parent


def _not_empty(table: Table) -> Iterator[Row | Skipped]:
    nothing = True
    for row in table.rows:
        nothing = False
        yield row
    if nothing:
        raise InputError(f"{table.file} is empty; give a file with examples")
