"""Every kind of conclusion by its name, so that files can be read."""

from typing import Any

from glassformer.glass.conclusion.conclusion import Conclusion
from glassformer.glass.conclusion.entities import Tagged
from glassformer.glass.conclusion.label import Labelled
from glassformer.glass.conclusion.span import Answered
from glassformer.glass.conclusion.words import Filled, Written
from glassformer.glass.plain import from_plain

KINDS: dict[str, type[Conclusion]] = {
    kind.kind: kind for kind in (Labelled, Tagged, Answered, Filled, Written)
}


def conclusion_of(value: Any) -> Conclusion | None:
    """A conclusion from its plain values."""
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("kind") not in KINDS:
        raise TypeError(f"a conclusion is one of {', '.join(KINDS)}")
    rest = {name: part for name, part in value.items() if name != "kind"}
    return from_plain(KINDS[value["kind"]], rest)
