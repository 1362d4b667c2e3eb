"""`glassformer attribute`: which parts of a text, or of the model, an answer hangs on."""

import json
import sys
from typing import Any

import click

from glassformer.cli.options import DEFAULTS, known, model_option, one_thread_for_little

TOKENS = (
    "saliency",
    "input-x-gradient",
    "integrated-gradients",
    "occlusion",
    "rollout",
    "layer-integrated-gradients",
    "conductance",
)
WHOLE = ("layers", "direct", "lens")  # these find more than a score for each token



@click.command
@click.argument("text")
@click.option(
    "--context", help="What the text asks about, for a model that answers questions; or a pair's second text."
)
@model_option(DEFAULTS["classification"])
@click.option(
    "--task",
    type=click.Choice(["translation", "summarization"]),
    help="What to do, for a model of several tasks such as T5. [default: the first that it is made for]",
)
@click.option(
    "--method",
    type=click.Choice([*TOKENS, *WHOLE]),
    default="integrated-gradients",
    show_default=True,
    help="How: a score for each word; layers: for each word in each layer; direct: what every head and layer adds to "
    "the logit; lens: what each layer would answer.",
)
@click.option("--target", help="The answer that is asked about: a label, a word, start or end. [default: the model's]")
@click.option("--against", help="Why not this one: the difference of both logits is asked about.")
@click.option(
    "--position",
    type=click.IntRange(min=0),
    help="Which new token, which word of a text with names, or which hidden word; the first is 0. [default: where the "
    "model gives the target first, else the first]",
)
@click.option("--written", help="What stands before the token that is asked about, in place of the model's own.")
@click.option("--step", help="Look within the model, at a step such as encoder.layers.3.feed_forward.active.")
@click.option(
    "--baseline",
    default="zero",
    show_default=True,
    help="What stands for nothing: zero, mean, or a token of the model such as [MASK].",
)
@click.option("--steps", type=click.IntRange(min=1), help="Points of an integral. [default: until its parts add up]")
@click.option(
    "--unit",
    type=click.Choice(["token", "word"]),
    default="token",
    show_default=True,
    help="What occlusion leaves out at once.",
)
@click.option("--float64", is_flag=True, help="Compute in float64.")
@click.option("--json", "json_file", metavar="FILE", help="Write everything as JSON into a file; - is standard output.")
@click.option("--html", "html_file", metavar="FILE", help="Write a page that stands alone into a file.")
@click.option("--plot", "plot_file", metavar="FILE", help="Write a figure: .png, .svg or .pdf.")
def attribute(
    text: str,
    context: str | None,
    name: str,
    task: str | None,
    method: str,
    step: str | None,
    baseline: str,
    steps: int | None,
    unit: str,
    float64: bool,
    json_file: str | None,
    html_file: str | None,
    plot_file: str | None,
    **said: Any,
) -> None:
    """Say which words, layers or heads an answer hangs on.

    Works for every model with a head: labels, names, answers to questions, hidden words, translations, texts. Without
    --json, --html or --plot the text is printed with its words in colour: warm for the answer, cool against it.
    """
    from glassformer.errors import InputError
    from glassformer.tasks.model import load

    if html_file is not None and method in WHOLE:
        raise InputError(f"--html shows a score for each word, and {method} finds others; use --plot or --json")
    model = load(known(name, "classification"), task=task)
    one_thread_for_little(model)
    asked = {"float64": float64, **said}
    within = {"step": step, "baseline": baseline, "steps": steps, "unit": unit}
    found = found_by(model, text, context, method, asked, within)
    for file, write in ((json_file, write_json), (html_file, write_html), (plot_file, write_plot)):
        if file is not None:
            write(found, file)
            if file != "-":
                click.echo(f"wrote {file}", err=True)
    if json_file is None and html_file is None and plot_file is None:
        show(found)


def found_by(
    model: Any, text: str, context: str | None, method: str, asked: dict[str, Any], within: dict[str, Any]
) -> Any:
    """What the method finds."""
    from glassformer import inspection

    if method == "direct":
        return inspection.direct(model, text, context, **asked)
    if method == "lens":
        return inspection.lens(model, text, context, **asked)
    if method == "layers":
        integral = {name: within[name] for name in ("baseline", "steps")}
        return inspection.layers(model, text, context, part=within["step"] or "", **integral, **asked)
    return inspection.attribute(model, text, context, method=method, **within, **asked)  # type: ignore[arg-type]


def write_json(found: Any, file: str) -> None:
    """Everything, as JSON."""
    from glassformer.files import write_text

    told = json.dumps(found.as_dict(), ensure_ascii=False, indent=1, allow_nan=False)
    if file == "-":
        click.echo(told)
    else:
        write_text(file, [told, "\n"])


def write_html(found: Any, file: str) -> None:
    """The text in colour, as a page."""
    from glassformer.show.attributions import write_page

    write_page(found, file)


def write_plot(found: Any, file: str) -> None:
    """A figure."""
    found.plot(file)


def show(found: Any) -> None:
    """For people."""
    from rich.console import Console

    from glassformer.inspection.attribution import Attribution
    from glassformer.show.attributions import shown

    if not isinstance(found, Attribution) or not sys.stdout.isatty():
        click.echo(str(found))
        return
    console = Console(highlight=False)
    for line in shown(found):
        console.print(line)
