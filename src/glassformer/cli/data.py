"""`glassformer data`: what is in files of examples, before anything is trained on them."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields, is_dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glassformer.cli.reading import reading_of, reading_options
from glassformer.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from glassformer.data.columns import KindName
    from glassformer.data.reading import Reading
    from glassformer.data.survey import Ids, Overlap, Spread, Survey

KINDS = ("pairs", "labels", "tags", "questions", "texts")
WIDTH = 100  # columns that a page takes where nothing limits it
BAR = 24  # characters of the longest bar
ROWS = 20  # values of one kind that are listed
LONGEST = 300  # characters of an example's text that are shown


@click.group
def data() -> None:
    """Look into files of examples."""


@data.command
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="What the files hold: pairs of texts, labelled texts, tagged words, questions, or texts. [default: found]",
)
@click.option(
    "--tokenizer",
    metavar="MODEL",
    help="Also count the tokens of this model: one that ships, a folder, a hub name.",
)
@click.option(
    "--examples",
    default=3,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many examples are shown.",
)
@click.option(
    "--problems",
    default=10,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many lines left out are shown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@reading_options
def inspect(
    files: tuple[str, ...],
    kind: "KindName | None",
    tokenizer: str | None,
    examples: int,
    problems: int,
    as_json: bool,
    **reading: Any,
) -> None:
    """Show counts, lengths, labels, examples and problems of files.

    Each FILE is a set of its own: a table (.csv, .tsv, .jsonl, .json, .parquet), SQuAD's .json, a .conll, or
    plain text, each also .gz; a pattern in quotes; a folder; or hub:OWNER/NAME. Two plain texts of --kind pairs are
    parallel. Of several sets it is told what they share.
    """
    from rich.text import Text

    from glassformer.data.survey import overlaps, survey

    how, ids = reading_of(reading), _ids(tokenizer)
    with _waiting(f"reading {', '.join(files)}"):
        surveys = [
            survey(each_kind, each, how, ids=ids, shown=examples, problems=problems)
            for each_kind, each in sets(files, kind, how)
        ]
        shared = overlaps(surveys)
    if as_json:
        click.echo(as_object(surveys, shared))
        return
    console = _console()
    for each in (*chain.from_iterable(map(page, surveys)), *shared_page(shared)):
        console.print(each, soft_wrap=isinstance(each, Text))


def sets(
    files: Sequence[str], kind: "KindName | None", reading: "Reading"
) -> Iterator[tuple["KindName", list[str]]]:
    """Each set's kind and files: one by one, and parallel texts by twos."""
    from glassformer.data.formats import is_plain
    from glassformer.data.guess import are_two_languages, guess_kind
    from glassformer.data.readers import is_hub

    named = [name for file in files for name in _files(file)]
    paths = [Path(name) for name in named if not is_hub(name)]
    plain = len(paths) == len(named) and reading.format in (None, "text") and all(map(is_plain, paths))
    if plain and (are_two_languages(paths) if kind is None else kind == "pairs" and len(named) > 1):
        if len(named) % 2:
            raise InputError(f"{len(named)} plain texts were named for pairs; parallel texts come in twos")
        yield from (("pairs", named[first : first + 2]) for first in range(0, len(named), 2))
        return
    for name in named:
        yield kind or guess_kind([name], reading), [name]


def _files(name: str) -> list[str]:
    """A folder's files that can be examples; anything else as it is."""
    from glassformer.data.formats import ENDINGS, ending

    place = Path(name)
    if not place.is_dir():
        return [name]
    found = [str(path) for path in sorted(place.iterdir()) if path.is_file() and ending(path) in ENDINGS]
    if not found:
        raise InputError(
            f"{name} has no file with examples; expected names in {', '.join(ENDINGS)} (.gz may follow)"
        )
    return found


def _ids(name: str | None) -> "Ids | None":
    """A model's tokenizer, for counting."""
    if name is None:
        return None
    from glassformer.pretrained import resolve
    from glassformer.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(resolve(name))
    return lambda texts: tokenizer.ids(texts, special=False)


def _waiting(what: str) -> AbstractContextManager[object]:
    """A word beside a turning sign while large files are read, where somebody is watching."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(what)


def _console() -> "Console":
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDTH)


def page(survey: "Survey") -> "Iterator[RenderableType]":
    """One set: how much there is, how long it is, what it says, and what is wrong with it."""
    from rich.text import Text

    one, several = {
        "pairs": ("pair of texts", "pairs of texts"),
        "labels": ("labelled text", "labelled texts"),
        "tags": ("tagged sentence", "tagged sentences"),
        "questions": ("question", "questions"),
        "texts": ("text", "texts"),
    }[survey.kind]
    head = Text(survey.name, style="bold")
    head.append(f"  {survey.examples:,} {one if survey.examples == 1 else several}", style="not bold")
    if survey.scheme is not None:
        head.append(f", {survey.scheme}", style="not bold")
    yield head
    yield Text("")
    yield lengths_table(survey.lengths)
    for name, counts in survey.counts.items():
        if is_telling(name, counts, survey):
            yield Text("")
            yield counts_table(name, counts, survey.examples)
    yield Text("")
    yield from notes(survey)
    for example in survey.shown:
        yield example_text(example)


def lengths_table(lengths: "Mapping[str, Mapping[str, Spread]]") -> "Table":
    """How long each part is, by unit."""
    table = _table("", "", "least", "median", "90 %", "99 %", "most", "mean", "all")
    for part, units in lengths.items():
        for number, (unit, spread) in enumerate(units.items()):
            whole = (spread.least, spread.median, spread.percent_90, spread.percent_99, spread.most)
            figures = [f"{each:,}" for each in whole]
            table.add_row(
                "" if number else f"  {part}", unit, *figures, f"{spread.mean:,.1f}", f"{spread.total:,}"
            )
    return table


def counts_table(name: str, counts: Mapping[str, int], examples: int) -> "Table":
    """How often each value occurs, with a bar; the share is of the examples, or for entities and tags of them all."""
    whole = sum(counts.values()) if name in ("entity", "tag") else examples
    table, most = _table(name, "", "", ""), max(counts.values())
    for value, count in list(counts.items())[:ROWS]:
        table.add_row(
            f"  {value}", f"{count:,}", f"{count / whole:.1%}", "█" * max(1, round(BAR * count / most))
        )
    if len(counts) > ROWS:
        left = sum(list(counts.values())[ROWS:])
        table.add_row(f"  {len(counts) - ROWS:,} more", f"{left:,}", f"{left / whole:.1%}", "")
    return table


def is_telling(name: str, counts: Mapping[str, int], survey: "Survey") -> bool:
    """Whether a count says something that another does not say better."""
    if name == "tag":
        return "entity" not in survey.counts
    return name != "labels of a text" or set(counts) != {"1"}


def notes(survey: "Survey") -> "Iterator[RenderableType]":
    """Repetitions, contradictions, and the lines that were left out."""
    from rich.text import Text

    if survey.repeated:
        yield Text(f"  repeated examples: {survey.repeated:,}", style="yellow")
    if survey.contradicted:
        usual = survey.kind == "pairs"  # a sentence has several translations
        what = "several targets" if usual else "different answers"
        yield Text(f"  inputs with {what}: {survey.contradicted:,}", style="none" if usual else "yellow")
    if survey.left_out:
        yield Text(f"  lines left out: {survey.left_out:,}", style="red")
        for problem in survey.problems:
            yield Text(f"    {problem}")
        if survey.left_out > len(survey.problems):
            yield Text(f"    and {survey.left_out - len(survey.problems):,} more")
    if survey.repeated or survey.contradicted or survey.left_out:
        yield Text("")


def example_text(example: object) -> "RenderableType":
    """One example: each of its parts on a line of its own, named."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in shown(example):
        grid.add_row("  " + name, Text(text if len(text) <= LONGEST else text[:LONGEST] + " …"))
    grid.add_row("", "")
    return grid


def shown(example: Any) -> Iterator[tuple[str, str]]:
    """The parts of an example with their names, as people read them."""
    if not is_dataclass(example):
        yield "text", str(example)
        return
    values = {each.name: getattr(example, each.name) for each in fields(example)}
    if "tags" in values:
        marked = (word if tag == "O" else f"{word}/{tag}" for word, tag in zip(*values.values(), strict=True))
        yield "sentence", " ".join(marked)
        return
    for name, value in values.items():
        if name == "answers":
            yield name, " | ".join(f"{answer.text} ({answer.start})" for answer in value) or "none"
        elif value is not None:
            yield name, ", ".join(value) if isinstance(value, tuple) else str(value)


def shared_page(shared: "Sequence[Overlap]") -> "Iterator[RenderableType]":
    """What sets share, in words, and in the color of a warning if it is anything."""
    from rich.text import Text

    for each in (one for one in shared if one.shared):
        share = (
            f"{each.shared:,} of {each.inputs:,} inputs of {each.smaller} ({each.shared / each.inputs:.1%})"
        )
        yield Text(f"{share} also stand in {each.larger}", style="red")
    if shared and not any(each.shared for each in shared):
        yield Text("no input stands in two sets", style="green")


def as_object(surveys: "Sequence[Survey]", shared: "Sequence[Overlap]") -> str:
    """Everything, for programs."""
    sets = []
    for each in surveys:
        kept = {field.name: getattr(each, field.name) for field in fields(each) if field.name != "inputs"}
        sets.append({name: _plain(value) for name, value in kept.items()})
    return json.dumps({"sets": sets, "overlaps": [asdict(each) for each in shared]}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Dataclasses, wherever they stand, as objects."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _table(*headings: str) -> "Table":
    """Columns with air between them, figures on the right, and no lines."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, heading in enumerate(headings):
        words = number == 0 or (number == 1 and len(headings) > 4) or (len(headings) == 4 and number == 3)
        table.add_column("  " + heading if number == 0 else heading, justify="left" if words else "right")
    return table
