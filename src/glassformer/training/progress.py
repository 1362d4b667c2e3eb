"""Where a run stands, as plain numbers that a checkpoint can keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Window:
    """Sums since the last train record."""

    loss: float = 0.0
    nll: float = 0.0
    labels: int = 0
    read: int = 0  # ids, padding included
    gradient_norm: float = 0.0
    steps: int = 0
    since: float = 0.0  # seconds of the run at which it was opened


@dataclass
class Progress:
    """With weights, moments and random state: all that the next step depends on."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of this epoch already used
    epoch_start: int = 0  # step before this epoch's first
    seconds: float = 0.0
    best: float | None = None
    best_loss: float | None = None  # of that evaluation; decides between equal figures
    misses: int = 0  # evaluations since the best one
    evaluated: int = 0  # step of the last evaluation
    window: Window = field(default_factory=Window)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Progress":
        """The progress that `asdict` wrote; what an earlier version kept beside it is left out."""
        known = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        return cls(**{**known, "window": Window(**values["window"])})
