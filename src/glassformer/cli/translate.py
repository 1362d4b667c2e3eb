"""`glassformer translate`: sentences in, their translations out, in the same order."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from glassformer.cli.options import (
    TRANSLATOR,
    beams_option,
    decoding_of,
    device_option,
    from_option,
    length_penalty_option,
    one_thread_for_little,
    to_option,
    translator,
)
from glassformer.cli.progress import counting
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.tasks.translation import TranslationAnswer


@click.command
@click.argument("text", nargs=-1)
@click.option(
    "--model",
    "name",
    default=TRANSLATOR,
    show_default=True,
    help="A model that ships, a folder, or a hub name.",
)
@from_option
@to_option
@beams_option
@length_penalty_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: text, tokens, probabilities.")
@click.option(
    "--batch",
    default=256,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many lines are read and translated together.",
)
@device_option
def translate(
    text: tuple[str, ...],
    name: str,
    source_language: str | None,
    target_language: str | None,
    beams: int | None,
    length_penalty: float | None,
    as_json: bool,
    batch: int,
    device: str,
) -> None:
    """Translate sentences given here or line by line.

    Each TEXT is one sentence. Without any, every line of standard input is one; an empty line stays empty.
    """
    model, task = translator(name, device)
    if text:
        one_thread_for_little(model)
    task = task.between(source_language, target_language)
    decoding = decoding_of(task, beams, length_penalty)
    with_keyboard = not text and sys.stdin.isatty()
    if with_keyboard:
        click.echo("One sentence a line; Ctrl-D ends.", err=True)
    with counting("lines", when=not text and not with_keyboard) as count:
        for lot in lots(text or lines(), 1 if with_keyboard else batch):
            written = [number for number, sentence in enumerate(lot) if text or sentence.strip()]
            answers = task.translate(model.transformer, [lot[number] for number in written], decoding)
            found = dict(zip(written, answers, strict=True))
            for number, sentence in enumerate(lot):
                click.echo(line_of(sentence, found.get(number), as_json))
            count(len(lot))


def lines() -> Iterator[str]:
    """The lines of standard input, without their ends."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"line {number} of the input is not UTF-8 text; convert it to UTF-8") from error


def lots(sentences: Iterable[str], size: int) -> Iterator[list[str]]:
    """So many at a time."""
    stream = iter(sentences)
    while lot := list(islice(stream, size)):
        yield lot


def line_of(source: str, answer: "TranslationAnswer | None", as_json: bool) -> str:
    """One line of output."""
    if not as_json:
        return "" if answer is None else answer.text
    if answer is None:
        return json.dumps({"source": source, "text": ""}, ensure_ascii=False)
    tokens = [
        {"token": token, "log_probability": value}
        for token, value in zip(answer.tokens, answer.log_probabilities, strict=True)
    ]
    whole = {"source": source, "text": answer.text, "score": answer.score, "complete": answer.complete}
    return json.dumps({**whole, "tokens": tokens}, ensure_ascii=False)
