"""`glassformer summarize`: long texts in, short ones out, in the same order."""

from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

import click

from glassformer.cli.decoding import as_object, decoding_of, decoding_options, texts_of
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
from glassformer.cli.options import (
    DEFAULTS,
    asked,
    device_option,
    model_option,
    precision_option,
)

if TYPE_CHECKING:
    from glassformer.tasks.summarization import Summarization


@click.command
@click.argument("text", nargs=-1)
@model_option(DEFAULTS["summarization"])
@input_option
@format_option
@field_option
@decoding_options()
@click.option("--truncate", is_flag=True, help="Leave out the end of a text that is longer than the model.")
@json_option
@batch_option
@device_option
@precision_option
def summarize(
    text: tuple[str, ...],
    name: str,
    input_file: str | None,
    form: str | None,
    named: tuple[str, ...],
    truncate: bool,
    as_json: bool,
    batch: int,
    device: str,
    precision: str | None,
    **decoding: Any,
) -> None:
    """Summarise texts given here, in a file, or line by line.

    Each TEXT is one text. Without any and without --input, every line of standard input is one; an empty line stays
    empty. What no option says of how they are written is as in the model's generation_config.json.
    """
    rows = read_inputs(text, input_file, form=form, named=named)
    model = asked(name, "summarization", device, precision)
    task = cast("Summarization", model.task)
    options = {"decoding": decoding_of(task.decoding, decoding), "truncate": truncate}
    for _, answer in answers_of(
        model, rows, itemgetter("text"), options, texts=text, input_file=input_file, batch=batch
    ):
        if as_json:
            click.echo(as_line(as_object("summary", answer)))
            continue
        for summary in texts_of(answer):
            click.echo(one_line(summary))
