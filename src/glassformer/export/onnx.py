"""ONNX files, run by onnxruntime and all that stands on it; the steps of the glass as further outputs where asked.

The files of one model share their weights, which then stand in a file of their own, each under its parameter's name.
"""

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx_ir as ir
import onnxruntime
import torch
from onnx_ir.external_data import convert_tensors_to_external
from onnx_ir.tensor_adapters import TorchTensor
from onnxscript.optimizer import optimize_ir

from glassformer import __version__
from glassformer.errors import InputError
from glassformer.export.beside import aside, described, write_beside
from glassformer.export.check import SIZES, Runner, compared, sample, told
from glassformer.export.graphs import NAMES, Graph, Tensors, graphs_of, keeping, ready
from glassformer.export.options import Options
from glassformer.export.torch_export import captured
from glassformer.glass.step import Step
from glassformer.model import DTYPES, Transformer
from glassformer.tasks.model import Model

SUFFIX, WEIGHTS = ".onnx", "model.onnx_data"
OPSET = 18  # read by onnxruntime since 1.14
KINDS = ("float32", "float16")  # it has no gelu in float64
LARGEST = 1_900_000_000  # bytes of weights within a file, which cannot pass two gigabytes; more stand apart

Weights = Mapping[int, ir.TensorProtocol]  # by the parameter's identity


def write(model: Model, out: Path, options: Options) -> str:
    """Write a file for each graph, run each by onnxruntime, and say how far its numbers are from the model's."""
    kind = kind_asked(model, options)
    twin = ready(model.transformer, DTYPES[kind])
    graphs, worst = graphs_of(twin), 0.0
    with aside(out, [*(f"{name}{SUFFIX}" for name in NAMES), WEIGHTS]) as folder:
        weights = stored(twin, folder, apart=len(graphs) > 1)
        for graph in graphs:
            worst = max(worst, written(model, graph, weights, folder, options.internals))
    write_beside(model, kind, out)
    files = ", ".join(f"{graph.name}{SUFFIX}" for graph in graphs)
    return f"{files} in {kind}; run by onnxruntime, largest difference {told(worst)}"


def kind_asked(model: Model, options: Options) -> str:
    """The kind of number that the files compute in: float32, unless another is asked for."""
    if options.shard_size is not None:
        raise InputError("ONNX keeps its weights in one file; leave out the size of its parts")
    kind = options.dtype or "float32"
    if kind not in KINDS:
        raise InputError(f"onnxruntime runs no transformer in {kind}; expected {' or '.join(KINDS)}")
    return kind


def written(model: Model, graph: Graph, weights: Weights, folder: Path, internals: Sequence[str]) -> float:
    """Write one file, and say how far off it is when onnxruntime runs it."""
    given = sample(graph, SIZES[0], 0)
    graph, steps = keeping(graph, internals, given)
    network = translated(graph)
    with torch.inference_mode():
        named(network, list(graph.inputs), list(graph(given)))
    sized(network, graph)
    weighted(network, graph.model, weights)
    explained(network, described(model, graph, steps), steps)
    path = folder / f"{graph.name}{SUFFIX}"
    ir.save(network, path)
    return compared(graph, "onnxruntime", runner(path))


# ------------------------------------------------------------------ from torch's operations to ONNX's


def translated(graph: Graph) -> ir.Model:
    """The graph in ONNX's operations; the weights stay as they are, so that each keeps its name."""
    with quiet():
        program = torch.onnx.export(
            captured(graph), dynamo=True, opset_version=OPSET, optimize=False, verbose=False
        )
    assert program is not None
    optimize_ir(program.model, should_fold=lambda node: False if reads_weights(node) else None)
    return program.model


def reads_weights(node: ir.Node) -> bool:
    """Whether a parameter goes into an operation."""
    return any(value is not None and value.is_initializer() for value in node.inputs)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's exporter says of itself: that torchvision is not there, and a form that copying uses."""
    speaker = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = speaker.level
    speaker.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        speaker.setLevel(before)


# ------------------------------------------------------------------ names


def named(network: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Inputs and outputs under our names, in our order."""
    for values, names in ((network.graph.inputs, inputs), (network.graph.outputs, outputs)):
        for value, name in zip(values, names, strict=True):
            value.name = name


def sized(network: ir.Model, graph: Graph) -> None:
    """Free lengths under names that say what they are, wherever one occurs."""
    words: dict[str, str] = {}
    for value, given in zip(network.graph.inputs, graph.inputs.values(), strict=True):
        for size, axis in zip(value.shape or (), given.axes, strict=True):
            if isinstance(axis, str) and str(size).isidentifier():
                words.setdefault(str(size), axis)
    values = [*network.graph.inputs, *(value for node in network.graph for value in node.outputs)]
    for value in values:
        if value.shape is not None:
            value.shape = ir.Shape([renamed(size, words) for size in value.shape])


def renamed(size: int | ir.SymbolicDim, words: Mapping[str, str]) -> int | str | None:
    """One length, which may be a sum of several."""
    if isinstance(size, int) or size.value is None:
        return size if isinstance(size, int) else None
    return re.sub(r"\w+", lambda word: words.get(word[0], word[0]), size.value)


def explained(network: ir.Model, said: Mapping[str, str], steps: Mapping[str, Step]) -> None:
    """What the file is, and beside each step its axes and its formula; nothing of the machine that wrote it."""
    network.producer_name, network.producer_version = "glassformer", __version__
    network.graph.name = said["graph"]
    for part in (network, network.graph, *network.graph):
        part.metadata_props.clear()
    for node in network.graph:
        for value in node.outputs:
            value.metadata_props.clear()
    network.metadata_props.update(said)
    for value in network.graph.outputs:
        step = steps.get(str(value.name))
        if step is not None:
            value.doc_string = f"[{step.axes}] {step.written}"


# ------------------------------------------------------------------ weights


def stored(model: Transformer, folder: Path, apart: bool) -> Weights:
    """Every parameter once, by its identity: in the one file, or in a file that all share."""
    parameters = dict(model.named_parameters())
    tensors: Sequence[ir.TensorProtocol]
    tensors = [TorchTensor(each.detach(), name) for name, each in parameters.items()]
    if apart or sum(tensor.nbytes for tensor in tensors) > LARGEST:
        tensors = convert_tensors_to_external(tensors, folder, WEIGHTS)
    found = {str(tensor.name): tensor for tensor in tensors}
    return {id(parameter): found[name] for name, parameter in parameters.items()}


def weighted(network: ir.Model, model: Transformer, weights: Weights) -> None:
    """Each parameter under its path in the model, a tied one once."""
    held = network.graph.initializers
    for key, value in list(held.items()):
        if not key.startswith("model."):
            continue
        tensor = weights[id(model.get_parameter(key.removeprefix("model.")))]
        name = str(tensor.name)
        del held[key]
        if name in held:
            value.replace_all_uses_with(held[name])
        else:
            value.name, value.const_value = name, tensor
            held.add(value)


# ------------------------------------------------------------------ onnxruntime


def runner(path: Path) -> Runner:
    """A file, run by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]

    def run(given: Tensors) -> Tensors:
        found = session.run(names, {name: value.numpy() for name, value in given.items()})
        return {name: torch.from_numpy(value) for name, value in zip(names, found, strict=True)}

    return run
