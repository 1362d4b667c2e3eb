"""How sure a figure is: the same figure on resamples of the examples, one way for all figures.

A figure is a function of sums over the examples (how many were right, how many tokens there were, ...), so a resample
needs no text and no model again: only how often it drew each example. Efron and Tibshirani 1993, chapter 13; for
translation Koehn 2004. The draws are sacrebleu's, seed included.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassformer.errors import InputError
from glassformer.evaluation.score import FIGURES, Score

SEED = 12345  # sacrebleu's
AT_ONCE = 2**22  # draws that are held in memory together

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
Sums = Mapping[str, Array]  # by name: ... or, where there is one for each label, ... K
Measure = Callable[[Sums], Sums]  # sums -> figures, with the same leading axes


@dataclass(frozen=True)
class Measured:
    """What each example adds (by name: N, or N K), and how sums of that become figures."""

    statistics: Sums
    measure: Measure

    def __post_init__(self) -> None:
        if not len(self):
            raise InputError("there are no examples to measure; give at least one")

    def __len__(self) -> int:
        return len(next(iter(self.statistics.values())))

    def figures(self) -> Sums:
        """Every figure over all examples."""
        return self.measure({name: each.sum(0) for name, each in self.statistics.items()})

    def values(self) -> dict[str, float]:
        """Those that are one number."""
        return {name: float(value) for name, value in self.figures().items() if not np.shape(value)}

    def groups(self, numbers: Numbers, count: int) -> Sums:
        """Every figure of each of `count` groups of examples; `numbers` says which group an example is in."""
        sums = {name: np.zeros((count, *each.shape[1:])) for name, each in self.statistics.items()}
        for name, each in self.statistics.items():
            np.add.at(sums[name], numbers, each)
        return self.measure(sums)

    def resampled(self, number: int, seed: int = SEED) -> Sums:
        """Every figure on `number` resamples; fewer than two of them say nothing."""
        if number < 2:
            return {}
        lots = [
            self.measure({name: drawn @ each for name, each in self.statistics.items()})
            for drawn in draws(len(self), number, seed)
        ]
        return {name: np.concatenate([lot[name] for lot in lots]) for name in lots[0]}

    def scores(
        self,
        names: Iterable[str],
        signature: str,
        *,
        bootstrap: int = 0,
        seed: int = SEED,
        resampled: Sums | None = None,
    ) -> dict[str, Score]:
        """These figures as they are published, each with its interval if there are resamples."""
        known = self.resampled(bootstrap, seed) if resampled is None else resampled
        values = self.figures()
        if known:
            signature += f"|bs:{bootstrap}|seed:{seed}"
        return {
            name: Score(
                name=FIGURES[name].name,
                digits=FIGURES[name].digits,
                value=float(values[name]),
                signature=signature,
                **interval(known.get(name)),
            )
            for name in names
        }


def draws(examples: int, number: int, seed: int = SEED) -> Iterator[Array]:
    """How often each resample drew each example, R N, so many resamples at a time."""
    random, lot = np.random.default_rng(seed), max(1, AT_ONCE // examples)
    for start in range(0, number, lot):
        size = min(lot, number - start)
        chosen = random.integers(0, examples, size=(size, examples))
        chosen += np.arange(size)[:, None] * examples
        counted = np.bincount(chosen.ravel(), minlength=size * examples)
        yield counted.reshape(size, examples).astype(np.float64)


def interval(values: Array | None) -> dict[str, Any]:
    """Mean, and where the middle 95 % of the resamples lie, as sacrebleu takes them."""
    if values is None:
        return {}
    ordered = np.sort(values)
    outside = len(ordered) // 40
    low, high = float(ordered[outside]), float(ordered[-1 - outside])
    return {"mean": float(ordered.mean()), "interval": (high - low) / 2, "low": low, "high": high}


def share(part: Array, whole: Array) -> Array:
    """A hundred times part of whole; of nothing it is 0."""
    return 100 * np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def precision_recall_f1(matched: Array, found: Array, wanted: Array) -> dict[str, Array]:
    """From how many were found, how many were to be found, and how many are both (van Rijsbergen 1979)."""
    return {
        "precision": share(matched, found),
        "recall": share(matched, wanted),
        "f1": share(2 * matched, found + wanted),
    }


def mean_where(values: Array, there: NDArray[np.bool_]) -> Array:
    """The mean along the last axis of what is there; of nothing it is 0."""
    return share((values * there).sum(-1), there.sum(-1).astype(np.float64)) / 100
