"""A published checkpoint folder, whole or in parts, in full or in half precision."""

from pathlib import Path

from glassformer import pretrained
from glassformer.adapters import is_adapter
from glassformer.errors import InputError
from glassformer.export.options import Options
from glassformer.model import DTYPES
from glassformer.tasks.model import Model


def write(model: Model, out: Path, options: Options) -> str:
    """Write the folder, open it again, and say how far its numbers are from the model's."""
    dtype = options.dtype or stored_kind(model)
    model.save_pretrained(out, dtype=dtype, shard_size=options.shard_size)
    return checked(model, out, dtype)


def stored_kind(model: Model) -> str | None:
    """What the checkpoint says it is stored in, which may be less than it is computed in."""
    raw, folder = model.checkpoint.raw, model.checkpoint.folder
    if folder is not None and is_adapter(folder):  # its own numbers are finer than what its base says of itself
        return None
    kind = raw.get("dtype") or raw.get("torch_dtype")
    return kind if kind in DTYPES else None


def checked(model: Model, out: Path, dtype: str | None) -> str:
    """Every parameter of the folder is the model's, in the kind of number asked for."""
    again = pretrained.load_transformer(out, dtype=model.config.dtype).transformer
    kind = model.transformer.tokens.weight.dtype if dtype is None else DTYPES[dtype]
    for name, parameter in again.named_parameters():
        mine = model.transformer.get_parameter(name)
        if not mine.to(kind).to(mine.dtype).equal(parameter):
            raise InputError(f"{out} was written, but {name} differs when it is read; write it again")
    files = len(pretrained.weight_files(out))
    form = "one file" if files == 1 else f"{files} files and an index"
    rounded = "rounded to " if kind.itemsize < model.transformer.tokens.weight.itemsize else ""
    return f"{rounded}{str(kind).removeprefix('torch.')} in {form}; read back, every parameter is the same"
