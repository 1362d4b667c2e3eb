"""What a verb is asked about: texts given in the command, a file of them, or the lines of standard input."""

import csv
import gzip
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from glassformer.cli.options import Decorator, one_thread_for_little
from glassformer.cli.progress import counting
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.tasks.model import Model
    from glassformer.tasks.task import Text

Row = Mapping[str, str]
Answer = TypeVar("Answer")
Numbered = Iterable[tuple[int, str]]

STANDARD = "-"
FORMS = ("lines", "jsonl", "csv", "tsv")
UNREAD = (".xlsx", ".zip", ".pdf", ".docx")  # whose lines are no texts

input_option: Decorator = click.option(
    "--input",
    "input_file",
    metavar="FILE",
    help="A file to answer: .txt with one text a line, .jsonl, .csv or .tsv with named fields, each also .gz; "
    "- is standard input.",
)
format_option: Decorator = click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    help="How the input is written. [default: as its name ends; standard input is lines]",
)
field_option: Decorator = click.option(
    "--field",
    "named",
    multiple=True,
    metavar="FIELD=NAME",
    help="Where a field stands under another name, such as text=review; a table without headings is told "
    "numbers, from 0.",
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def batch_option(usual: int) -> Decorator:
    """How many at once; a verb has its own usual number."""
    return click.option(
        "--batch",
        default=usual,
        show_default=True,
        type=click.IntRange(min=1),
        help="How many texts are read and answered together.",
    )


def read_inputs(
    texts: Sequence[str],
    input_file: str | None,
    fields: Sequence[str] = ("text",),
    *,
    optional: Sequence[str] = (),
    given: Row | None = None,
    form: str | None = None,
    named: Sequence[str] = (),
) -> Iterator[Row]:
    """What is asked, as field -> text, in order: of `texts`, else of the file, else of standard input.

    Every row has all `fields`, and of those that are `optional` what is there. `given` holds for all of them, and
    what it holds need not stand in the input. Texts and plain lines are the first field. A file is read whole and
    checked before the first row is handed out; the first field of a row may be blank there, as a line may be.
    """
    given = dict(given or {})
    if texts and named:
        raise InputError(f"--field {named[0]} names a column of --input, and the command holds the texts; leave it out")
    if texts and input_file is not None:
        raise InputError("texts and --input were both given; give one of them")
    wanted = Wanted([f for f in fields if f not in given], [f for f in optional if f not in given], named)
    if texts:
        wanted.check_alone("a text in the command")
        return iter(
            [{wanted.first: present(text, number, texts), **given} for number, text in enumerate(texts, 1)]
        )
    if input_file in (None, STANDARD):
        lines = decoded(sys.stdin.buffer, "the input")
        return ({**row, **given} for row in rows_of(lines, "the input", form or "lines", wanted))
    path = Path(str(input_file))
    found = [{**row, **given} for row in rows_of(lines_of(path), str(path), form or form_of(path), wanted)]
    if not found:
        raise InputError(f"{path} is empty; give a file with at least one text")
    return iter(found)


def hint_at_files(texts: Sequence[str]) -> None:
    """A text that is a file's name was most likely meant as the file."""
    for text in texts:
        if os.path.isfile(text):
            hint = f"{text} is a file here, and its name was taken as a text; --input {text} reads it"
            click.echo(f"glassformer: {hint}", err=True)


def present(text: str, number: int, texts: Sequence[str]) -> str:
    """A text of the command, which is not empty."""
    if not text.strip():
        which = f"text {number} of {len(texts)}" if len(texts) > 1 else "the text"
        raise InputError(f"{which} is empty; give at least one word")
    return text


class Wanted:
    """Which fields are looked for, and under which names."""

    def __init__(self, fields: Sequence[str], optional: Sequence[str], named: Sequence[str]) -> None:
        self.fields, self.optional = tuple(fields), tuple(optional)
        self.first = fields[0]
        self.names = {field: field for field in (*fields, *optional)}
        for each in named:
            field, equals, name = each.partition("=")
            if field not in self.names or not equals or not name:
                known = ", ".join(f"{known}=NAME" for known in self.names)
                raise InputError(f"--field was given {each!r}; expected {known}")
            self.names[field] = name

    @property
    def by_number(self) -> bool:
        """Whether every field that must be there is asked for by its place."""
        return all(self.names[field].isdecimal() for field in self.fields)

    def check_alone(self, what: str) -> None:
        """Plain text holds one field."""
        if len(self.fields) > 1:
            missing = " and ".join(self.fields[1:])
            raise InputError(
                f"{what} is the {self.first} alone, and its {missing} is needed too; "
                f"give it by option, or --input with a .jsonl, .csv or .tsv file of {', '.join(self.fields)}"
            )

    def row(self, found: Mapping[str, object], where: str) -> Row:
        """One row; a field that must be there and is not, or is no text, is refused."""
        row: dict[str, str] = {}
        for field in (*self.fields, *self.optional):
            value = found.get(self.names[field])
            if value is None and field in self.optional:
                continue
            if not isinstance(value, str):
                has = f"; it has {', '.join(map(str, found))}" if found else ""
                raise InputError(
                    f"{where} has no text in {self.names[field]!r}{has}: mend it, or name it with --field"
                )
            row[field] = whole(value, where)
        for field in self.fields[1:]:
            if not row[field].strip():
                raise InputError(f"{where}: {self.names[field]!r} is empty; give at least one word")
        return row


def whole(text: str, where: str) -> str:
    """The text, if it is one: half of a surrogate pair, which JSON can write, is no character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{where} holds half a character ({error.reason}); mend it") from error
    return text


def rows_of(lines: Numbered, name: str, form: str, wanted: Wanted) -> Iterator[Row]:
    """The rows of numbered lines, by how they are written."""
    if form == "lines":
        wanted.check_alone(f"a line of {name}")
        return ({wanted.first: line} for _, line in lines)
    if form == "jsonl":
        return (
            wanted.row(parsed(line, f"{name}, line {n}"), f"{name}, line {n}")
            for n, line in lines
            if line.strip()
        )
    return table(lines, name, form, wanted)


def parsed(line: str, where: str) -> Mapping[str, object]:
    """A JSON object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON; write one object a line") from error
    if not isinstance(value, dict):
        raise InputError(f"{where} is a JSON {type(value).__name__}, not an object; write one object a line")
    return value


def table(lines: Numbered, name: str, form: str, wanted: Wanted) -> Iterator[Row]:
    """Cells under headings; asked for by number alone, the first line is a row like the others."""
    cells = (
        comma_separated(lines, name)
        if form == "csv"
        else ((n, line.split("\t")) for n, line in lines if line)
    )
    headings: Sequence[str] | None = None
    for number, row in cells:
        if headings is None:
            headings = [str(place) for place in range(len(row))] if wanted.by_number else row
            missing = [wanted.names[f] for f in wanted.fields if wanted.names[f] not in headings]
            if missing:
                raise InputError(
                    f"{name} has no column {missing[0]!r}; its columns are {', '.join(headings)}: "
                    f"name the one meant, --field {wanted.first}=NAME"
                )
            if not wanted.by_number:
                continue
        if len(row) != len(headings):
            raise InputError(f"{name}, line {number} has {len(row)} columns, not {len(headings)}; mend it")
        yield wanted.row(dict(zip(headings, row, strict=True)), f"{name}, line {number}")


def comma_separated(lines: Numbered, name: str) -> Iterator[tuple[int, list[str]]]:
    """Cells with quotes as in RFC 4180, and the line each row begins in."""
    csv.field_size_limit(sys.maxsize)  # a long text is no mistake
    reader = csv.reader((f"{line}\n" for _, line in lines), strict=True)
    number = 1
    try:
        for row in reader:
            if row:
                yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{name} is not csv at line {number} ({error}); mend its quotes") from error


def form_of(path: Path) -> str:
    """How a file is written, by its name."""
    from glassformer.data.formats import ENDINGS, ending

    end = ending(path)
    form = ENDINGS.get(end, "lines")
    if end in UNREAD or form in ("json", "parquet", "conll"):
        raise InputError(
            f"{path} is not read here; give .txt with one text a line, .jsonl, .csv or .tsv, each also .gz"
        )
    return form if form in FORMS else "lines"


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a file, plain or gzipped."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield from decoded(stream, str(path))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is no whole gzip file ({error}); give one that is") from error


def decoded(stream: Iterable[bytes], name: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of UTF-8 text, without their ends."""
    for number, line in enumerate(stream, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"line {number} of {name} is not UTF-8 text; convert it to UTF-8") from error
        yield number, text.removesuffix("\n").removesuffix("\r")


def at_keyboard(texts: Sequence[str], input_file: str | None) -> bool:
    """Whether the texts are being typed; whoever types is told how to end."""
    typing = not texts and input_file in (None, STANDARD) and sys.stdin.isatty()
    if typing:
        click.echo("One text a line; Ctrl-D ends.", err=True)
    return typing


def answers_of(
    model: "Model",
    rows: Iterator[Row],
    text_of: Callable[[Row], "Text"],
    options: Mapping[str, Any],
    *,
    texts: Sequence[str],
    input_file: str | None,
    batch: int,
    things: str = "texts",
) -> Iterator[tuple[Row, Any]]:
    """Each row with the model's answer to it; who types is answered line by line."""
    typed = at_keyboard(texts, input_file)
    if texts:
        one_thread_for_little(model)

    def answers(lot: list[Row]) -> list[Any]:
        return list(model(list(map(text_of, lot)), **options))

    def check(lot: list[Row]) -> None:
        model.task.check(model.transformer, list(map(text_of, lot)), **options)

    return answered(
        rows, 1 if typed else batch, answers, things=things, check=check, counted=not texts and not typed
    )


def answered(
    rows: Iterator[Row],
    size: int,
    answers: Callable[[list[Row]], Iterable[Answer]],
    *,
    things: str,
    check: Callable[[list[Row]], None] | None = None,
    counted: bool = True,
) -> Iterator[tuple[Row, Answer | None]]:
    """Each row with its answer, so many at a time; a row whose first field is blank has none, and keeps its place.

    `check` refuses rows that cannot be answered. What is there as a whole, as a file is, is checked as a whole before
    the first answer, so that a mistake in its last line does not leave half of the output behind.
    """
    total = length_hint(rows, 0)
    if total and check is not None:
        known = list(rows)
        checked(known, check, size)
        rows = iter(known)
    with counting(things, when=counted, total=total or None) as count:
        while lot := list(islice(rows, size)):
            asked = [row for row in lot if not blank(row)]
            found = iter(answers(asked) if asked else ())
            for row in lot:
                yield row, None if blank(row) else next(found)
            count(len(lot))


def checked(rows: Sequence[Row], check: Callable[[list[Row]], None], size: int) -> None:
    """Refuse a row that cannot be answered, and say which it is."""
    asked = [(number, row) for number, row in enumerate(rows, start=1) if not blank(row)]
    for start in range(0, len(asked), size):
        lot = asked[start : start + size]
        try:
            check([row for _, row in lot])
        except InputError:
            for number, row in lot:
                try:
                    check([row])
                except InputError as error:
                    raise InputError(f"{error} (text {number})" if len(rows) > 1 else str(error)) from error
            raise


def blank(row: Row) -> bool:
    """Whether nothing is asked."""
    return not next(iter(row.values())).strip()


def as_line(value: Mapping[str, Any]) -> str:
    """One JSON object in one line."""
    return json.dumps(value, ensure_ascii=False)


def one_line(text: str) -> str:
    """A text in one line, so that a line of output is one answer."""
    return " ".join(text.split("\n")).replace("\r", "")
