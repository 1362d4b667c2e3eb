"""`glassformer quantize`: what a precision of the weights costs a model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from glassformer.cli.attribute import write_plot
from glassformer.cli.evaluate import examples_of
from glassformer.cli.options import (
    bootstrap_option,
    check_place,
    from_option,
    limit_option,
    overwrite_option,
    task_option,
    to_option,
)
from glassformer.cli.progress import Lines, counting, tell_skipped
from glassformer.cli.reading import reading_of, reading_options
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.tasks.model import Model
    from glassformer.tasks.task import Text

WHOLE = ("int8", "int4")  # what a folder can hold
WORDS = 60  # of a long text that are looked at


@click.command
@click.argument("model")
@click.argument("given", metavar="[TEXT]...", nargs=-1)
@click.option(
    "--precision",
    type=click.Choice(["int8", "int4", "bfloat16", "auto"]),
    default="int8",
    show_default=True,
    help="What the weights are rounded to.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="FILE",
    help="Examples of what the model does, as for `glassformer evaluate`: its figures before and after.",
)
@limit_option
@click.option(
    "--looked-at",
    "count",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many of the examples are run through the glass, where no TEXT is given.",
)
@task_option
@bootstrap_option
@from_option
@to_option
@click.option("--out", "folder", metavar="FOLDER", help="Write the model there with rounded weights, int8 or int4.")
@overwrite_option
@click.option("--plot", "plot_file", metavar="FILE", help="Write a figure of how far each step moves: .png, .svg.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object: every step, every part.")
@reading_options
def quantize(
    model: str,
    precision: str,
    given: tuple[str, ...],
    data: tuple[str, ...],
    limit: int | None,
    count: int,
    task: str | None,
    bootstrap: int,
    source_language: str | None,
    target_language: str | None,
    folder: str | None,
    overwrite: bool,
    plot_file: str | None,
    as_json: bool,
    **reading: Any,
) -> None:
    """Say what rounding a model's weights costs.

    Through the glass: how far every number of a run moves when the weights are rounded as the engine rounds them, and
    which layer, rounded alone, moves the output most. With --data: the figures of the model's task before and after,
    and how many answers stay the same. Each TEXT is run through the glass; without any, the first examples are.
    """
    from glassformer.evaluation.by_task import Options, count_of, kind_of
    from glassformer.inspection.quantize import quantize as quantized
    from glassformer.tasks.model import load
    from glassformer.tasks.rewriting import Rewriting

    if not data and not given:
        raise InputError("neither a text nor --data was given; give texts to look at, examples to score, or both")
    if folder is not None and precision not in WHOLE:
        raise InputError(f"--out writes whole numbers and --precision is {precision}; give int8 or int4")
    if folder is not None:
        check_place(Path(folder), overwrite)
    loaded = load(model, task=task)
    if isinstance(loaded.task, Rewriting):
        loaded.task = loaded.task.between(source_language, target_language)
    examples: Sequence[Any] = ()
    if data:
        found = examples_of(model, kind_of(loaded.task), data, reading_of(reading))
        tell_skipped(Lines(), found.skipped)
        examples = found.examples[:limit]
    texts: list[Text] = [*given] or [text_of(example) for example in examples[:count]]
    total = count_of(loaded.task, examples) if examples else None
    told = quantized(
        loaded,
        cast("Any", precision),
        texts,
        examples=examples,
        options=Options(bootstrap=bootstrap),
        counter=lambda: counting("answers", when=True, total=total, alone=True),
    )
    if told.note is not None:
        click.echo(f"glassformer: {told.note}", err=True)
    if plot_file is not None:
        write_plot(told, plot_file)
        click.echo(f"wrote {plot_file}", err=True)
    if folder is not None:
        write(loaded, folder, precision)
    plain = {"model": model, "data": list(data), **told.as_dict()}
    click.echo(json.dumps(plain, ensure_ascii=False) if as_json else f"{model} at {told}")


def text_of(example: Any) -> "Text":
    """What a model reads of an example; of a long text the beginning."""
    from glassformer.data.examples import LabelledText, Pair, Question, TaggedSentence

    match example:
        case Pair():
            return example.source
        case LabelledText():
            return example.text if example.pair is None else (example.text, example.pair)
        case TaggedSentence():
            return " ".join(example.words)
        case Question():
            return example.question, example.context
    return " ".join(str(example).split()[:WORDS])


def write(model: "Model", folder: str, precision: str) -> None:
    """A folder that `load` opens, smaller than the one it came from."""
    model.save_pretrained(folder, precision=precision)
    size = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    click.echo(f"wrote {folder}: {size / 2**20:,.1f} MiB of weights", err=True)
