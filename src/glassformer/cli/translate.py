"""`glassformer translate`: sentences in, their translations out, in the same order."""

from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

import click

from glassformer.cli.decoding import as_object, decoding_of, decoding_options, how_likely, texts_of
from glassformer.cli.inputs import as_line
from glassformer.cli.options import from_option, shortlist_option, to_option
from glassformer.cli.verb import Asking, verb

if TYPE_CHECKING:
    from glassformer.tasks.translation import Translation


@click.command
@verb("translation")
@from_option
@to_option
@decoding_options("num_assistant_tokens")
@click.option("--truncate", is_flag=True, help="Leave out the end of a text that is longer than the model.")
@shortlist_option
@click.option("--tokens", is_flag=True, help="With --json: the score too, and every token's probability.")
def translate(
    asking: Asking,
    source_language: str | None,
    target_language: str | None,
    truncate: bool,
    shortlist: str | None,
    tokens: bool,
    **decoding: Any,
) -> None:
    """Translate texts given here, in a file, or line by line.

    Each TEXT is one text. Without any and without --input, every line of standard input is one; an empty line stays
    empty. What no option says of how they are written is as in the model's generation_config.json.
    """
    rows, model = asking.rows(), asking.model()
    task = cast("Translation", model.task)
    options = {
        "decoding": decoding_of(task.decoding, decoding),
        "truncate": truncate,
        "shortlist": None if shortlist is None else model.shortlist(shortlist),
        "source_language": source_language,
        "target_language": target_language,
    }
    for _, answer in asking.answers(model, rows, itemgetter("text"), options):
        if asking.as_json:
            likely = how_likely(answer) if tokens and answer is not None else {}
            click.echo(as_line({**as_object("translation", answer), **likely}))
            continue
        for translation in texts_of(answer):
            click.echo(translation)
