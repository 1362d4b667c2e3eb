"""What every conclusion is: a record that leads from a run's last step to its answer, and can be recomputed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from glassformer.glass.plain import as_plain
from glassformer.glass.step import Step
from glassformer.glass.verify import Check, as_array

Numbers = NDArray[np.float64]


class Conclusion(ABC):
    """The way from the last step to the answer, every number of it kept."""

    kind: ClassVar[str]  # as files and JSON name it
    needs: ClassVar[str] = "head.logits"  # the step that it starts from

    @abstractmethod
    def checks(self, logits: Numbers) -> Iterator[Check]:
        """How far each part is from what NumPy makes of the logits of the text, in float64."""

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """The way in words, a line at a time."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"kind": self.kind, **as_plain(self)}

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def verified(self, steps: Mapping[str, Step]) -> list[Check] | None:
        """The checks against a trace's steps; None where the step that they start from was not kept."""
        if self.needs not in steps:
            return None
        return list(self.checks(as_array(steps[self.needs].value)[0]))


def agree(name: str, found: object, expected: object) -> Check:
    """Whether two things that are no numbers are the same: no difference, or an endless one."""
    error = 0.0 if found == expected else float("inf")
    return Check(name, error, error)
