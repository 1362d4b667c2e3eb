"""`glassformer average`: one model whose weights are the mean of several."""

from pathlib import Path

import click

from glassformer.errors import InputError


@click.command
@click.argument("models", metavar="MODEL MODEL...", nargs=-1, required=True)
@click.option(
    "--shares",
    metavar="NUMBERS",
    help="How much each model counts, parted by commas, such as 0.3,0.7; scaled to a sum of 1. [default: all alike]",
)
@click.option(
    "--rank",
    type=click.IntRange(min=1),
    help="Of adapters: how wide the mean may be; narrower than all together, it is the nearest. [default: as wide]",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write.")
def average(models: tuple[str, ...], shares: str | None, rank: int | None, out: Path) -> None:
    """Write a model whose weights are the mean of several.

    Each MODEL is one that ships, a checkpoint folder, or a name on the hub; all have the same sizes, as models that
    were trained on from the same weights do. What is not weights, such as the tokenizer, is the first one's. The mean
    of adapters beside one model is an adapter beside it, as wide as all together; otherwise an adapter is added into
    its base first, and what is written is whole.
    """
    from glassformer import adapters, pretrained
    from glassformer.surgery import averaged
    from glassformer.tasks.model import Model, load

    if len(models) < 2:
        raise InputError(f"one model was given, {models[0]}; give at least two to average")
    if out.exists():
        raise InputError(f"{out} is there already; give a folder that is not")
    counted = None if shares is None else numbers(shares)
    folders = [pretrained.resolve(name) for name in models]
    if all(map(adapters.is_adapter, folders)) and len(set(map(adapters.base_of, folders))) == 1:
        adapters.save_mean(folders, out, counted, rank)
        click.echo(f"wrote {out}: the mean of {len(models)} adapters, as an adapter")
        return
    if rank is not None:
        raise InputError("--rank is for adapters beside one model; leave it out, or give such adapters alone")
    first = load(models[0])
    mean = averaged([adapters.load_whole(each) for each in folders], counted)
    Model(mean, first.tokenizer, first.source_tokenizer).save_pretrained(out)
    click.echo(f"wrote {out}: the mean of {len(models)} models")


def numbers(text: str) -> list[float]:
    """Numbers parted by commas."""
    try:
        return [float(each) for each in text.split(",")]
    except ValueError as error:
        raise InputError(f"--shares was given {text!r}; expected numbers parted by commas, such as 0.3,0.7") from error
