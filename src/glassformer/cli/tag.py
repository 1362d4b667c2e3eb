"""`glassformer tag`: texts in, the names in them out, in the same order."""

import sys
from operator import itemgetter
from typing import TYPE_CHECKING, cast

import click

from glassformer.cli.inputs import (
    answers_of,
    as_line,
    batch_option,
    field_option,
    format_option,
    input_option,
    json_option,
    one_line,
    read_inputs,
)
from glassformer.cli.options import DEFAULTS, asked, device_option, model_option, precision_option

if TYPE_CHECKING:
    from glassformer.tasks.tagging import Entities, Tagging


@click.command
@click.argument("text", nargs=-1)
@model_option(DEFAULTS["tagging"])
@input_option
@format_option
@field_option
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
@json_option
@batch_option
@device_option
@precision_option
def tag(
    text: tuple[str, ...],
    name: str,
    input_file: str | None,
    form: str | None,
    named: tuple[str, ...],
    aggregation: str,
    window: int | None,
    stride: int | None,
    as_json: bool,
    batch: int,
    device: str,
    precision: str | None,
) -> None:
    """Find names in texts given here, in a file, or line by line.

    Each TEXT is one text. Without any and without --input, every line of standard input is one; an empty line stays
    empty. A text longer than the model is read in windows that overlap. Start and end are characters of the text.
    """
    rows = read_inputs(text, input_file, form=form, named=named)
    model = asked(name, "tagging", device, precision)
    options = {"aggregation": aggregation, "window": window, "stride": stride}
    for _, answer in answers_of(
        model, rows, itemgetter("text"), options, texts=text, input_file=input_file, batch=batch
    ):
        if as_json:
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
