"""What a training run says about itself while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from glassformer.evaluation.score import perplexity


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of the log; a figure that its kind does not have is None.

    `train`: means since the last such record. `evaluation`, `average`: the dev files' figures, before and
    after the last checkpoints are averaged. `checkpoint`: the run can go on from here. `test`: the test files' figures
    with the best weights, once, at the end.
    """

    kind: Literal["train", "evaluation", "checkpoint", "average", "test"]
    step: int
    epoch: int  # passes over the data begun
    seconds: float  # since the start of the run, the time between a kill and a resume left out
    loss: float | None = None  # what is minimised, per label
    nll: float | None = None  # -log p(label), per label, without smoothing
    learning_rate: float | None = None
    gradient_norm: float | None = None  # before clipping
    tokens_per_second: float | None = None  # labels per second
    utilization: float | None = None  # share of the peak of products of matrices
    time_left: float | None = None  # seconds
    metrics: Mapping[str, float] | None = None
    best: bool | None = None  # whether this evaluation is the best so far

    @property
    def perplexity(self) -> float | None:
        """How many equally likely tokens the model hesitates between."""
        return None if self.nll is None else perplexity(self.nll)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, those that are None left out."""
        pairs = ((each.name, getattr(self, each.name)) for each in fields(self))
        values = {name: value for name, value in pairs if value is not None}
        return values if self.nll is None else {**values, "perplexity": self.perplexity}
