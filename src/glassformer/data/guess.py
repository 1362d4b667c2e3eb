"""What kind of examples a file holds, by its columns and first lines, where nobody says it."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from glassformer.data.columns import LANGUAGES, NEEDED, ROLES, KindName, by_name, listed
from glassformer.data.formats import ENDINGS, FORMATS, ending, first_line, is_plain
from glassformer.data.kinds import KINDS
from glassformer.data.lines import Line, read_lines
from glassformer.data.readers import File, find_files, find_tables, is_hub
from glassformer.data.reading import Column, Reading
from glassformer.data.schemes import is_marked
from glassformer.data.table import Row, Table
from glassformer.errors import InputError

SAMPLE = 500  # lines that are looked at
FEW = 0.1  # share of different values, up to which a column of short texts is one of labels
SHORT = 40  # characters of a label
ORDER: tuple[KindName, ...] = ("questions", "tags", "labels", "pairs", "texts")  # the most telling first


def guess_kind(files: Sequence[File], reading: Reading, folder: File | None = None) -> KindName:
    """The kind that the options speak of, or else that the first file looks like."""
    asked = asked_of(reading)
    possible = [kind for kind in ORDER if set(asked) <= set(KINDS[kind].options)] or list(ORDER)
    if len(possible) == 1:
        return possible[0]
    if is_hub(files[0]):
        return _of_table(next(find_tables("texts", files[:1], reading))[0], possible, asked)
    paths = [find_files(folder, file)[0] for file in files]
    return "pairs" if are_two_languages(paths) else _of_file(paths[0], reading, possible)


def are_two_languages(paths: Sequence[Path]) -> bool:
    """Whether these are two plain texts such as `train.en.gz` and `train.de.gz`."""
    return len(paths) == 2 and all(is_plain(path) and ending(path)[1:] in LANGUAGES for path in paths)


def _of_file(path: Path, reading: Reading, possible: Sequence[KindName]) -> KindName:
    form = reading.format or ENDINGS.get(ending(path), "text")
    if form == "conll" or (form in ("text", "tsv") and looks_tagged(path)):
        return "tags"
    if form == "text" and reading.format is None:
        start = first_line(path)
        form = "tsv" if "\t" in start else "jsonl" if start.startswith("{") else form
    return "texts" if form == "text" else _of_table(FORMATS[form].read(path, reading), possible, asked_of(reading))


def looks_tagged(path: Path) -> bool:
    """Whether most lines end in O or a tag such as B-PER."""
    lines = [line.text for line in islice(read_lines(path), SAMPLE) if isinstance(line, Line)]
    ends = [line.split()[-1] for line in lines if line.strip()]
    return sum(map(is_marked, ends)) > 0.9 * len(ends)


def asked_of(reading: Reading) -> dict[str, Column]:
    """The columns that were told, by their roles."""
    return {role: column for role in ROLES if (column := getattr(reading, role)) is not None}


def _of_table(table: Table, possible: Sequence[KindName], asked: Mapping[str, Column]) -> KindName:
    """The first kind whose columns are there by name; without names, two columns are labels or pairs."""
    for kind in possible:
        found = table.roles if table.roles is not None else by_name(kind, table.names, asked)
        if set(NEEDED[kind]) <= {*found, *asked}:
            return kind
    if table.names and not table.has_headings:
        if len(table.names) == 1:
            return "texts"
        if len(table.names) == 2:
            return "labels" if _are_labels(table) else "pairs"
    if table.has_headings:
        has = f"columns named {listed(table.names)}" if table.names else "nothing that can be read"
        raise InputError(
            f"{table.file} has {has}, which does not tell what it holds; say which column is what"
        )
    raise InputError(
        f"{table.file} has {len(table.names)} columns without headings; say by number, from 0, which is what, such as "
        "text and label"
    )


def _are_labels(table: Table) -> bool:
    """Whether the second column has few values, all short."""
    values = [str(row.cells[table.names[1]]) for row in islice(table.rows, SAMPLE) if isinstance(row, Row)]
    return all(len(value) <= SHORT for value in values) and len(set(values)) <= max(2, FEW * len(values))
