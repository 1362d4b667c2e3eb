"""A step found by what a person typed."""

from glassformer.errors import InputError
from glassformer.glass.naming import NEAR, nearest
from glassformer.glass.trace import Trace


def find(trace: Trace, name: str) -> str:
    """The name itself, or the one step whose name ends in it; else the nearest names are told."""
    if name in trace:
        return name
    ending = [known for known in trace if known.endswith(f".{name}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        several = f"{name!r} could be any of {len(ending)} steps"
        raise InputError(f"{several}; give one in full, such as {', '.join(ending[:NEAR])}")
    raise InputError(
        f"there is no step {name!r} in this trace of {len(trace)}; near it: {nearest(name, list(trace))}"
    )
