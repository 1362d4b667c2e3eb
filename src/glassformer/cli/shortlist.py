"""`glassformer shortlist`: which words a translator need weigh for a text, learnt from pairs."""

from pathlib import Path
from typing import Any

import click

from glassformer.cli.evaluate import examples_of
from glassformer.cli.progress import Lines, tell_skipped
from glassformer.cli.reading import reading_of, reading_options
from glassformer.errors import InputError


@click.command
@click.argument("model")
@click.option("--data", multiple=True, required=True, metavar="FILE", help="Pairs of a text and its translation.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file to write. [default: shortlist.safetensors in the model's folder]",
)
@click.option(
    "--each",
    default=80,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many target tokens each source token may become, the likeliest.",
)
@click.option(
    "--frequent",
    default=400,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many target tokens every translation may have, the most frequent.",
)
@click.option(
    "--limit",
    default=200_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Learn from at most about so many pairs, taken evenly from all.",
)
@reading_options
def shortlist(
    model: str, data: tuple[str, ...], out: Path | None, each: int, frequent: int, limit: int, **reading: Any
) -> None:
    """Learn which words a translator need weigh for a text.

    From pairs it is learnt which target tokens each source token becomes (IBM model 1), on the model's own tokens.
    `glassformer translate --shortlist own` then writes nothing but what a text's tokens may become and the most
    frequent tokens of all, and weighs nothing else.
    """
    from glassformer.decoding.shortlist import FILE
    from glassformer.evaluation.by_task import kind_of
    from glassformer.shipped import shipped
    from glassformer.tasks.model import load
    from glassformer.tasks.translation import Translation
    from glassformer.training.shortlist import learn_shortlist

    loaded = load(model)
    if not isinstance(loaded.task, Translation):
        raise InputError(f"{model} does not translate, and a shortlist is of a model that does; give another")
    folder = Path(model).expanduser()
    if out is None and (not folder.is_dir() or folder.resolve() in map(Path.resolve, shipped().values())):
        raise InputError(f"{model} is no folder of yours to write {FILE} into; say where with --out FILE")
    found = examples_of(model, kind_of(loaded.task), data, reading_of(reading))
    tell_skipped(Lines(), found.skipped)
    pairs = found.examples[:: max(1, -(-len(found.examples) // limit))]
    made = learn_shortlist(loaded, pairs, each=each, frequent=frequent)
    path = out or folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(path)
    known = int((made.tokens[:, 0] >= 0).sum())
    click.echo(
        f"wrote {path}: up to {each} tokens for each of {known:,} source tokens and the {len(made.frequent):,} most "
        f"frequent, learnt from {len(pairs):,} pairs"
    )
