"""`glassformer classify`: texts in, their labels out, in the same order."""

import sys
from typing import TYPE_CHECKING

import click

from glassformer.cli.inputs import Row, as_line, one_line
from glassformer.cli.verb import Asking, verb

if TYPE_CHECKING:
    from glassformer.tasks.classification import Label, Labels, Values
    from glassformer.tasks.task import Text


@click.command
@verb("classification")
@click.option("--pair", help="A second text that is judged together with each, for models of pairs.")
@click.option("--top", type=click.IntRange(min=1), help="Name so many labels, the likeliest. [default: all]")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Where any number of labels may hold: those do that are likelier.",
)
@click.option("--truncate", is_flag=True, help="Leave out the end of a text that is longer than the model.")
def classify(
    asking: Asking,
    pair: str | None,
    top: int | None,
    threshold: float,
    truncate: bool,
) -> None:
    """Label texts given here, in a file, or line by line.

    Each TEXT is one text. Without any and without --input, every line of standard input is one; an empty line stays
    empty. A file's field `pair` is a second text that is judged together with `text`.
    """
    given = {} if pair is None else {"pair": pair}
    rows, model = asking.rows(optional=["pair"], given=given), asking.model()
    options = {"top": top, "threshold": threshold, "truncate": truncate}
    for row, answer in asking.answers(model, rows, text_of, options):
        if asking.as_json:
            click.echo(as_line(as_object(answer)))
        elif sys.stdout.isatty():
            show(row, answer, heading=len(asking.texts) != 1)
        else:
            click.echo(plain(answer))


def text_of(row: Row) -> "Text":
    """A text, or the pair that is judged together."""
    return (row["text"], row["pair"]) if row.get("pair") else row["text"]


def as_object(answer: "Label | Labels | Values | None") -> dict[str, object]:
    """For programs: the likeliest label, its score, all scores; where any number of labels may hold, those that do."""
    from glassformer.tasks.classification import Label, Values

    if answer is None:
        return {"label": None, "score": None, "scores": {}}
    scores = dict(answer.values if isinstance(answer, Values) else answer.probabilities)
    best = answer.label if isinstance(answer, Label) else max(scores, key=lambda name: scores[name])
    whole: dict[str, object] = {"label": best, "score": scores[best], "scores": scores}
    return whole if isinstance(answer, Label | Values) else {**whole, "labels": list(answer.labels)}


def plain(answer: "Label | Labels | Values | None") -> str:
    """For pipes: the label and its probability behind a tab; of many labels those that hold."""
    from glassformer.tasks.classification import Label, Labels

    if answer is None:
        return ""
    if isinstance(answer, Label):
        return f"{answer.label}\t{answer.probability:.4f}"
    if isinstance(answer, Labels):
        return "\t".join(f"{name}\t{answer.probabilities[name]:.4f}" for name in answer.labels)
    return str(answer)


def show(row: Row, answer: "Label | Labels | Values | None", *, heading: bool) -> None:
    """For people: a bar for each label."""
    from rich.console import Console

    from glassformer.show.answers import label_bars
    from glassformer.tasks.classification import Label, Labels

    console = Console(highlight=False)
    if heading:
        console.print(
            one_line(" / ".join(row.values())), style="bold", markup=False, no_wrap=True, overflow="ellipsis"
        )
    if isinstance(answer, Label | Labels):
        chosen = {answer.label} if isinstance(answer, Label) else set(answer.labels)
        for line in label_bars(answer.probabilities, chosen):
            console.print(line)
    elif answer is not None:
        console.print(str(answer), markup=False)
    if heading:
        console.print()
