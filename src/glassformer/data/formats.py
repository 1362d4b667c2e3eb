"""The formats that are read, and which of them a file has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from glassformer.data.arrow import read_parquet
from glassformer.data.columns import KindName, are_headings
from glassformer.data.conll import read_conll
from glassformer.data.delimited import read_csv, read_tsv
from glassformer.data.lines import Line, read_lines
from glassformer.data.objects import read_json, read_jsonl
from glassformer.data.plain import read_text
from glassformer.data.reading import Reading
from glassformer.data.table import HEAD, Table
from glassformer.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a file's name ends, with or without .gz, and what reads it."""

    endings: tuple[str, ...]
    read: Callable[[Path, Reading], Table]


FORMATS: Mapping[str, Format] = {
    "csv": Format(endings=(".csv",), read=read_csv),
    "tsv": Format(endings=(".tsv", ".tab"), read=read_tsv),
    "jsonl": Format(endings=(".jsonl", ".ndjson"), read=read_jsonl),
    "json": Format(endings=(".json",), read=read_json),
    "parquet": Format(endings=(".parquet", ".pq"), read=read_parquet),
    "conll": Format(endings=(".conll", ".conllu", ".iob", ".iob2", ".bio", ".bioes"), read=read_conll),
    "text": Format(endings=(".txt", ".text"), read=read_text),
}
ENDINGS = {ending: name for name, form in FORMATS.items() for ending in form.endings}


def ending(path: Path) -> str:
    """A name's ending, that of the unpacked file where it is packed."""
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def format_of(path: Path, kind: KindName, reading: Reading) -> str:
    """The format that was said, or the ending's; where that says little, what examples of the kind usually are in."""
    if reading.format is not None:
        return reading.format
    named = ENDINGS.get(ending(path))
    if named == "tsv" and kind == "tags" and not are_headings(first_line(path).split("\t")):
        return "conll"  # a word, a tab and its tag
    if named is not None and named != "text":
        return named
    if kind in ("tags", "texts"):
        return "conll" if kind == "tags" else "text"
    start = first_line(path)
    if "\t" in start or start.startswith("{"):
        return "tsv" if "\t" in start else "jsonl"
    raise InputError(
        f"{path} is no table by its name or its first line; expected {', '.join(ENDINGS)} (.gz may follow), or say its "
        "format"
    )


def first_line(path: Path) -> str:
    """The first line that is a text."""
    lines = islice(read_lines(path), HEAD)
    return next((line.text for line in lines if isinstance(line, Line) and line.text.strip()), "")


def is_plain(path: Path) -> bool:
    """Whether a file is, by its name, no table of any kind: a text, with any ending such as .en."""
    return ENDINGS.get(ending(path), "text") == "text"
