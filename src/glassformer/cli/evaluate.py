"""`glassformer evaluate`: how good a model is on files of examples, in figures that others can repeat."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from glassformer import __version__
from glassformer.cli.options import (
    agreement_power_option,
    beams_option,
    bootstrap_option,
    chosen_device,
    decoding_of,
    device_option,
    from_option,
    length_penalty_option,
    limit_option,
    packed,
    precision_option,
    shortlist_option,
    task_option,
    threads_option,
    to_option,
)
from glassformer.cli.progress import Lines, counting, tell_skipped
from glassformer.cli.reading import reading_of, reading_options
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.data.examples import Found
    from glassformer.data.reading import Reading
    from glassformer.evaluation.by_task import Options
    from glassformer.evaluation.report import Group, Grouping, Report
    from glassformer.tasks.model import Model

ALL, EACH = "all references", "one reference"
ROWS = 30  # groups that are printed; the report has all of them


@click.command
@click.argument("model")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Examples of what the model does: a table, SQuAD's .json, a .conll, plain text, each also .gz; a pattern in "
    "quotes; hub:OWNER/NAME. Given twice, two plain texts are translations of each other.",
)
@task_option
@limit_option
@bootstrap_option
@click.option(
    "--report", "folder", metavar="FOLDER", help="Write report.json and the page report.html there."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
@beams_option
@length_penalty_option
@agreement_power_option
@from_option
@to_option
@shortlist_option
@click.option("--only", metavar="LABEL,LABEL", help="Labels: leave out examples that have any other.")
@click.option(
    "--no-answer/--always-answer",
    "no_answer",
    default=None,
    help="Answers: whether the context may hold none. [default: the model's own]",
)
@click.option(
    "--threshold",
    type=float,
    help="Answers: how far the log-probability of no answer must be above that of the best one. "
    "[default: the model's own]",
)
@click.option("--lowercase", is_flag=True, help="Translations: compare in lower case.")
@click.option("--stemmer", is_flag=True, help="Summaries: compare words by their stems.")
@click.option(
    "--window", type=click.IntRange(min=1), help="Texts: tokens read at once. [default: as the model allows]"
)
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    help="Texts: by how many tokens the next window begins later. [default: the window]",
)
@device_option
@threads_option
@precision_option
@reading_options
def evaluate(
    model: str,
    data: tuple[str, ...],
    task: str | None,
    limit: int | None,
    bootstrap: int,
    folder: str | None,
    as_json: bool,
    beams: int | None,
    length_penalty: float | None,
    agreement_power: float | None,
    source_language: str | None,
    target_language: str | None,
    shortlist: str | None,
    only: str | None,
    no_answer: bool | None,
    threshold: float | None,
    lowercase: bool,
    stemmer: bool,
    window: int | None,
    stride: int | None,
    device: str,
    precision: str | None,
    **reading: Any,
) -> None:
    """Score a model on a file of examples.

    MODEL is one that ships, a folder such as RUN/best, or a hub name; what it does decides what the file has to hold
    and which figures there are: BLEU and chrF of translations, ROUGE of summaries, accuracy, F1, Matthews and
    calibration of labels, F1 of entities, exact match and F1 of answers, perplexity and bits per byte of texts. Each
    figure comes with the signature that lets others repeat it.
    """
    from glassformer.evaluation.by_task import Options, count_of, kind_of, report_of
    from glassformer.tasks.answering import Answering
    from glassformer.tasks.model import load
    from glassformer.tasks.rewriting import Rewriting

    if folder is not None and os.path.exists(folder) and not os.path.isdir(folder):
        raise InputError(f"--report was given {folder}, which is a file; give a folder")
    loaded = load(model, task=task)
    does = loaded.task
    kind = kind_of(does)
    read = examples_of(model, kind, data, reading_of(reading))
    tell_skipped(Lines(), read.skipped)
    found = read if only is None else with_labels(read, kind, only)
    options = Options(
        lowercase=lowercase, stemming=stemmer, window=window, stride=stride, bootstrap=bootstrap
    )
    if shortlist is not None:
        options = replace(options, shortlist=loaded.shortlist(shortlist))
    if isinstance(does, Rewriting):
        does = does.between(source_language, target_language)
        decoding = decoding_of(does, beams, length_penalty=length_penalty, agreement_power=agreement_power)
        options = replace(options, decoding=decoding)
    refuse_others(
        does,
        options,
        beams=beams,
        length_penalty=length_penalty,
        agreement_power=agreement_power,
        source_language=source_language,
        target_language=target_language,
        no_answer=no_answer,
        threshold=threshold,
    )
    if isinstance(does, Answering):
        changes = {"no_answer": no_answer, "threshold": threshold}
        does = Answering(does.tokenizer, does.search.changed(**changes))
    loaded.transformer.to(chosen_device(device)).eval()
    packed(loaded, precision)
    chosen = found.examples[:limit]
    with counting(kind, when=True, total=count_of(does, chosen), alone=True) as count:
        report = report_of(does, loaded.transformer, chosen, options, count)
    report = about(report, model, data, found, limit, loaded, len(read.examples) - len(found.examples))
    if folder is not None:
        from glassformer.show.report import write_report

        for path in write_report(report, folder):
            click.echo(f"wrote {path}", err=True)
    click.echo(as_object(report) if as_json else "\n".join(lines(report)))


def examples_of(model: str, kind: Any, data: Sequence[str], reading: "Reading") -> "Found[Any]":
    """The examples of the files; where they hold something else, what the model needs is said as well."""
    from glassformer.data.kinds import KINDS
    from glassformer.data.readers import read_examples

    try:
        return read_examples(kind, data, reading)
    except InputError as error:
        raise InputError(f"{model} is evaluated on {KINDS[kind].what}, and {error}") from error


def with_labels(found: "Found[Any]", kind: Any, only: str) -> "Found[Any]":
    """The examples that have none but these labels."""
    from glassformer.data.examples import having_only

    if kind != "labels":
        raise InputError("--only names labels of texts, and this model gives none; leave it out")
    chosen = having_only(found.examples, [label.strip() for label in only.split(",")])
    if not chosen:
        raise InputError(f"no example has only labels of {only}; name labels that the data has")
    return replace(found, examples=chosen)


def refuse_others(does: Any, options: "Options", **given: Any) -> None:
    """An option that a task has no use for is a mistake, not something to pass over."""
    from glassformer.tasks.answering import Answering
    from glassformer.tasks.filling import Filling
    from glassformer.tasks.generation import Generation
    from glassformer.tasks.rewriting import Rewriting
    from glassformer.tasks.summarization import Summarization
    from glassformer.tasks.translation import Translation

    users: dict[str, tuple[Any, tuple[type[Any], ...]]] = {
        "--beams": (given["beams"], (Rewriting,)),
        "--length-penalty": (given["length_penalty"], (Rewriting,)),
        "--agreement-power": (given["agreement_power"], (Rewriting,)),
        "--from": (given["source_language"], (Rewriting,)),
        "--to": (given["target_language"], (Rewriting,)),
        "--no-answer": (True if given["no_answer"] is False else given["no_answer"], (Answering,)),
        "--threshold": (given["threshold"], (Answering,)),
        "--lowercase": (options.lowercase, (Translation,)),
        "--stemmer": (options.stemming, (Summarization,)),
        "--window": (options.window, (Generation, Filling)),
        "--stride": (options.stride, (Generation,)),
    }
    for name, (value, kinds) in users.items():
        if value is not None and value is not False and not isinstance(does, kinds):
            raise InputError(f"{name} was given, but this model's answers do not depend on it; leave it out")


def about(
    report: "Report",
    model: str,
    data: Sequence[str],
    found: "Found[Any]",
    limit: int | None,
    loaded: "Model",
    others: int,
) -> "Report":
    """The report with what it is about, and what a reader of its figures must know."""
    import torch

    notes = list(report.notes)
    if found.skipped:
        count = len(found.skipped)
        told = "1 line of the data holds" if count == 1 else f"{count:,} lines of the data hold"
        notes.append(f"{told} no example and {'was' if count == 1 else 'were'} left out.")
    if others:
        notes.append(f"{others:,} examples with other labels were left out.")
    if limit is not None and limit < len(found.examples):
        notes.append(f"These are the first {limit:,} of {len(found.examples):,} examples.")
    settings = {
        **report.settings,
        "device": str(loaded.transformer.tokens.weight.device),
        "parameters": sum(parameter.numel() for parameter in loaded.transformer.parameters()),
        "numbers": numbers_of(loaded),
        "glassformer": __version__,
        "torch": torch.__version__,
    }
    return replace(report, model=model, data=tuple(data), notes=tuple(notes), settings=settings)


def numbers_of(loaded: "Model") -> str:
    """In what kind of number its answers were computed."""
    twin = loaded.transformer.twin
    return loaded.config.dtype if twin is None or twin.precision == "float32" else twin.precision


def as_object(report: "Report") -> str:
    """Everything, for programs; of translations also the figures by how many references they are with."""
    plain = report.to_dict()
    if report.task == "translation":
        plain |= report.counts
        plain |= {
            name: {key: asdict(score) for key, score in scores.items()}
            for name, scores in by_references(report).items()
        }
    return json.dumps(plain, ensure_ascii=False)


def by_references(report: "Report") -> Mapping[str, Mapping[str, Any]]:
    """The scores of translations with all references, and, where some sources have several, line by line."""
    from glassformer.evaluation.translation import ONE

    several = {key: each for key, each in report.scores.items() if not key.endswith(ONE)}
    single = {
        key.removesuffix(ONE): replace(each, name=several[key.removesuffix(ONE)].name)
        for key, each in report.scores.items()
        if key.endswith(ONE)
    }
    return {ALL: several, EACH: single} if single else {ALL: several}


def lines(report: "Report") -> Iterator[str]:
    """The report for people."""
    from glassformer.evaluation.report import searched_in_words

    counts = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
    counts += searched_in_words(report.settings)
    if report.task == "translation":
        yield counts
        yield from (f"note: {note}" for note in report.notes)
        for name, scores in by_references(report).items():
            yield from (f"{name:<14}  {each}" for each in scores.values())
        return
    yield f"{report.task}: {counts}"
    yield from (f"note: {note}" for note in report.notes)
    yield ""
    yield from scores_table(report)
    for grouping in report.groupings[:1] if report.task != "language" else ():
        yield ""
        yield from groups_table(grouping)
    yield ""
    yield from dict.fromkeys(each.signature for each in report.scores.values())


def scores_table(report: "Report") -> Iterator[str]:
    """A line for each figure."""
    rows = [
        (each.name, each.written(each.value), f"95 %: {each.range}" if each.range else "")
        for each in report.scores.values()
    ]
    yield from aligned(rows, left={0, 2})


def groups_table(grouping: "Grouping") -> Iterator[str]:
    """A line for each group of examples."""
    from glassformer.evaluation.score import FIGURES

    if not grouping.groups:
        return
    keys = list(grouping.groups[0].figures)
    heads = (grouping.title, "how many", *(FIGURES[key].name for key in keys))
    rows = [group_row(group, keys) for group in grouping.groups[:ROWS]]
    yield from aligned([heads, *rows], left={0})
    if len(grouping.groups) > ROWS:
        yield f"and {len(grouping.groups) - ROWS} more; --report has them"


def group_row(group: "Group", keys: Sequence[str]) -> tuple[str, ...]:
    """One group."""
    from glassformer.evaluation.score import FIGURES

    figures = (f"{group.figures[key]:.{FIGURES[key].digits}f}" for key in keys)
    return (group.name, f"{group.examples:,}", *figures)


def aligned(rows: Sequence[Sequence[str]], left: set[int]) -> Iterator[str]:
    """Columns as wide as their widest cell, numbers to the right."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = []
        for place, (text, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - cell_len(text))
            cells.append(text + gap if place in left else gap + text)
        yield "  ".join(cells).rstrip()
