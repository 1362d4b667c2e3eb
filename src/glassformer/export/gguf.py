"""One file for llama.cpp: a decoder, its numbers and its tokenizer, in full, half or 8-bit precision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Stored
from gguf import GGUFReader, GGUFWriter
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.export import gguf_kinds, gguf_tokenizer
from glassformer.export.huggingface import stored_kind
from glassformer.export.options import Options
from glassformer.export.program import kind_of, plain
from glassformer.files import replacing
from glassformer.tasks.model import Model
from glassformer.weights import Move, moves_out, to_theirs

FILE = "model.gguf"
STORED = {
    "float32": Stored.F32,
    "float16": Stored.F16,
    "bfloat16": Stored.BF16,
    "q8_0": Stored.Q8_0,
    "q4_0": Stored.Q4_0,
}
FILE_TYPES = {  # what llama.cpp calls a file whose matrices are stored so
    Stored.F32: gguf.LlamaFileType.ALL_F32,
    Stored.F16: gguf.LlamaFileType.MOSTLY_F16,
    Stored.BF16: gguf.LlamaFileType.MOSTLY_BF16,
    Stored.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
    Stored.Q4_0: gguf.LlamaFileType.MOSTLY_Q4_0,
}
ROUNDED = {Stored.F32: torch.float32, Stored.F16: torch.float16, Stored.BF16: torch.bfloat16}
IN_FULL = ("position_embd.",)  # and whatever is no matrix, as llama.cpp's own files have it
BLOCK = 32  # numbers in a row that share a scale in q8_0 and q4_0
STEPS = {  # of the largest number: how far one may be off, its scale's rounding included
    Stored.Q8_0: 0.0045,  # half of 1 / 127
    Stored.Q4_0: 0.13,  # 1 / 8: the steps reach from -8 to 7, and the largest number is made -8
}


@dataclass(frozen=True)
class Place:
    """One tensor of the file: whose parameters it holds, its shape and how it is stored."""

    move: Move
    shape: tuple[int, ...]
    stored: Stored


def write(model: Model, out: Path, options: Options) -> str:
    """Write the file, open it again, and say what is in it."""
    if options.shard_size is not None:
        raise InputError("a GGUF is one file; leave out the size of its parts")
    config = plain(model.config)
    kind = kind_of(config, gguf_kinds.KINDS, "llama.cpp", model.checkpoint.family)
    stored = stored_as(options.dtype, stored_kind(model) or model.config.dtype)
    said = {
        **general(model, stored),
        **{f"{kind.name}.{key}": value for key, value in kind.keys(config).items()},
        **gguf_tokenizer.described(model.tokenizer, config.vocab_size),
    }
    parameters = {name: parameter.detach() for name, parameter in model.transformer.named_parameters()}
    parameters |= gguf_kinds.slowness(config)
    places = placed(moves_out(parameters, kind.rules(config)), parameters, stored)
    path = out if out.suffix == ".gguf" else out / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        write_file(partial, kind.name, said, places, parameters)
        check(partial, path, places, parameters)
    return f"{kind.name} in {stored.name.lower()}{remarks(config, kind)}; read back, every tensor is the same"


def stored_as(asked: str | None, usual: str) -> Stored:
    """How matrices are stored; llama.cpp computes nothing in float64."""
    kind = asked or ("float32" if usual == "float64" else usual)
    if kind not in STORED:
        raise InputError(f"llama.cpp stores no {kind}; expected one of {', '.join(STORED)}")
    return STORED[kind]


def general(model: Model, stored: Stored) -> dict[str, Any]:
    """What the file is."""
    folder = model.checkpoint.folder
    return {
        "general.type": "model",
        "general.name": model.checkpoint.family if folder is None else folder.resolve().name,
        "general.file_type": int(FILE_TYPES[stored]),
        "general.quantization_version": gguf.GGML_QUANT_VERSION,
    }


def remarks(config: TransformerConfig, kind: gguf_kinds.Decoder) -> str:
    """Where llama.cpp is not quite the model."""
    said = []
    if config.activation == "gelu":
        said.append("its gelu is the one by tanh, up to 0.0005 off")
    if config.window is not None:
        said.append(f"texts of up to {config.window} tokens, since it has no window")
    return "".join(f", {remark}" for remark in said)


# ------------------------------------------------------------------ tensors


def placed(moves: Sequence[Move], parameters: Mapping[str, Tensor], stored: Stored) -> list[Place]:
    """Where everything goes."""
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    return [
        Place(move, shape, stored_at(move.theirs, shape, stored))
        for move in moves
        for shape in [move.expected(shapes)]
    ]


def stored_at(name: str, shape: tuple[int, ...], stored: Stored) -> Stored:
    """Vectors are stored in full; rows that are not made of whole blocks, in half precision."""
    if len(shape) < 2 or name.startswith(IN_FULL):
        return Stored.F32
    return Stored.F16 if stored in STEPS and shape[-1] % BLOCK else stored


def encoded(place: Place, parameters: Mapping[str, Tensor]) -> "np.ndarray[Any, Any]":
    """The numbers of one tensor as the file has them."""
    tensor = to_theirs(place.move, parameters).to("cpu", torch.float32).contiguous()
    if place.stored == Stored.F16 and tensor.abs().max() > torch.finfo(torch.float16).max:
        raise InputError(
            f"{place.move.theirs} has numbers beyond the range of float16; store it in bfloat16 or float32"
        )
    return gguf.quants.quantize(tensor.numpy(), place.stored)


# ------------------------------------------------------------------ the file


def write_file(
    path: Path,
    kind: str,
    said: Mapping[str, Any],
    places: Sequence[Place],
    parameters: Mapping[str, Tensor],
) -> None:
    """Keys, then the list of tensors, then their numbers, one tensor in memory at a time."""
    writer = GGUFWriter(path, kind)
    for key, value in said.items():
        ADD[type(value)](writer, key, value)
    for place in places:
        shape = gguf.quant_shape_to_byte_shape(place.shape, place.stored)
        writer.add_tensor_info(
            place.move.theirs, shape, np.dtype(np.uint8), int(np.prod(shape)), raw_dtype=place.stored
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for place in places:
            writer.write_tensor_data(encoded(place, parameters))
    finally:
        writer.close()


ADD: Mapping[type, Callable[[GGUFWriter, str, Any], None]] = {
    bool: GGUFWriter.add_bool,
    int: GGUFWriter.add_uint32,
    float: GGUFWriter.add_float32,
    str: GGUFWriter.add_string,
    list: GGUFWriter.add_array,
}


def check(
    written: Path,
    path: Path,
    places: Sequence[Place],
    parameters: Mapping[str, Tensor],
) -> None:
    """Every tensor of the file is what was to be written, as far as it was rounded."""
    found = {tensor.name: tensor for tensor in GGUFReader(written).tensors}
    wrong = [name for name in found if name not in {place.move.theirs for place in places}]
    wrong += [p.move.theirs for p in places if not same(p, found.get(p.move.theirs), parameters)]
    if wrong:
        raise InputError(f"{path} was written, but {wrong[0]} differs when it is read; write it again")


def same(place: Place, found: gguf.ReaderTensor | None, parameters: Mapping[str, Tensor]) -> bool:
    """Whether what was read is what was meant."""
    if found is None or found.tensor_type != place.stored or tuple(found.shape[::-1]) != place.shape:
        return False
    read = torch.tensor(gguf.quants.dequantize(found.data, found.tensor_type))
    return near(to_theirs(place.move, parameters), read.reshape(place.shape), place.stored)


def near(mine: Tensor, read: Tensor, stored: Stored) -> bool:
    """The same number once it is rounded."""
    if stored in ROUNDED:
        return bool(mine.to("cpu", torch.float32).to(ROUNDED[stored]).float().equal(read))
    mine = mine.to("cpu", torch.float32)
    return bool((mine - read).abs().max() <= STEPS[stored] * mine.abs().max())
