"""`glassformer translate`: sentences in, their translations out, in the same order."""

from operator import itemgetter
from typing import Any

import click

from glassformer.cli.decoding import as_object, decoding_of, decoding_options, how_likely, texts_of
from glassformer.cli.inputs import (
    answers_of,
    as_line,
    batch_option,
    field_option,
    format_option,
    input_option,
    json_option,
    read_inputs,
)
from glassformer.cli.options import (
    TRANSLATOR,
    device_option,
    from_option,
    model_option,
    precision_option,
    to_option,
    translator,
)


@click.command
@click.argument("text", nargs=-1)
@model_option(TRANSLATOR)
@input_option
@format_option
@field_option
@from_option
@to_option
@decoding_options()
@click.option("--truncate", is_flag=True, help="Leave out the end of a text that is longer than the model.")
@json_option
@click.option("--tokens", is_flag=True, help="With --json: the score too, and every token's probability.")
@batch_option
@device_option
@precision_option
def translate(
    text: tuple[str, ...],
    name: str,
    input_file: str | None,
    form: str | None,
    named: tuple[str, ...],
    source_language: str | None,
    target_language: str | None,
    truncate: bool,
    as_json: bool,
    tokens: bool,
    batch: int,
    device: str,
    precision: str | None,
    **decoding: Any,
) -> None:
    """Translate texts given here, in a file, or line by line.

    Each TEXT is one text. Without any and without --input, every line of standard input is one; an empty line stays
    empty. What no option says of how they are written is as in the model's generation_config.json.
    """
    rows = read_inputs(text, input_file, form=form, named=named)
    model, task = translator(name, device, precision)
    options = {
        "decoding": decoding_of(task.decoding, decoding),
        "truncate": truncate,
        "source_language": source_language,
        "target_language": target_language,
    }
    for _, answer in answers_of(
        model, rows, itemgetter("text"), options, texts=text, input_file=input_file, batch=batch
    ):
        if as_json:
            likely = how_likely(answer) if tokens and answer is not None else {}
            click.echo(as_line({**as_object("translation", answer), **likely}))
            continue
        for translation in texts_of(answer):
            click.echo(translation)
