"""`glassformer summarize`: long texts in, short ones out, in the same order."""

from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

import click

from glassformer.cli.decoding import as_object, decoding_of, decoding_options, texts_of
from glassformer.cli.inputs import as_line, one_line
from glassformer.cli.verb import Asking, verb

if TYPE_CHECKING:
    from glassformer.tasks.summarization import Summarization


@click.command
@verb("summarization")
@decoding_options("num_assistant_tokens")
@click.option("--truncate", is_flag=True, help="Leave out the end of a text that is longer than the model.")
def summarize(
    asking: Asking,
    truncate: bool,
    **decoding: Any,
) -> None:
    """Summarise texts given here, in a file, or line by line.

    Each TEXT is one text. Without any and without --input, every line of standard input is one; an empty line stays
    empty. What no option says of how they are written is as in the model's generation_config.json.
    """
    rows, model = asking.rows(), asking.model()
    task = cast("Summarization", model.task)
    options = {"decoding": decoding_of(task.decoding, decoding), "truncate": truncate}
    for _, answer in asking.answers(model, rows, itemgetter("text"), options):
        if asking.as_json:
            click.echo(as_line(as_object("summary", answer)))
            continue
        for summary in texts_of(answer):
            click.echo(one_line(summary))
