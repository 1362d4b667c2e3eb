"""`glassformer tag`: texts in, the names in them out, in the same order."""

import sys
from operator import itemgetter
from typing import TYPE_CHECKING, cast

import click

from glassformer.cli.inputs import as_line, one_line
from glassformer.cli.verb import Asking, verb

if TYPE_CHECKING:
    from glassformer.tasks.tagging import Entities, Tagging


@click.command
@verb("tagging")
@click.option(
    "--aggregation",
    type=click.Choice(["first", "mean", "simple"]),
    default="first",
    show_default=True,
    help="What decides a word's label: its first token, the mean of its tokens, or each token for itself.",
)
@click.option(
    "--window", type=click.IntRange(min=1), help="Tokens read at once. [default: as many as the model can]"
)
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    help="Tokens from one window to the next. [default: half a window]",
)
def tag(
    asking: Asking,
    aggregation: str,
    window: int | None,
    stride: int | None,
) -> None:
    """Find names in texts given here, in a file, or line by line.

    Each TEXT is one text. Without any and without --input, every line of standard input is one; an empty line stays
    empty. A text longer than the model is read in windows that overlap. Start and end are characters of the text.
    """
    rows, model = asking.rows(), asking.model()
    options = {"aggregation": aggregation, "window": window, "stride": stride}
    for _, answer in asking.answers(model, rows, itemgetter("text"), options):
        if asking.as_json:
            click.echo(as_line(as_object(answer)))
        elif sys.stdout.isatty() and answer is not None:
            show(answer, cast("Tagging", model.task).kinds)
        else:
            click.echo(one_line(str(answer or "")))


def as_object(answer: "Entities | None") -> dict[str, object]:
    """For programs: each entity with its type, its characters and its score."""
    return {
        "entities": [
            {"type": one.type, "text": one.text, "start": one.start, "end": one.end, "score": one.probability}
            for one in (answer.entities if answer else ())
        ]
    }


def show(answer: "Entities", kinds: tuple[str, ...]) -> None:
    """For people: names in the colour of their kind."""
    from rich.console import Console

    from glassformer.show.answers import marked

    Console(highlight=False).print(marked(answer, kinds))
