"""`glassformer explain`: one answer, and every number that made it."""

import sys
from collections.abc import Callable
from functools import partial
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

import click

from glassformer.cli.options import TRANSLATOR, one_thread_for_little
from glassformer.glass.views import view

if TYPE_CHECKING:
    from glassformer.glass.names import Names
    from glassformer.glass.trace import Trace
    from glassformer.tasks.model import Model
    from glassformer.tasks.task import Text


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
@click.option(
    "--target",
    metavar="TEXT",
    help="The answer that is wanted: its loss is explained too; several labels stand between commas.",
)
@click.option(
    "--training",
    is_flag=True,
    help="One step of training on the --target: the gradient of everything, and one update by AdamW.",
)
@click.option(
    "--learning-rate",
    default=1e-3,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How far the update of --training goes.",
)
@click.option("--step", metavar="NAME", help="One step alone and in full, such as encoder.embedding.tokens.")
@click.option(
    "--json", "json_file", metavar="FILE", help="Write everything as JSON into a file; - is standard output."
)
@click.option("--html", "html_file", metavar="FILE", help="Write a page that stands alone into a file.")
@click.option(
    "--page-size",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.5),
    metavar="MB",
    help="Largest size of the page; where all digits of all numbers do not fit, the page rounds and says so.",
)
@click.option("--latex", "latex_file", metavar="FILE", help="Write the walk as a LaTeX document (.tex).")
@click.option(
    "--notebook",
    "notebook_file",
    metavar="FILE",
    help="Write a notebook (.ipynb) that computes every step again in NumPy, and the trace it loads beside it.",
)
@click.option(
    "--figure",
    "figures",
    metavar="STEP FILE",
    nargs=2,
    multiple=True,
    help="Draw a step into a .png, .svg or .pdf file; STEP may also be residual, likeliest or map (the model's).",
)
@click.option(
    "--trace",
    "trace_file",
    metavar="FILE",
    help="Save the run itself (.safetensors), every number with every digit; Python's Trace.load opens it.",
)
@click.option(
    "--workbook",
    "workbook_file",
    metavar="FILE",
    help="Write a workbook (.xlsx) whose cells are live formulas.",
)
@click.option(
    "--keep",
    metavar="PATTERN",
    multiple=True,
    help="Of the --workbook only these steps, such as 'encoder.layers.0.*'; may be given several times.",
)
@click.option("--all", "everything", is_flag=True, help="Pass over nothing: every layer, every row.")
@click.option(
    "--precision", default=4, show_default=True, type=click.IntRange(1, 15), help="Digits after the point."
)
def explain(
    text: str,
    context: str | None,
    name: str,
    task: str | None,
    target: str | None,
    training: bool,
    learning_rate: float,
    step: str | None,
    everything: bool,
    precision: int,
    **wanted: Any,
) -> None:
    """Walk through every number behind one answer.

    Where no file is asked for the walk is printed: each step with its formula, the numbers put in and the result.
    Large matrices are shown in part; --step NAME shows one step whole.
    """
    from glassformer.show.find import find
    from glassformer.show.labels import names_of
    from glassformer.tasks.model import load

    model = load(name, task=task)
    one_thread_for_little(model)
    trace = traced(model, text if context is None else (text, context), target, training, learning_rate)
    trace.names = names_of(model, name)
    only = None if step is None else [find(trace, step)]
    digits = {"precision": precision, "everything": everything}
    drawn = {figure: find_figure(trace, figure) for figure, _ in wanted["figures"]}
    writers: list[tuple[str | None, Callable[[str], None]]] = [
        (wanted["json_file"], lambda file: write_record(trace, file, only)),
        (wanted["html_file"], lambda file: write_page(model, text, trace, file, wanted["page_size"])),
        (wanted["latex_file"], lambda file: trace.to_latex(file, **digits)),
        (wanted["notebook_file"], trace.to_notebook),
        (wanted["trace_file"], trace.save),
        (wanted["workbook_file"], lambda file: trace.to_workbook(file, keep=wanted["keep"] or "*")),
        *((file, partial(draw, model, trace, drawn[figure])) for figure, file in wanted["figures"]),
    ]
    for file, write in writers:
        if file is not None:
            write(file)
            if file != "-":
                click.echo(f"wrote {file}", err=True)
    if all(file is None for file, _ in writers):
        show(trace, trace.names, only, everything, precision)


def find_figure(trace: "Trace", figure: str) -> str:
    """What is drawn: a step found by its name, or one of the figures of the whole."""
    from glassformer.show.find import find

    return figure if figure in ("map", "residual", "likeliest") else find(trace, figure)


def draw(model: "Model", trace: "Trace", figure: str, file: str) -> None:
    """Write one figure: of the run, or the map of the model."""
    if figure == "map":
        view("map", model.config, file)
    else:
        trace.plot(figure, file)


def write_page(model: "Model", text: str, trace: "Trace", file: str, megabytes: float) -> None:
    """Write the page; of a model that writes, with how it came to its answer."""
    from glassformer.tasks.generation import Generation
    from glassformer.tasks.rewriting import Rewriting

    writes = isinstance(model.task, Generation | Rewriting)
    writing = model.trace_generation(text, keep="head.logits") if writes else None
    trace.to_html(file, largest=int(megabytes * 1e6), writing=writing)


def write_record(trace: "Trace", file: str, only: "list[str] | None") -> None:
    """Write the JSON into a file, or print it."""
    from glassformer.show.record import pieces, write_json

    if file == "-":
        sys.stdout.writelines(pieces(trace, trace.names, only))
    else:
        write_json(trace, file, trace.names, only)


def traced(model: "Model", text: "Text", target: str | None, training: bool, learning_rate: float) -> "Trace":
    """The run to explain: an answer, with its loss where one is wanted, or a whole step of training."""
    from glassformer.errors import InputError
    from glassformer.glass.update import AdamW
    from glassformer.tasks.wanted import read_target

    if target is None:
        if training:
            raise InputError("--training was given without an answer to learn from; add --target TEXT")
        return model.trace(text)
    wanted = read_target(model.task, target)
    if training:
        return model.trace_training_step(text, target=wanted, optimizer=AdamW(learning_rate=learning_rate))
    return model.trace(text, target=wanted)


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
