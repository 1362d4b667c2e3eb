"""`glassformer translate`: sentences in, their translations out, in the same order."""

from operator import itemgetter
from typing import TYPE_CHECKING

import click

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
    beams_option,
    decoding_of,
    device_option,
    from_option,
    length_penalty_option,
    model_option,
    to_option,
    translator,
)

if TYPE_CHECKING:
    from glassformer.tasks.rewriting import Rewritten


@click.command
@click.argument("text", nargs=-1)
@model_option(TRANSLATOR)
@input_option
@format_option
@field_option
@from_option
@to_option
@beams_option
@length_penalty_option
@click.option("--truncate", is_flag=True, help="Leave out the end of a text that is longer than the model.")
@json_option
@click.option("--tokens", is_flag=True, help="With --json: the score too, and every token's probability.")
@batch_option
@device_option
def translate(
    text: tuple[str, ...],
    name: str,
    input_file: str | None,
    form: str | None,
    named: tuple[str, ...],
    source_language: str | None,
    target_language: str | None,
    beams: int | None,
    length_penalty: float | None,
    truncate: bool,
    as_json: bool,
    tokens: bool,
    batch: int,
    device: str,
) -> None:
    """Translate texts given here, in a file, or line by line.

    Each TEXT is one text. Without any and without --input, every line of standard input is one; an empty line stays
    empty.
    """
    rows = read_inputs(text, input_file, form=form, named=named)
    model, task = translator(name, device)
    options = {
        "decoding": decoding_of(task, beams, length_penalty),
        "truncate": truncate,
        "source_language": source_language,
        "target_language": target_language,
    }
    for _, answer in answers_of(
        model, rows, itemgetter("text"), options, texts=text, input_file=input_file, batch=batch
    ):
        if as_json:
            click.echo(as_line(as_object(answer, tokens)))
        else:
            click.echo("" if answer is None else answer.text)


def as_object(answer: "Rewritten | None", tokens: bool) -> dict[str, object]:
    """For programs: the translation, and where it is asked for how likely each of its tokens was."""
    if answer is None:
        return {"translation": ""}
    if not tokens:
        return {"translation": answer.text}
    likely = [
        {"token": token, "log_probability": value}
        for token, value in zip(answer.tokens, answer.log_probabilities, strict=True)
    ]
    return {"translation": answer.text, "score": answer.score, "complete": answer.complete, "tokens": likely}
