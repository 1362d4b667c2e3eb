"""`glassformer train`: a recipe and the user's files in, a run folder out, progress on the way."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glassformer.cli.options import chosen_device, device_option
from glassformer.cli.progress import Shown, progress, tell_skipped
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.training.recipe import Recipe
    from glassformer.training.run import Prepared

LABELS = 12  # labels that are told with how often they are given
OFTEN = 10  # examples of a label beside which a single one of another is remarkable


@click.command
@click.argument("recipe")
@click.option(
    "--data",
    multiple=True,
    metavar="DATA",
    help="A file of examples; a folder that holds the files which the recipe names; or the hub name of a data set. "
    "train=FILE, dev=FILE or test=FILE replace the files of one role.",
)
@click.option("--out", metavar="RUN", help="New folder for the run; never overwritten.")
@click.option("--resume", is_flag=True, help="Go on with the run in that folder from its last checkpoint.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one line of the recipe, such as training.max_minutes=5.",
)
@click.option(
    "--seeds",
    metavar="N,N,...",
    help="Train once with each of these seeds, into RUN/seed-N, and tell the mean and spread of the figures.",
)
@click.option("--show", is_flag=True, help="Print the whole recipe, what each line means beside it, and train nothing.")
@device_option
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use at most: the recipe's training.threads.")
def train(
    recipe: str,
    data: tuple[str, ...],
    out: str | None,
    resume: bool,
    changes: tuple[str, ...],
    seeds: str | None,
    show: bool,
    device: str,
    threads: int | None,
) -> None:
    """Train a model by a recipe into a run folder.

    RECIPE is a TOML file, or a task whose recipe ships: answering, classification, generation, summarization, tagging,
    translation. The trained model is RUN/best, a folder that every other command takes as --model. Where the recipe
    names test files, they are scored at the end with the best weights.

    \b
    glassformer train classification --data reviews.csv --out runs/reviews
    glassformer train classification --show > recipe.toml       # to change it
    """
    from glassformer.training.recipe import Recipe

    if threads is not None:
        changes += (f"training.threads={threads}",)
    written = changed(Recipe.read(recipe), changes)
    if show:
        click.echo(written.to_toml(explained=True), nl=False)
        return
    if not data or out is None:
        raise click.UsageError(f"{'--data' if not data else '--out'} is missing; train needs data and a new folder")
    if seeds is None:
        run_one(written, data, out, resume, device)
        click.echo(str(finished_model(Path(out))))
        return
    from glassformer.training.seeds import summarized, with_seeds

    runs = {}
    for each, folder in with_seeds(written, numbers(seeds), out):
        run_one(each, data, str(folder), resume and folder.is_dir(), device, compared=True)
        runs[each.seed] = folder
    for name, spread in summarized(runs, out).items():
        click.echo(f"{name:<24}  {spread}")


def run_one(
    recipe: "Recipe", data: tuple[str, ...], out: str, resume: bool, device: str, *, compared: bool = False
) -> None:
    """One run, from its files to its last record; of one that is compared with others figures are needed."""
    from glassformer.training.run import prepare

    with progress() as shown, hint_when_interrupted(shown, out):
        shown.doing(f"reading {', '.join(data)}")
        prepared = prepare(recipe, data, out, resume=resume, device=chosen_device(device))
        if compared and not {"dev", "test"} & prepared.examples.keys():
            if not resume:
                prepared.folder.discard()
            raise InputError("--seeds compares figures, and there are none without dev or test files; name some")
        shown.counts = prepared.lesson.counts
        tell_skipped(shown, prepared.skipped, prepared.folder.left_out)
        shown.say(", ".join(f"{size:,} {name}" for name, size in prepared.sizes().items()))
        tell_of_labels(shown, prepared)
        if steps := prepared.folder.steps():
            shown.say(f"going on from step {steps[-1]:,}")
        elif prepared.drawn:
            shown.say(f"new, not from {recipe.model.start}: {', '.join(prepared.drawn)}")
        tell_of_passes(shown, prepared)
        tell_of_warm_up(shown, prepared)
        for record in prepared.records():
            shown.record(record)
        tell_of_patience(shown, prepared)
        tell_of_best(shown, prepared)


def tell_of_labels(shown: Shown, prepared: "Prepared") -> None:
    """How often each label is given, and which is given once: a slip of the pen, most likely."""
    counts = prepared.lesson.label_counts(prepared.examples["train"])
    if not counts:
        return
    told = [f"{label} {count:,}" for label, count in sorted(counts.items(), key=lambda each: -each[1])]
    more = f" and {len(told) - LABELS:,} more" if len(told) > LABELS else ""
    shown.say(f"labels: {', '.join(told[:LABELS])}{more}")
    once = [label for label, count in counts.items() if count == 1]
    if once and max(counts.values()) >= OFTEN:
        shown.say(
            f"given once: {', '.join(map(repr, once[:LABELS]))}; of one example little is learnt: mend it if it is a "
            "slip, or give more"
        )


def tell_of_passes(shown: Shown, prepared: "Prepared") -> None:
    """Say it where few examples are gone over more often than the recipe's epochs say."""
    training, each = prepared.recipe.training, prepared.steps_an_epoch()
    if training.epochs is not None and 0 < training.epochs * each < training.min_steps:
        passes = math.ceil(training.min_steps / each)
        shown.say(
            f"few examples: up to {passes} passes instead of {training.epochs}, which makes {training.min_steps:,} "
            "steps (training.min_steps)"
        )


def tell_of_warm_up(shown: Shown, prepared: "Prepared") -> None:
    """Say it where a run is over before its rate has risen: from few examples, mostly."""
    training = prepared.recipe.training
    steps = prepared.most_steps()
    if steps <= training.warmup_steps:
        shown.say(
            f"the run ends at step {steps:,} and its rate rises until step {training.warmup_steps:,}, so it will learn "
            "little; give more training.epochs or fewer training.warmup_steps (--set)"
        )


def tell_of_patience(shown: Shown, prepared: "Prepared") -> None:
    """Say it where a run ended because nothing became better."""
    training, records = prepared.recipe.training, prepared.folder.records()
    judged = [each["best"] for each in records if each["kind"] == "evaluation"]
    if training.patience and judged and not any(judged[-training.patience :]) and len(judged) >= training.patience:
        shown.say(f"ended: {training.patience} evaluations without a better {training.metric}")


def tell_of_best(shown: Shown, prepared: "Prepared") -> None:
    """Which weights RUN/best has, and how good they are."""
    best = [each for each in prepared.folder.records() if each.get("best") and "metrics" in each]
    if best:
        metric = prepared.recipe.training.metric.lower()
        (value,) = (value for name, value in best[-1]["metrics"].items() if name.lower() == metric)
        average = ", an average" if best[-1]["kind"] == "average" else ""
        shown.say(f"best: {metric} {value:.4g} at step {best[-1]['step']:,}{average}")


def numbers(text: str) -> list[int]:
    """1,2,3 as numbers."""
    try:
        return [int(each) for each in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds {text} is no list of whole numbers; write it as 1,2,3") from error


def changed(recipe: "Recipe", changes: tuple[str, ...]) -> "Recipe":
    """The recipe with some of its lines replaced."""
    if not changes:
        return recipe
    values = recipe.to_dict()
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise InputError(f"--set {change} has no value; write it as {change}=VALUE")
        *tables, key = name.strip().split(".")
        table: dict[str, Any] = values
        for each in tables:
            table = table.setdefault(each, {})
            if not isinstance(table, dict):
                raise InputError(
                    f"--set {change}: {each} is not a table of the recipe; write it as training.max_minutes=5"
                )
        table[key] = toml_value(text)
    given = {change.partition("=")[0].strip() for change in changes}
    if "training.epochs" in given and "training.min_steps" not in given:  # who says how many means it
        values["training"].pop("min_steps", None)
    return type(recipe).from_dict(values)


def toml_value(text: str) -> Any:
    """A value as TOML writes it; what is none is taken as a text, so that quotes may be left out."""
    try:
        values: Mapping[str, Any] = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return values["value"]


def finished_model(out: Path) -> Path:
    """The folder of the best weights, or where nothing was compared, of the last."""
    from glassformer.training.run import FINISHED

    return next((out / name for name in FINISHED if (out / name).is_dir()), out)


@contextmanager
def hint_when_interrupted(shown: Shown, out: str) -> Iterator[None]:
    """Say how to go on, then be interrupted all the same."""
    try:
        yield
    except KeyboardInterrupt:
        if (Path(out) / "recipe.toml").is_file():
            shown.say(f"interrupted; the same command with --resume goes on from the last checkpoint in {out}, if any")
        else:
            shown.say("interrupted before anything was written")
        raise
