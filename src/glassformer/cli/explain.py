"""`glassformer explain`: one answer, and every number that made it."""

import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from glassformer.cli.options import TRANSLATOR, one_thread_for_little

if TYPE_CHECKING:
    from glassformer.glass.names import Names
    from glassformer.glass.trace import Trace


@click.command
@click.argument("text")
@click.option(
    "--context", help="What the text asks about, for a model that answers questions; or a pair's second text."
)
@click.option(
    "--model",
    "name",
    default=TRANSLATOR,
    show_default=True,
    help="A model that ships, a checkpoint folder, or a name on the hub.",
)
@click.option(
    "--task",
    type=click.Choice(["translation", "summarization"]),
    help="What to do, for a model of several tasks such as T5. [default: the first that it is made for]",
)
@click.option("--step", metavar="NAME", help="One step alone and in full, such as encoder.embedding.tokens.")
@click.option(
    "--json", "json_file", metavar="FILE", help="Write everything as JSON into a file; - is standard output."
)
@click.option("--html", "html_file", metavar="FILE", help="Write a page that stands alone into a file.")
@click.option("--all", "everything", is_flag=True, help="Pass over nothing: every layer, every row.")
@click.option(
    "--precision", default=4, show_default=True, type=click.IntRange(1, 15), help="Digits after the point."
)
def explain(
    text: str,
    context: str | None,
    name: str,
    task: str | None,
    step: str | None,
    json_file: str | None,
    html_file: str | None,
    everything: bool,
    precision: int,
) -> None:
    """Walk through every number behind one answer.

    Without --step, --json or --html the walk is printed: each step with its formula, the numbers put in and the
    result. Large matrices are shown in part; --step NAME shows one step whole.
    """
    from glassformer.show.find import find
    from glassformer.show.labels import names_of
    from glassformer.tasks.model import load

    model = load(name, task=task)
    one_thread_for_little(model)
    trace = model.trace(text, context) if context is not None else model.trace(text)
    names = names_of(model, name)
    only = None if step is None else [find(trace, step)]
    if json_file is not None:
        from glassformer.show.record import pieces, write_json

        if json_file == "-":
            sys.stdout.writelines(pieces(trace, names, only))
        else:
            write_json(trace, json_file, names, only)
            click.echo(f"wrote {json_file}", err=True)
    if html_file is not None:
        from glassformer.show.page import write_page

        write_page(trace, html_file, names)
        click.echo(f"wrote {html_file}", err=True)
    if json_file is None and html_file is None:
        show(trace, names, only, everything, precision)


def show(trace: "Trace", names: "Names", only: "list[str] | None", everything: bool, precision: int) -> None:
    """Print the walk, or one step, as wide as the terminal is."""
    from rich.console import Console

    from glassformer.show.terminal import single, walk

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot write é still shows the numbers
    console = Console(highlight=False)
    if only is None:
        told = walk(trace, names, width=console.width, precision=precision, everything=everything)
    else:
        told = single(trace, only[0], names, width=console.width, precision=precision, everything=everything)
    for part in told:
        console.print(part)
