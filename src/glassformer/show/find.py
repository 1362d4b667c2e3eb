"""A step found by what a person typed."""

import difflib

from glassformer.errors import InputError
from glassformer.glass.trace import Trace

NEAR = 4


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
    last = name.rpartition(".")[2]
    near = (
        difflib.get_close_matches(name, trace, n=NEAR, cutoff=0.5)
        or [known for known in trace if known.endswith(f".{last}")][:NEAR]
    )
    nearest = ", ".join(near or list(trace)[:NEAR])
    raise InputError(f"there is no step {name!r} in this trace of {len(trace)}; near it: {nearest}")
