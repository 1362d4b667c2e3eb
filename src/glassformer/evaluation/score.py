"""A figure with what makes it comparable: how it was computed, how sure it is, how it differs between runs."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glassformer import __version__
from glassformer.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a figure is called, how finely it is written, and which way is better."""

    name: str
    digits: int = 2
    lower_is_better: bool = False


def _cost(name: str, digits: int = 4) -> Figure:
    return Figure(name=name, digits=digits, lower_is_better=True)


FIGURES: Mapping[str, Figure] = {  # by the names that they have in logs, in JSON and in Python
    "loss": _cost("loss"),
    "nll": _cost("-log p"),
    "accuracy": Figure(name="accuracy"),
    "subset_accuracy": Figure(name="subset accuracy"),
    "precision": Figure(name="precision"),
    "recall": Figure(name="recall"),
    "f1": Figure(name="F1"),
    "micro_f1": Figure(name="micro F1"),
    "macro_f1": Figure(name="macro F1"),
    "matthews": Figure(name="Matthews correlation"),
    "brier": _cost("Brier score"),
    "calibration_error": _cost("calibration error", 2),
    "token_accuracy": Figure(name="word accuracy"),
    "exact_match": Figure(name="exact match"),
    "answerable_exact_match": Figure(name="exact match, answerable"),
    "answerable_f1": Figure(name="F1, answerable"),
    "unanswerable_accuracy": Figure(name="right to say no answer"),
    "best_exact_match": Figure(name="exact match, best threshold"),
    "best_f1": Figure(name="F1, best threshold"),
    "bleu": Figure(name="BLEU"),
    "chrf": Figure(name="chrF2"),
    "bleu_one_reference": Figure(name="BLEU, one reference"),
    "chrf_one_reference": Figure(name="chrF2, one reference"),
    "rouge1": Figure(name="ROUGE-1"),
    "rouge2": Figure(name="ROUGE-2"),
    "rougeL": Figure(name="ROUGE-L"),
    "rougeLsum": Figure(name="ROUGE-Lsum"),
    "perplexity": _cost("perplexity", 2),
    "bits_per_byte": _cost("bits per byte"),
}


HIGHEST = 700.0  # exp of more is no number


def perplexity(nll: float) -> float:
    """Among how many equally likely tokens a model hesitates, from its mean -log p."""
    return math.exp(min(nll, HIGHEST))


def lower_is_better(name: str) -> bool:
    """Whether of two values of this figure the lower one is the better one."""
    return name in FIGURES and FIGURES[name].lower_is_better


@dataclass(frozen=True, kw_only=True)
class Score:
    """One figure, and how it was computed."""

    name: str
    value: float
    signature: str
    mean: float | None = None  # over bootstrap resamples of the examples
    low: float | None = None  # where the middle 95 % of them begin
    high: float | None = None  # and end
    interval: float | None = None  # half of the width between, which sacrebleu gives as mean ± interval
    digits: int = 2  # after the point, when it is written

    def written(self, value: float | None) -> str:
        """A number of this figure's kind."""
        return "" if value is None else f"{value:.{self.digits}f}"

    @property
    def range(self) -> str:
        """The 95 % interval in words; without resamples there is none."""
        return "" if self.low is None else f"{self.written(self.low)} to {self.written(self.high)}"

    def __str__(self) -> str:
        spread = f" (95 %: {self.range})" if self.range else ""
        return f"{self.name} {self.written(self.value)}{spread} [{self.signature}]"


def signature(**settings: object) -> str:
    """How figures were computed, as sacrebleu writes it (Post 2018): name:value, parted by |."""
    pairs = {**settings, "version": f"glassformer-{__version__}"}
    return "|".join(f"{name}:{_word(value)}" for name, value in pairs.items() if value is not None)


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure over several runs that differ by their seed alone."""

    runs: int
    mean: float
    deviation: float  # of the sample: over runs - 1; of one run 0
    lowest: float
    highest: float

    def __str__(self) -> str:
        if self.runs == 1:
            return f"{self.mean:.2f} (1 run)"
        return (
            f"{self.mean:.2f} ± {self.deviation:.2f} "
            f"({self.runs} runs: {self.lowest:.2f} to {self.highest:.2f})"
        )


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of one figure over runs."""
    if not values:
        raise InputError("there are no runs to take a mean of; give the figure of at least one")
    if not all(map(math.isfinite, values)):
        raise InputError(f"a run's figure is no number ({list(values)}); leave out the run that failed")
    return Spread(
        runs=len(values),
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else 0.0,
        lowest=min(values),
        highest=max(values),
    )


def spreads(runs: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """The same of every figure that all the runs have."""
    shared = [name for name in (runs[0] if runs else ()) if all(name in run for run in runs)]
    return {name: spread([run[name] for run in runs]) for name in shared}
