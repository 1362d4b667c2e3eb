"""Weights on disk under the model's own names, and their average."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from glassformer.errors import InputError


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor of the model that learns, once: a tied weight appears under its first name only.

    What does not learn is what the run began from.
    """
    once: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor.requires_grad:
            once.setdefault(id(tensor), (name, tensor.detach()))
    return dict(once.values())


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into the model; names and shapes must be the model's, all of them."""
    own = weights(model)
    if wrong := sorted(own.keys() ^ tensors.keys()):
        raise InputError(
            f"the checkpoint and the model differ in {', '.join(wrong[:3])}; use the recipe it came from"
        )
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            raise InputError(
                f"{name} is {list(tensor.shape)} in the checkpoint, {list(own[name].shape)} in the model; "
                "use the recipe and the tokenizer it came from"
            )
        own[name].copy_(tensor)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors file."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected a whole safetensors file") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file that has reached the disk."""
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"}
    )
    flush_to_disk(path)


def flush_to_disk(path: Path) -> None:
    """Wait until the file's bytes are on the disk, so that a rename after it never names an empty file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def average_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of several checkpoints, summed in float64 so that their number does not cost digits.

    Vaswani et al. 2017, section 6.1, average the last 5 or 20.
    """
    if not files:
        raise InputError("no checkpoint to average; expected one or more model.safetensors files")
    first = read_tensors(files[0])
    sums = {name: tensor.to(torch.float64) for name, tensor in first.items()}
    for file in files[1:]:
        tensors = read_tensors(file)
        if sums.keys() != tensors.keys():
            raise InputError(f"{file} has other weights than {files[0]}; average checkpoints of one run only")
        for name, tensor in tensors.items():
            sums[name] += tensor
    return {name: (total / len(files)).to(first[name].dtype) for name, total in sums.items()}


@contextmanager
def holding(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with other weights for a while; its own come back afterwards."""
    own = {name: tensor.clone() for name, tensor in weights(model).items()}
    load_weights(model, tensors)
    try:
        yield
    finally:
        load_weights(model, own)


Save = Callable[[Path], None]
