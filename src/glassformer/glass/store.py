"""A trace as one safetensors file: the values and parameters as tensors, the rest as JSON in the file's header."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.formulas import FORMULAS
from glassformer.glass.step import Step

FORMAT = "glassformer-trace-1"

Tokens = Mapping[str, list[list[str]]]


def write(
    path: Path, steps: Iterable[Step], parameters: Mapping[str, Tensor], tokens: Tokens, answer: str
) -> None:
    """Write the file whole or not at all."""
    tensors = {f"parameter:{name}": value.contiguous() for name, value in parameters.items()}
    manifest = []
    for step in steps:
        tensors[f"step:{step.name}"] = step.value.clone(memory_format=torch.contiguous_format)
        manifest.append(
            {
                "name": step.name,
                "axes": step.axes,
                "key": step.key,
                "inputs": step.inputs,
                "constants": dict(step.constants),
                "edited": step.edited,
            }
        )
    header = {"format": FORMAT, "steps": json.dumps(manifest), "tokens": json.dumps(tokens), "answer": answer}
    partial = path.with_name(path.name + ".partial")
    try:
        safetensors.torch.save_file(tensors, partial, metadata=header)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"the trace cannot be written to {path}: {error}") from error
    os.replace(partial, path)


def read(path: Path) -> tuple[list[Step], dict[str, Tensor], dict[str, list[list[str]]], str]:
    """The steps in order, the parameters, the tokens and the answer of a file that `write` wrote."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{path} cannot be read as a trace: {error}; give a file that Trace.save wrote"
        ) from error
    if header.get("format") != FORMAT:
        raise InputError(f"{path} is a safetensors file, but not a trace; give a file that Trace.save wrote")
    steps = [_step(entry, tensors) for entry in json.loads(header["steps"])]
    parameters = {
        name.removeprefix("parameter:"): v for name, v in tensors.items() if name.startswith("parameter:")
    }
    return steps, parameters, json.loads(header["tokens"]), header["answer"]


def _step(entry: dict[str, object], tensors: Mapping[str, Tensor]) -> Step:
    if entry["key"] not in FORMULAS:
        raise InputError(f"the trace uses a formula {entry['key']!r} that this version does not know")
    fields = {**entry, "inputs": tuple(entry["inputs"])}  # type: ignore[arg-type]
    return Step(value=tensors[f"step:{entry['name']}"], **fields)  # type: ignore[arg-type]
