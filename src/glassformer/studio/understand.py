"""What an answer hangs on: attribution on tokens, each layer's guess, two runs held against each other."""

from typing import Any

from glassformer.errors import InputError
from glassformer.inspection.attribute import METHODS, attribute
from glassformer.inspection.compare import compare
from glassformer.inspection.lens import lens
from glassformer.studio.kept import Kept

AT_STEPS = ("layer-integrated-gradients", "conductance")  # ask for a step within, which the page does not
OVER_TOKENS = tuple(method for method in METHODS if method not in AT_STEPS)


def attributed(
    kept: Kept, method: str, *, target: str | None, against: str | None, position: int | None
) -> dict[str, Any]:
    """How much each token contributes to the answer, or to another one."""
    if method not in OVER_TOKENS:
        raise InputError(f"there is no method {method!r} on tokens; there is {', '.join(OVER_TOKENS)}")
    asked = {"target": target, "against": against, "position": position}
    with kept.opened.lock, kept.opened.model.edit(*kept.edits):
        found = attribute(kept.opened.model, kept.text, kept.context, method=method, **asked)  # type: ignore[arg-type]
    return {**found.as_dict(), "said": found.about}


def layered(kept: Kept) -> dict[str, Any]:
    """What the model would answer after each layer."""
    with kept.opened.lock, kept.opened.model.edit(*kept.edits):
        return lens(kept.opened.model, kept.text, kept.context).as_dict()


def differing(one: Kept, two: Kept) -> dict[str, Any]:
    """Which steps of two runs differ, and by how much."""
    return compare(one.trace, two.trace).as_dict()
