"""Some heads of a run alone, so that a workbook of a large model holds their weights and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.step import Step
from glassformer.glass.trace import Trace

CUT = {"query": (1, 2), "key": (1, 2), "value": (1, 2)}  # maps cut into heads: which inputs have a row for each number
MIXES = ("attention_output",)  # what needs all heads


def of_heads(trace: Trace, steps: Sequence[Step], heads: Sequence[int]) -> tuple[Trace, list[Step]]:
    """The same run and steps with only these heads in every attention, and only their rows of its maps.

    Query heads that share a key or value head bring it each for itself. What comes after all heads have been joined is
    left as it was computed: it can no longer be made of what is there.
    """
    check(trace, heads)
    kept = [step for step in trace.values() if not step.name.startswith(("gradient.", "update."))]
    sizes = {step.name.rpartition(".")[0]: size_of(step, "H") for step in kept if "H" in step.axes.split()}
    parameters = dict(trace.parameters)
    for step in kept:
        parameters.update(cut_parameters(trace, step, heads, sizes))
    cut = [cut_step(step, heads, sizes) for step in kept]
    made = Trace.restored(cut, trace.facts(), parameters)
    made.names = trace.names
    wanted = {step.name for step in steps}
    return made, [step for step in made.values() if step.name in wanted]


def check(trace: Trace, heads: Sequence[int]) -> None:
    """Refuse heads that no attention, or not every one, has."""
    counts = [size_of(step, "H") for step in trace.values() if "H" in step.axes.split() and step.key != "given"]
    if not counts:
        raise InputError("heads were chosen, but no step with heads was kept in this run; leave heads out")
    if not heads or not all(type(head) is int and 0 <= head < min(counts) for head in heads):
        raise InputError(f"heads are {list(heads)}; expected numbers from 0 to {min(counts) - 1}")


def size_of(step: Step, letter: str) -> int:
    """The size of a step along an axis."""
    return int(step.value.shape[step.axes.split().index(letter)])


def picked(heads: Sequence[int], size: int, queries: int) -> list[int]:
    """The heads themselves, or, where several share a key and value head, the one that each reads."""
    return [head * size // queries for head in heads]


def cut_step(step: Step, heads: Sequence[int], sizes: Mapping[str, int]) -> Step:
    """A step with only some of its heads; of what joins them the value alone."""
    if step.key in MIXES:
        return replace(step, edited=True)
    part, letters, value = step.name.rpartition(".")[0], step.axes.split(), step.value
    for letter in ("H", "G"):
        if letter in letters:
            axis = letters.index(letter)
            places = picked(heads, value.shape[axis], sizes.get(part, value.shape[axis]))
            value = value.index_select(axis, torch.tensor(places, device=value.device))
    constants = {**step.constants, "heads": len(heads)} if "heads" in step.constants else step.constants
    return replace(step, value=value, constants=constants)


def cut_parameters(
    trace: Trace, step: Step, heads: Sequence[int], sizes: Mapping[str, int]
) -> dict[str, Tensor]:
    """The rows of a step's weight and bias that make these heads; of distances, their columns."""
    if step.key == "relative_bias":
        table = step.inputs[2]
        return {table: trace.parameters[table][:, list(heads)]}
    found = {}
    for place in CUT.get(step.key, ()):
        if place < len(step.inputs):
            name, own = step.inputs[place], size_of(step, "H" if "H" in step.axes.split() else "G")
            whole = trace.parameters[name]
            rows = whole.reshape(own, -1, *whole.shape[1:])
            places = picked(heads, own, sizes.get(step.name.rpartition(".")[0], own))
            found[name] = rows[places].flatten(0, 1)
    return found
