"""From logits to the label of a text, to every label that holds, or to numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from glassformer.glass.conclusion.conclusion import Conclusion, Numbers
from glassformer.glass.formulas import softmax
from glassformer.glass.verify import Check, compared


@dataclass(frozen=True, kw_only=True)
class LabelScore:
    """One label: its logit, and how likely that makes it; a number that a model measures is no probability."""

    label: str
    logit: float
    probability: float | None


@dataclass(frozen=True, kw_only=True)
class Labelled(Conclusion):
    """Logits -> probabilities -> the label or labels.

    `choice` is one (softmax, the likeliest), any (each by itself by a logistic function, those above `threshold`) or
    number (the logits are the answer).
    """

    kind: ClassVar[str] = "label"

    choice: str
    threshold: float
    scores: tuple[LabelScore, ...]  # in the model's order
    chosen: tuple[str, ...]

    def checks(self, logits: Numbers) -> Iterator[Check]:
        """The logits, their probabilities, and the choice."""
        yield compared("answer.logits", np.array([each.logit for each in self.scores]), logits)
        if self.choice == "number":
            return
        alone = self.choice == "any" or len(self.scores) == 1
        likely = np.exp(-np.logaddexp(0.0, -logits)) if alone else softmax(logits)
        found = np.array([np.nan if one.probability is None else one.probability for one in self.scores])
        yield compared("answer.probabilities", found, likely)
        short = self._misjudged(likely)
        yield Check("answer.label", short, short)

    def _misjudged(self, likely: Numbers) -> float:
        """How much likelier what was left out is than what was chosen: 0 where the choice is right."""
        names = [each.label for each in self.scores]
        if self.choice == "one":
            return float(likely.max() - likely[names.index(self.chosen[0])])
        wrong = [
            abs(share - self.threshold)
            for name, share in zip(names, likely, strict=True)
            if (share > self.threshold) != (name in self.chosen)
        ]
        return float(max(wrong, default=0.0))

    def lines(self) -> Iterator[str]:
        """A line a label, then the answer."""
        wide = max(len(each.label) for each in self.scores)
        for each in self.scores:
            likely = "" if each.probability is None else f"   {each.probability:7.2%}"
            mark = "→" if each.label in self.chosen else " "
            yield f"{mark} {each.label:{wide}}   logit {each.logit:9.4f}{likely}"
        if self.choice == "any":
            yield f"Every label above {self.threshold:g} holds: {', '.join(self.chosen) or 'none'}."
        elif self.choice == "one":
            yield f"The likeliest label is the answer: {self.chosen[0]}."
