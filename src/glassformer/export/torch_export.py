"""Programs of torch alone, `.pt2`: opened by `torch.export.load`, without glassformer."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic

from glassformer.errors import InputError
from glassformer.export.beside import aside, described, write_beside
from glassformer.export.check import SIZES, compared, sample, told
from glassformer.export.graphs import NAMES, Graph, graphs_of, keeping, ready
from glassformer.export.options import Options
from glassformer.model import DTYPES
from glassformer.pretrained import kind_of
from glassformer.tasks.model import Model

SUFFIX = ".pt2"
SAYS = "glassformer.json"  # within each file: what it is, and what its further outputs are


def write(model: Model, out: Path, options: Options) -> str:
    """Write a program for each graph, open each again, and say how far its numbers are from the model's."""
    if options.shard_size is not None:
        raise InputError("a program is one file; leave out the size of its parts")
    kind = options.dtype or kind_of(model.transformer)
    if kind not in DTYPES:
        raise InputError(f"torch computes nothing in {kind}; expected one of {', '.join(DTYPES)}")
    graphs = graphs_of(ready(model.transformer, DTYPES[kind]))
    with aside(out, [f"{name}{SUFFIX}" for name in NAMES]) as folder:
        worst = max(written(model, graph, folder, options.internals) for graph in graphs)
    write_beside(model, kind, out)
    files = ", ".join(f"{graph.name}{SUFFIX}" for graph in graphs)
    return f"{files} in {kind}; opened by torch.export, largest difference {told(worst)}"


def written(model: Model, graph: Graph, folder: Path, internals: Sequence[str]) -> float:
    """Write one program, and say how far off it is once it is opened again."""
    graph, steps = keeping(graph, internals, sample(graph, SIZES[0], 0))
    path = folder / f"{graph.name}{SUFFIX}"
    said = json.dumps(described(model, graph, steps), ensure_ascii=False)
    torch.export.save(captured(graph), path, extra_files={SAYS: said})
    return compared(graph, "torch.export", torch.export.load(path).module())


def captured(graph: Graph) -> ExportedProgram:
    """A graph as the operations of torch, for batches and texts of any size."""
    free = {
        name: {place: Dim.DYNAMIC for place, axis in enumerate(each.axes) if isinstance(axis, str)}
        for name, each in graph.inputs.items()
    }
    # Otherwise a size of 0 or 1 counts as another kind of size than the rest, and is refused later on.
    oblivious = symbolic.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]  # put there as it is imported
    with oblivious, torch.no_grad():
        program = torch.export.export(
            graph, (sample(graph, SIZES[0], 0),), dynamic_shapes={"given": free}, strict=False
        )
    # What is left of that: whether a tensor of one token may be viewed or must be copied, the same numbers either way.
    program._guards_code = [guard for guard in program._guards_code if "!=" not in guard]
    return program
