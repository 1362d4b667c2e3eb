"""A run's records as they come: a line each, and a bar below them where there is a terminal."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from rich.progress import Progress

    from glassformer.data.examples import Skipped
    from glassformer.training.record import Record

SKIPPED = 5  # lines left out that are shown


class Shown(Protocol):
    """Where a command says how far it is."""

    counts: str  # what a run learns from, so many in a second

    def doing(self, what: str) -> None:
        """What takes a while now; not worth a line of its own."""
        ...

    def say(self, line: str) -> None:
        """One line."""
        ...

    def record(self, record: "Record") -> None:
        """One record of a run."""
        ...


@contextmanager
def progress() -> Iterator[Shown]:
    """Lines on standard error, with a bar where that is a terminal."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True, highlight=False), refresh_per_second=2) as bar:
        yield Bar(bar)


@contextmanager
def counting(
    things: str, *, when: bool, total: int | None = None, alone: bool = False
) -> Iterator[Callable[[int], None]]:
    """A counter on standard error; silent unless that is a terminal and the output goes somewhere else.

    `alone`: nothing else is printed meanwhile, so that the output may go to the same terminal.
    """
    if not when or not sys.stderr.isatty() or (sys.stdout.isatty() and not alone):
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn(things), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(things, total=total)
        yield lambda count: bar.advance(task, count)


def tell_skipped(shown: Shown, skipped: "Sequence[Skipped]", listed: Path | None = None) -> None:
    """How many lines of the user's files were left out, the first few of them, and where all are listed."""
    if skipped:
        shown.say(f"{len(skipped):,} line{'s were' if len(skipped) > 1 else ' was'} left out")
        for line in skipped[:SKIPPED]:
            shown.say(f"  {line}")
    if len(skipped) > SKIPPED:
        where = f"all are in {listed}" if listed else "`glassformer data inspect FILE --problems N` shows them"
        shown.say(f"  and {len(skipped) - SKIPPED:,} more; {where}")


class Lines:
    """Plain lines, for files and pipes."""

    counts = "tokens"

    def doing(self, what: str) -> None:
        """A line would stay where a passing word is meant."""

    def say(self, line: str) -> None:
        """One line."""
        click.echo(line, err=True)

    def record(self, record: "Record") -> None:
        """One record, in one line."""
        self.say(line_of(record, self.counts))


class Bar:
    """A bar with the latest figures; evaluations stay above it as lines."""

    counts = "tokens"

    def __init__(self, bar: "Progress") -> None:
        self.bar = bar
        self.task = bar.add_task("", total=1.0)

    def doing(self, what: str) -> None:
        """Beside the bar, until there is something else to say."""
        self.bar.update(self.task, description=what)

    def say(self, line: str) -> None:
        """One line above the bar."""
        self.bar.console.print(line, markup=False)

    def record(self, record: "Record") -> None:
        """The bar moves; what is not a mere step is said as well."""
        if record.kind == "train":
            left = record.time_left
            done = None if left is None else record.seconds / max(1e-9, record.seconds + left)
            self.bar.update(self.task, completed=done, description=line_of(record, self.counts))
        else:
            self.say(line_of(record, self.counts))


def line_of(record: "Record", counts: str = "tokens") -> str:
    """A record in one line; figures that it does not have are left out.

    Of labels that are no tokens nobody asks the perplexity.
    """
    head = f"step {record.step:,}  epoch {record.epoch}"
    if record.kind == "checkpoint":
        return f"{head}  checkpoint written"
    if record.kind == "train":
        return "  ".join([head, *train_figures(record, counts)])
    name = {"evaluation": "dev", "average": "dev, averaged weights", "test": "test"}[record.kind]
    figures = [f"{key} {value:.4g}" for key, value in (record.metrics or {}).items()]
    return "  ".join([head, f"{name}:", *figures, *(["best so far"] if record.best else [])])


def train_figures(record: "Record", counts: str) -> Iterator[str]:
    """What the last steps were like."""
    if record.loss is not None:
        yield f"loss {record.loss:.3f}"
    if record.perplexity is not None and counts == "tokens":
        yield f"perplexity {record.perplexity:.2f}"
    if record.learning_rate is not None:
        yield f"rate {record.learning_rate:.2e}"
    if record.tokens_per_second is not None:
        yield f"{record.tokens_per_second:,.0f} {counts}/s"
    if record.utilization is not None:
        yield f"{record.utilization:.0%} of peak"
    yield f"{clock(record.seconds)} gone"
    if record.time_left is not None:
        yield f"{clock(record.time_left)} left"


def clock(seconds: float) -> str:
    """1:02:03."""
    return str(timedelta(seconds=round(seconds)))
