"""Every step of a trace computed again, in NumPy float64, from its recorded inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassformer.glass.step import Step


@dataclass(frozen=True)
class Check:
    """How far one step is from its formula."""

    name: str
    error: float  # the largest absolute difference
    relative_error: float  # that difference over the largest size of the step's values


@dataclass(frozen=True)
class Verification:
    """The differences of all steps, and what could not be checked."""

    checks: tuple[Check, ...]
    given: tuple[str, ...]  # what the run started from
    edited: tuple[str, ...]  # replaced by an edit, so no formula made them
    unchecked: tuple[str, ...]  # an input was not kept
    concluded: int = 0  # how many of the checks are of no step, but of what follows from steps

    @property
    def max_error(self) -> float:
        """The largest absolute difference of any step."""
        return max((check.error for check in self.checks), default=0.0)

    @property
    def max_relative_error(self) -> float:
        """The largest difference of any step, relative to the size of its values."""
        return max((check.relative_error for check in self.checks), default=0.0)

    @property
    def worst(self) -> Check | None:
        """The step that is furthest from its formula."""
        return max(self.checks, key=lambda check: check.relative_error, default=None)

    def __str__(self) -> str:
        steps = len(self.checks) - self.concluded
        text = f"{steps} steps recomputed in NumPy float64, largest difference {self.max_error:.1e}"
        text += f" (relative {self.max_relative_error:.1e})"
        if self.concluded:
            text += f", {self.concluded} conclusions from them included"
        if self.unchecked:
            text += f"; {len(self.unchecked)} not checked, because an input was not kept"
        return text


def as_array(tensor: Tensor) -> NDArray[Any]:
    """A tensor as a NumPy array: float64 for numbers, as they are for ids and masks."""
    tensor = tensor.detach().cpu()
    return tensor.to(torch.float64).numpy() if tensor.is_floating_point() else tensor.numpy()


def verify(steps: Mapping[str, Step], parameters: Mapping[str, Tensor]) -> Verification:
    """Recompute every step that has a formula and all its inputs."""
    checks, given, edited, unchecked = [], [], [], []
    for step in steps.values():
        if step.key == "given":
            given.append(step.name)
        elif step.edited:
            edited.append(step.name)
        elif not all(name in steps or name in parameters for name in step.inputs):
            unchecked.append(step.name)
        else:
            inputs = [as_array(steps[n].value if n in steps else parameters[n]) for n in step.inputs]
            checks.append(_compare(step, step.formula.compute(*inputs, **step.constants)))
    return Verification(tuple(checks), tuple(given), tuple(edited), tuple(unchecked))


def _compare(step: Step, expected: NDArray[Any]) -> Check:
    found = as_array(step.value)
    if found.shape != expected.shape:
        raise ValueError(f"{step.name} has shape {found.shape}, its formula gives {expected.shape}")
    return compared(step.name, found, expected)


def compared(
    name: str, found: NDArray[Any], expected: NDArray[Any], *, size: float | None = None
) -> Check:
    """How far two arrays are apart: equal infinities not at all, what is no number infinitely far.

    The relative error is by the size of the values, or by a given `size`: a log-probability near nothing is as exact as
    the logits that it is a difference of.
    """
    with np.errstate(invalid="ignore"):
        apart = np.where(found == expected, 0.0, np.abs(found - expected))
    error = float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(initial=0.0))
    finite = np.abs(expected[np.isfinite(expected)])
    size = float(finite.max(initial=0.0)) if size is None else size
    return Check(name, error, error / size if size else error)
