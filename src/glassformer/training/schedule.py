"""The learning rate at each step."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from glassformer.training.recipe import TrainingTable


def _constant(step: int, warmup: int, share: float) -> float:
    return 1.0


def _inverse_square_root(step: int, warmup: int, share: float) -> float:
    return min(1.0, math.sqrt(max(1, warmup) / step))


def _linear(step: int, warmup: int, share: float) -> float:
    return 1.0 - share


def _cosine(step: int, warmup: int, share: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * share))


SHAPES: dict[str, Callable[[int, int, float], float]] = {
    "constant": _constant,
    "inverse-square-root": _inverse_square_root,
    "linear": _linear,
    "cosine": _cosine,
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A straight rise over the warm-up, a fall of a chosen shape, and if wished a last straight fall to zero.

    Inverse square root: Vaswani et al. 2017, section 5.3. Cosine: Loshchilov and Hutter 2017. Last fall
    ("cooldown"): Zhai et al. 2022, section 3.5.
    """

    shape: str
    peak: float
    warmup: int
    cooldown: float = 0.0

    @classmethod
    def of(cls, training: TrainingTable) -> "Schedule":
        """The schedule that a recipe asks for."""
        return cls(
            shape=training.schedule,
            peak=training.learning_rate,
            warmup=training.warmup_steps,
            cooldown=training.cooldown,
        )

    def rate(self, step: int, total: float) -> float:
        """The rate of step 1, 2, ...; `total` is the number of steps the run will have had at its end.

        The end of a run that is bounded by time is projected from the clock, so `total` may move. A fall
        reaches zero one step after the last: no step is spent on a rate of zero.
        """
        rise = min(1.0, step / self.warmup) if self.warmup else 1.0
        share = min(1.0, max(0.0, (step - self.warmup) / max(1.0, total + 1 - self.warmup)))
        rate = self.peak * rise * SHAPES[self.shape](step, self.warmup, share)
        if self.cooldown:
            rate *= max(0.0, min(1.0, (1.0 - step / (total + 1)) / self.cooldown))
        return rate
