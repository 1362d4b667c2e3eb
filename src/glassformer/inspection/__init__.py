"""Touch, attribute, compare: what a model's numbers do, and which of them an answer hangs on."""

from glassformer.glass.edits import mean, patch, replace, steer, weight, zero
from glassformer.inspection.attribute import attribute, layers
from glassformer.inspection.direct import direct
from glassformer.inspection.lens import lens
from glassformer.inspection.question import Number

__all__ = [
    "Number",
    "attribute",
    "direct",
    "layers",
    "lens",
    "mean",
    "patch",
    "replace",
    "steer",
    "weight",
    "zero",
]
