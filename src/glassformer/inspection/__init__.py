"""Touch, attribute, compare: what a model's numbers do, and which of them an answer hangs on."""

from glassformer.glass.edits import mean, patch, replace, steer, weight, zero
from glassformer.inspection.attribute import attribute, layers
from glassformer.inspection.beside import side_by_side
from glassformer.inspection.compare import compare
from glassformer.inspection.direct import direct
from glassformer.inspection.lens import lens
from glassformer.inspection.patching import patching
from glassformer.inspection.quantize import quantize
from glassformer.inspection.question import Number
from glassformer.inspection.replay import replay

__all__ = [
    "Number",
    "attribute",
    "compare",
    "direct",
    "layers",
    "lens",
    "mean",
    "patch",
    "patching",
    "quantize",
    "replace",
    "replay",
    "side_by_side",
    "steer",
    "weight",
    "zero",
]
