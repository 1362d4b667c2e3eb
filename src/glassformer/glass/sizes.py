"""How long the rows of a run are: the residual stream, from the embedding to the last layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from glassformer.glass.step import Step
from glassformer.glass.verify import as_array

STREAM = re.compile(r"(embedding\.output|layers\.\d+\.after_\w+|output)")


@dataclass(frozen=True)
class Lengths:
    """The Euclidean length of each token's row at each place of the residual stream."""

    names: tuple[str, ...]  # the steps, in order
    values: np.ndarray  # (steps, tokens), float64


def residual_lengths(steps: Mapping[str, Step], side: str, text: int = 0) -> Lengths:
    """The lengths of the rows of one stack ("encoder" or "decoder") for one text; no step of it: no names."""
    found = {
        name: as_array(step.value)[text]
        for name, step in steps.items()
        if name.startswith(f"{side}.") and STREAM.fullmatch(name.removeprefix(f"{side}."))
    }
    lengths = [np.sqrt((value**2).sum(axis=-1)) for value in found.values()]
    return Lengths(tuple(found), np.stack(lengths) if lengths else np.zeros((0, 0)))
