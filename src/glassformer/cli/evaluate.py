"""`glassformer evaluate`: how good a model is on a file of examples, in figures that others can repeat."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glassformer.cli.options import (
    beams_option,
    decoding_of,
    device_option,
    length_penalty_option,
    translator,
)
from glassformer.cli.progress import Lines, counting, tell_skipped
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.data.examples import Found, Pair
    from glassformer.evaluation.translation import Score


@click.command
@click.argument("model")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FILE",
    help="A table of pairs (.tsv, .csv, .jsonl, each also .gz); or given twice, a text and its translation.",
)
@click.option("--source", metavar="COLUMN", help="Table: column of the source, by heading or number from 0.")
@click.option(
    "--target", metavar="COLUMN", help="Table: column of the translation, by heading or number from 0."
)
@beams_option
@length_penalty_option
@click.option("--lowercase", is_flag=True, help="Compare in lower case.")
@click.option(
    "--bootstrap", default=0, metavar="N", help="Resample N times for a 95 % interval, such as 1000."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@device_option
def evaluate(
    model: str,
    data: tuple[str, ...],
    source: str | None,
    target: str | None,
    beams: int | None,
    length_penalty: float | None,
    lowercase: bool,
    bootstrap: int,
    as_json: bool,
    device: str,
) -> None:
    """Score a model on a file of examples.

    MODEL is one that ships, a folder such as RUN/best, or a hub name. Translations are scored by BLEU and
    chrF with sacrebleu's signatures: with all references that a sentence has in the file, and where some have
    several, line by line as well.
    """
    from glassformer.evaluation.translation import grouped, score

    given = read(data, source, target)
    pairs = given.examples
    tell_skipped(Lines(), given.skipped)
    loaded, task = translator(model, device)
    decoding = decoding_of(task, beams, length_penalty)
    sources, references = grouped([pair.source for pair in pairs], [pair.target for pair in pairs])
    with counting("sentences", when=True, total=len(sources)) as count:
        found: dict[str, str] = {}
        for number, answer in task.each(loaded.transformer, sources, decoding):
            found[sources[number]] = answer.text
            count(1)
    figures = {
        "all references": score(
            [found[each] for each in sources], references, lowercase=lowercase, bootstrap=bootstrap
        )
    }
    if len(sources) < len(pairs):
        figures["one reference"] = score(
            [found[pair.source] for pair in pairs],
            [pair.target for pair in pairs],
            lowercase=lowercase,
            bootstrap=bootstrap,
        )
    if as_json:
        click.echo(as_object(figures, len(sources), len(pairs)))
        return
    click.echo(f"{len(sources):,} sentences, {len(pairs):,} references, {decoding.num_beams} beams")
    for name, scores in figures.items():
        for each in scores.values():
            click.echo(f"{name:<14}  {each}")


def read(data: tuple[str, ...], source: str | None, target: str | None) -> "Found[Pair]":
    """The pairs of a table, or of two texts side by side."""
    from glassformer.data.readers import read_pairs

    paths = [Path(name) for name in data]
    if len(paths) > 2 or len({path.parent for path in paths}) > 1:
        raise InputError(f"--data was given {', '.join(data)}; give one table, or two texts of one folder")
    names = tuple(path.name for path in paths)
    return read_pairs(
        paths[0].parent, names[0] if len(names) == 1 else names, source=column(source), target=column(target)
    )


def column(name: str | None) -> str | int | None:
    """A number is a place, a word a heading."""
    return int(name) if name is not None and name.isdecimal() else name


def as_object(figures: "dict[str, dict[str, Score]]", sentences: int, references: int) -> str:
    """All figures, for programs."""
    plain = {name: {key: asdict(each) for key, each in scores.items()} for name, scores in figures.items()}
    return json.dumps({"sentences": sentences, "references": references, **plain})
