"""`glassformer compare`: which numbers of two runs differ, and by how much."""

from typing import Any

import click

from glassformer.cli.attribute import write_json, write_plot
from glassformer.cli.options import DEFAULTS, known, model_option, one_thread_for_little


@click.command
@click.argument("text")
@click.argument("other", required=False)
@click.option("--context", help="What the text asks about, for a model that answers questions.")
@model_option(DEFAULTS["classification"])
@click.option("--other-model", help="Another model for the same text (or for the other one), such as after training.")
@click.option("--keep", default="*", show_default=True, help="Only steps whose names fit a pattern, such as *.output.")
@click.option(
    "--align",
    type=click.Choice(["tokens", "positions"]),
    default="tokens",
    show_default=True,
    help="Of texts of different length, hold against each other: equal tokens, or those of the same number.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write everything as JSON into a file; - is standard output.")
@click.option("--plot", "plot_file", metavar="FILE", help="Write a figure: .png, .svg or .pdf.")
def compare(
    text: str,
    other: str | None,
    context: str | None,
    name: str,
    other_model: str | None,
    keep: str,
    align: Any,
    json_file: str | None,
    plot_file: str | None,
) -> None:
    """Show which steps of two runs differ, and by how much.

    Two texts in one model (compare TEXT OTHER), one text in two models (--other-model), or both.
    """
    from glassformer import inspection
    from glassformer.errors import InputError
    from glassformer.tasks.model import load

    if other is None and other_model is None:
        raise InputError("one text and one model were given; give another text, or --other-model")
    first = load(known(name, "classification"))
    one_thread_for_little(first)
    second = None if other_model is None else load(other_model)
    texts = [None if one is None else one if context is None else (one, context) for one in (text, other)]
    found = inspection.compare(first, second, text=texts[0], other=texts[1], keep=keep, align=align)
    for file, write in ((json_file, write_json), (plot_file, write_plot)):
        if file is not None:
            write(found, file)
            if file != "-":
                click.echo(f"wrote {file}", err=True)
    if json_file is None and plot_file is None:
        click.echo(str(found))
