"""`glassformer answer`: questions and the texts that answer them in, the answers out, in the same order."""

import os
import sys
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glassformer.cli.inputs import Row, as_line, decoded, lines_of, one_line
from glassformer.cli.verb import Asking, verb
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.tasks.answering import Span

FIELDS = ("question", "context")


@click.command
@verb("answering", "question")
@click.option("--context", help="The text that holds the answer, or a file of it, for all questions.")
@click.option("--keep", type=click.IntRange(min=1), help="How many answers are given to each. [default: 1]")
@click.option(
    "--no-answer/--always-answer",
    "no_answer",
    default=None,
    help="Whether the context may hold no answer; none is empty. [default: the model's own]",
)
@click.option(
    "--threshold",
    type=float,
    help="How far the log-probability of no answer must be above that of the best one. [default: the model's own]",
)
@click.option("--longest", type=click.IntRange(min=1), help="Tokens that an answer may have. [default: 30]")
@click.option(
    "--window", type=click.IntRange(min=1), help="Tokens read at once. [default: the model's, at most 384]"
)
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    help="Tokens from one window to the next. [default: half of what fits]",
)
def answer(
    asking: Asking,
    context: str | None,
    **search: Any,
) -> None:
    """Answer questions from a text given here or in a file.

    With QUESTION and without --context, standard input is the text. With --context alone, every line of standard input
    is a question. A file of --input holds `question` and `context`. A long text is read in windows that overlap.
    """
    if context is None and asking.texts and not sys.stdin.isatty():
        context = whole(decoded(sys.stdin.buffer, "the input"))
    given = {} if context is None else {"context": text_of(context)}
    rows, model = asking.rows(FIELDS, given=given), asking.model()
    for row, found in asking.answers(model, rows, itemgetter(*FIELDS), search, things="questions"):
        if asking.as_json:
            click.echo(as_line(as_object(found)))
        elif sys.stdout.isatty() and found is not None:
            show(row, found, heading=len(asking.texts) != 1)
        else:
            click.echo(one_line("\t".join(one.text for one in every(found))))


def whole(lines: Any) -> str:
    """Numbered lines as the text that they are."""
    return "\n".join(line for _, line in lines)


def text_of(context: str) -> str:
    """A context, or the file that holds it; not an empty one."""
    text = whole(lines_of(Path(context))) if os.path.isfile(context) else context
    if not text.strip():
        raise InputError("the context is empty; give the text that holds the answer, or a file of it")
    return text


def every(found: "Span | None") -> "tuple[Span, ...]":
    """The answers of one question, best first."""
    return () if found is None else (found, *found.others)


def as_object(found: "Span | None") -> dict[str, object]:
    """For programs: the answer, its characters in the context, its score; others, if they were asked for."""
    if found is None:
        return {"answer": "", "start": 0, "end": 0, "score": None}
    best, *others = (
        {"answer": one.text, "start": one.start, "end": one.end, "score": one.probability}
        for one in every(found)
    )
    return {**best, "others": others} if others else best


def show(row: Row, found: "Span", *, heading: bool) -> None:
    """For people: the answer, and where it stands."""
    from rich.console import Console

    from glassformer.show.answers import answered as told

    console = Console(highlight=False)
    if heading:
        console.print(one_line(row["question"]), style="bold", markup=False)
    for line in told(found, row["context"]):
        console.print(line)
    if heading:
        console.print()
