"""What a precision costs a model on its task: the same evaluation twice, with the weights as they are and rounded."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

from glassformer.engine.prepare import Precision, prepare, prepared
from glassformer.errors import InputError
from glassformer.evaluation.by_task import Options, report_of
from glassformer.evaluation.report import Report, Told
from glassformer.evaluation.score import Score
from glassformer.model import Transformer
from glassformer.tasks.task import Task

Counter = Callable[[], AbstractContextManager[Told | None]]  # counts the answers of one evaluation


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Both reports, and how many answers are the same; of texts that are foretold the answers are tokens."""

    before: Report  # at float32
    after: Report

    @property
    def equal(self) -> float:
        """The share of answers that both precisions give, in percent."""
        pairs = list(zip(self.before.given, self.after.given, strict=True))
        return 100 * sum(bool(one == other) for one, other in pairs) / len(pairs)

    def change(self, name: str) -> float:
        """By how much a figure is higher at the lower precision."""
        return self.after.scores[name].value - self.before.scores[name].value

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        scores: dict[str, Mapping[str, Any]] = {
            name: {"before": asdict(score), "after": asdict(self.after.scores[name]), "change": self.change(name)}
            for name, score in self.before.scores.items()
        }
        return {"counts": dict(self.before.counts), "scores": scores, "equal_answers": self.equal}

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self.before.counts.items())
        heads = (counts, "float32", self.after.settings["precision"], "change")
        rows = [heads, *(self._row(name) for name in self.before.scores)]
        rows.append(("equal answers", "", f"{self.equal:.1f} %", ""))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def _row(self, name: str) -> tuple[str, str, str, str]:
        one, other = self.before.scores[name], self.after.scores[name]
        return one.name, with_range(one), with_range(other), f"{self.change(name):+.{one.digits}f}"


def with_range(score: Score) -> str:
    """A figure and its interval."""
    return f"{score.written(score.value)} ({score.range})" if score.range else score.written(score.value)


def cost(
    task: Task,
    model: Transformer,
    examples: Sequence[Any],
    precision: Precision,
    options: Options | None = None,
    counter: Counter = lambda: nullcontext(None),
) -> Cost:
    """Evaluate a model on examples of its kind at float32 and at a lower precision; it is left as it was."""
    if not examples:
        raise InputError("there are no examples to evaluate on; give at least one")
    options, reports = options or Options(), []
    with prepared(model):
        for each in ("float32", precision):
            preparation = prepare(model, each)
            with counter() as told:
                report = report_of(task, model, examples, options, told)
            reports.append(replace(report, settings={**report.settings, "precision": preparation.precision}))
    return Cost(before=reports[0], after=reports[1])
