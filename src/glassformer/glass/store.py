"""Traces as one safetensors file: values and parameters as tensors, the rest as JSON in the file's header.

The header also holds a digest of everything else in the file, so that a file in which anything was altered is refused.
Nothing in a file is ever executed.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.files import writing
from glassformer.glass.step import AXES, Step
from glassformer.glass.table import ALL

FORMAT = "glassformer-trace-2"
SCALARS = (bool, int, float, str)
ENTRY = {"name": str, "axes": str, "key": str, "inputs": list, "constants": dict, "edited": bool}
Restored = TypeVar("Restored")
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Saved:
    """What a file holds: runs, each its steps and what is said of it, the parameters, and what is said of all."""

    kind: str  # "trace", "generation"
    runs: Sequence[tuple[Sequence[Step], Mapping[str, Any]]]
    parameters: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def write(path: Path, saved: Saved) -> None:
    """Write the file whole or not at all."""
    tensors = {f"parameter:{name}": value.detach().contiguous() for name, value in saved.parameters.items()}
    runs = []
    for number, (steps, facts) in enumerate(saved.runs):
        entries = []
        for step in steps:
            tensors[f"{number}:{step.name}"] = step.value.detach().clone(
                memory_format=torch.contiguous_format
            )
            entries.append(_entry(step))
        runs.append({"steps": entries, "facts": facts})
    manifest = json.dumps({"kind": saved.kind, "runs": runs, "facts": saved.facts})
    header = {"format": FORMAT, "manifest": manifest, "digest": digest(manifest, tensors)}
    with writing(path, safetensors.SafetensorError) as partial:
        safetensors.torch.save_file(distinct(tensors), partial, metadata=header)


def _entry(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "axes": step.axes,
        "key": step.key,
        "inputs": list(step.inputs),
        "constants": dict(step.constants),
        "edited": step.edited,
    }


def distinct(tensors: Tensors) -> dict[str, Tensor]:
    """The same tensors, each with memory of its own: the layers of some models share their weights."""
    seen: set[int] = set()
    found = {}
    for name, value in tensors.items():
        found[name] = value.clone() if value.data_ptr() in seen and value.numel() else value
        seen.add(value.data_ptr())
    return found


def digest(manifest: str, tensors: Tensors) -> str:
    """SHA-256 of everything that a file holds."""
    found = hashlib.sha256(manifest.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode("utf-8", "surrogatepass"))
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read(path: Path, kind: str, restored: Callable[[Saved], Restored]) -> Restored:
    """What is made of a file that `write` wrote; anything else is refused."""
    header, tensors = _opened(path)
    if header.get("format") != FORMAT:
        raise InputError(f"{path} is a safetensors file, but no trace of this version; give a file that was saved here")
    manifest = header.get("manifest", "")
    if header.get("digest") != digest(manifest, tensors):
        raise InputError(f"{path} was altered after it was saved; save the trace again")
    try:
        return restored(_saved(json.loads(manifest), tensors, kind))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} holds no trace that this version can read ({error}); save the trace again"
        ) from error


def _opened(path: Path) -> tuple[Mapping[str, str], dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path} cannot be read as a trace: {error}; give a file that Trace.save wrote"
        ) from error


def _saved(manifest: Any, tensors: dict[str, Tensor], kind: str) -> Saved:
    if manifest["kind"] != kind:
        raise InputError(f"the file holds a {manifest['kind']}, and a {kind} was asked for; use its own load")
    left = dict(tensors)
    runs = [
        ([_step(entry, f"{number}:", left) for entry in run["steps"]], run["facts"])
        for number, run in enumerate(manifest["runs"])
    ]
    parameters = {
        name.removeprefix("parameter:"): left.pop(name) for name in list(left) if name.startswith("parameter:")
    }
    if left:
        raise ValueError(f"nothing is said of {next(iter(left))}")
    for steps, _ in runs:
        _check_sizes(steps)
    return Saved(kind, runs, parameters, manifest["facts"])


def _step(entry: Any, prefix: str, tensors: dict[str, Tensor]) -> Step:
    if not isinstance(entry, dict) or {name: type(value) for name, value in entry.items()} != ENTRY:
        raise TypeError("a step is not described as a step is")
    if entry["key"] not in ALL:
        raise InputError(f"the trace uses a formula {entry['key']!r} that this version does not know")
    if not all(isinstance(name, str) for name in entry["inputs"]):
        raise TypeError(f"the inputs of {entry['name']} are no names")
    if not all(isinstance(value, SCALARS) for value in entry["constants"].values()):
        raise TypeError(f"the constants of {entry['name']} are neither numbers nor words")
    return Step(value=tensors.pop(f"{prefix}{entry['name']}"), **{**entry, "inputs": tuple(entry["inputs"])})


def _check_sizes(steps: Iterable[Step]) -> None:
    """Each axis is known, and has one size in one part."""
    sizes: dict[tuple[str, str], int] = {}
    for step in steps:
        letters, part = step.axes.split(), step.name.rpartition(".")[0]
        if len(letters) != step.value.ndim or not set(letters) <= set(AXES):
            raise ValueError(f"{step.name} has the axes {step.axes!r} and the shape {tuple(step.value.shape)}")
        for letter, size in zip(letters, step.value.shape, strict=True):
            if letter != "1" and sizes.setdefault((part, letter), size) != size:
                raise ValueError(f"axis {letter} of {step.name} is {size}, elsewhere {sizes[part, letter]}")
