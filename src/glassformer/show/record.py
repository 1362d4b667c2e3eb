"""A trace as JSON: the answer and every step, with nothing left out and nothing rounded.

    {"answer": "...", "steps": [{"name", "axes", "value", "formula", "inputs", ...}, ...], ...}

Where it is handed in, how the answer was written stands under "writing": its tokens, and the tree of its search.

A number that JSON cannot say (an infinity, no number) is a string.
"""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from glassformer.files import write_text
from glassformer.glass.generation import GenerationTrace
from glassformer.glass.names import Names
from glassformer.glass.plain import as_plain
from glassformer.glass.step import AXES, Step
from glassformer.glass.trace import Trace

SMALL_MODEL = 100_000  # parameters up to so many numbers are written too; of larger ones the shapes


def document(trace: Trace, names: Names | None = None, only: Iterable[str] | None = None) -> dict[str, Any]:
    """The whole trace, or `only` some of its steps, as plain values."""
    chosen = [trace[name] for name in only] if only is not None else list(trace.values())
    return {**_head(trace, names or trace.names, chosen), "steps": [_step(step) for step in chosen]}


def pieces(
    trace: Trace,
    names: Names | None = None,
    only: Iterable[str] | None = None,
    writing: GenerationTrace | None = None,
) -> Iterator[str]:
    """The same document as text, one line for each step, made as it is read."""
    chosen = [trace[name] for name in only] if only is not None else list(trace.values())
    head = _head(trace, names or trace.names, chosen)
    if writing is not None:
        head["writing"] = as_plain(writing.written)
    yield "{"
    for key, value in head.items():
        yield f"{_text(key)}: {_text(value)},\n"
    yield '"steps": ['
    for number, step in enumerate(chosen):
        yield (",\n" if number else "\n") + _text(_step(step))
    yield "\n]}\n"


def write_json(
    trace: Trace,
    path: str | Path,
    names: Names | None = None,
    only: Iterable[str] | None = None,
    writing: GenerationTrace | None = None,
) -> None:
    """Write the document, whole or not at all."""
    write_text(path, pieces(trace, names, only, writing))


def _head(trace: Trace, names: Names, steps: Iterable[Step]) -> dict[str, Any]:
    used = {name for step in steps for name in step.inputs if name in trace.parameters}
    small = sum(trace.parameters[name].numel() for name in used) <= SMALL_MODEL
    return {
        "answer": trace.answer,
        "model": names.model,
        "tokens": trace.tokens,
        "axes": AXES,
        "parameters": {
            name: _parameter(trace.parameters[name], small) for name in trace.parameters if name in used
        },
    }


def _parameter(value: Tensor, whole: bool) -> dict[str, Any]:
    shape = {"shape": list(value.shape)}
    return {**shape, "value": plain(value)} if whole else shape


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "axes": step.axes,
        "value": plain(step.value),
        "formula": step.written,
        "inputs": list(step.inputs),
        "latex": step.typeset,
        "symbol": step.formula.symbol,
        "says": step.formula.says,
        "constants": dict(step.constants),
        "edited": step.edited,
    }


def plain(value: Tensor) -> Any:
    """A tensor as nested lists of plain numbers, true and false as 1 and 0."""
    if not value.is_floating_point():
        return value.long().tolist()
    numbers = value.tolist()
    return numbers if bool(value.isfinite().all()) else _sayable(numbers)


def _sayable(value: Any) -> Any:
    if isinstance(value, list):
        return [_sayable(part) for part in value]
    return value if math.isfinite(value) else str(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
