"""`glassformer explain`: one answer, and every number that made it."""

import sys
from collections.abc import Callable
from functools import partial
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

import click

from glassformer.cli.decoding import decoding_options, said
from glassformer.cli.options import TRANSLATOR, one_thread_for_little
from glassformer.decoding.options import NAMES
from glassformer.errors import InputError
from glassformer.glass.views import view

if TYPE_CHECKING:
    from rich.console import Console

    from glassformer.glass.generation import GenerationTrace
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
    "--class-weight",
    "class_weights",
    metavar="LABEL NUMBER",
    nargs=2,
    type=(str, float),
    multiple=True,
    help="How much a label counts in the loss of the --target; may be given several times. [default: 1]",
)
@click.option(
    "--follows/--follows-not",
    default=None,
    help="Of hidden words in a text and its --context: that text follows, or does not, and is to be guessed too.",
)
@click.option(
    "--learning-rate",
    default=1e-3,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How far the update of --training goes.",
)
@click.option("--tokenization", is_flag=True, help="How the text is cut into tokens, merge by merge or piece by piece.")
@click.option(
    "--writing",
    "written",
    is_flag=True,
    help="How the answer was written, token by token: what else was likely, and the tree of a search by beams, groups "
    "or likeness.",
)
@decoding_options("num_return_sequences", "beyond_source", "num_assistant_tokens")
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
@click.option(
    "--head",
    "heads",
    type=click.IntRange(min=0),
    multiple=True,
    help="Of the --workbook only this head of every attention, with its rows of the weights; also several times.",
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
    class_weights: tuple[tuple[str, float], ...],
    follows: bool | None,
    learning_rate: float,
    tokenization: bool,
    written: bool,
    step: str | None,
    everything: bool,
    precision: int,
    **wanted: Any,
) -> None:
    """Walk through every number behind one answer.

    Where no file is asked for the walk is printed: each step with its formula, the numbers put in and the result.
    Large matrices are shown in part; --step NAME shows one step whole. What no option says of how a text is written is
    as in the model's generation_config.json.
    """
    from glassformer.show.find import find
    from glassformer.show.labels import names_of
    from glassformer.tasks.model import load

    refuse_idle(wanted)
    model = load(name, task=task)
    one_thread_for_little(model)
    if tokenization:
        for part in (text,) if context is None else (text, context):
            click.echo(model.tokenization(part))
        return
    decoding = {each: wanted.pop(each) for each in NAMES if each in wanted}
    options = said(decoding)
    given = text if context is None else (text, context)
    of_loss = {"class_weights": dict(class_weights) or None, "follows": follows}
    of_loss = {option: value for option, value in of_loss.items() if value is not None}
    trace = traced(model, given, target, training, learning_rate, options, of_loss)
    trace.names = names_of(model, name)
    writing = followed(model, text, options, asked=written, drawn=wanted["html_file"] is not None)
    only = None if step is None else [find(trace, step)]
    digits = {"precision": precision, "everything": everything}
    megabytes = wanted["page_size"]
    chosen = {"keep": wanted["keep"] or "*", "heads": wanted["heads"] or None}
    drawn = {figure: find_figure(trace, figure) for figure, _ in wanted["figures"]}
    writers: list[tuple[str | None, Callable[[str], None]]] = [
        (wanted["json_file"], lambda file: write_record(trace, file, only, writing if written else None)),
        (wanted["html_file"], lambda file: trace.to_html(file, largest=int(megabytes * 1e6), writing=writing)),
        (wanted["latex_file"], lambda file: trace.to_latex(file, **digits)),
        (wanted["notebook_file"], trace.to_notebook),
        (wanted["trace_file"], trace.save),
        (wanted["workbook_file"], lambda file: trace.to_workbook(file, **chosen)),
        *((file, partial(draw, model, trace, drawn[figure])) for figure, file in wanted["figures"]),
    ]
    for file, write in writers:
        if file is not None:
            write(file)
            if file != "-":
                click.echo(f"wrote {file}", err=True)
    if all(file is None for file, _ in writers):
        if writing is not None:
            show_writing(writing)
        else:
            show(trace, trace.names, only, everything, precision)


def refuse_idle(wanted: "dict[str, Any]") -> None:
    """An option of a file that is not asked for is a mistake, not something to pass over."""
    for option, value in (("--keep", wanted["keep"]), ("--head", wanted["heads"])):
        if value and wanted["workbook_file"] is None:
            raise InputError(f"{option} says what a workbook holds, and none is asked for; add --workbook FILE")


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


def followed(
    model: "Model", text: str, options: "dict[str, Any]", *, asked: bool, drawn: bool
) -> "GenerationTrace | None":
    """How the answer was written, where that is asked for, or can be drawn on a page."""
    from glassformer.tasks.generation import Generation
    from glassformer.tasks.rewriting import Rewriting

    if not asked and not (drawn and isinstance(model.task, Generation | Rewriting)):
        return None
    return model.trace_generation(text, keep="*" if asked else "head.logits", **options)


def write_record(
    trace: "Trace", file: str, only: "list[str] | None", writing: "GenerationTrace | None"
) -> None:
    """Write the JSON into a file, or print it."""
    from glassformer.show.record import pieces, write_json

    if file == "-":
        sys.stdout.writelines(pieces(trace, trace.names, only, writing))
    else:
        write_json(trace, file, trace.names, only, writing)


def traced(
    model: "Model",
    text: "Text",
    target: str | None,
    training: bool,
    learning_rate: float,
    options: "dict[str, Any]",
    of_loss: "dict[str, Any]",
) -> "Trace":
    """The run to explain: an answer, with its loss where one is wanted, or a whole step of training."""
    from glassformer.glass.update import AdamW
    from glassformer.tasks.wanted import read_target

    if target is None:
        if training:
            raise InputError("--training was given without an answer to learn from; add --target TEXT")
        if of_loss:
            raise InputError("options of a loss were given without an answer to learn from; add --target TEXT")
        return model.trace(text, **options)
    if options:
        raise InputError("a wanted answer is not searched for; leave --target out, or the options of writing")
    wanted = read_target(model.task, target)
    if training:
        settings = AdamW(learning_rate=learning_rate)
        return model.trace_training_step(text, target=wanted, optimizer=settings, **of_loss)
    return model.trace(text, target=wanted, **of_loss)


def show_writing(writing: "GenerationTrace") -> None:
    """Print how the answer was written, its tree if it has one, and that all of it adds up."""
    from rich.console import Console

    from glassformer.show.beams import told

    console = console_of(Console)
    for line in writing.lines():
        console.print(line, soft_wrap=True)
    for part in told(writing.tree) if writing.tree is not None else ():
        console.print(part, soft_wrap=True)
    console.print(writing.answer, style="bold")
    console.print(str(writing.verify()), style="dim")


def show(trace: "Trace", names: "Names", only: "list[str] | None", everything: bool, precision: int) -> None:
    """Print the walk, or one step, as wide as the terminal is."""
    from rich.console import Console

    from glassformer.show.terminal import single, walk

    console = console_of(Console)
    if only is None:
        told = walk(trace, names, width=console.width, precision=precision, everything=everything)
    else:
        told = single(trace, only[0], names, width=console.width, precision=precision, everything=everything)
    for part in told:
        console.print(part)


def console_of(kind: "type[Console]") -> "Console":
    """A terminal that cannot write é still shows the numbers."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return kind(highlight=False)
