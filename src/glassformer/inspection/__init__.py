"""Touch, attribute, compare: what a model's numbers do, and which of them an answer hangs on."""

from glassformer.glass.edits import mean, patch, replace, steer, weight, zero

__all__ = ["mean", "patch", "replace", "steer", "weight", "zero"]
