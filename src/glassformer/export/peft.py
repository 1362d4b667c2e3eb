"""An adapter alone, in PEFT's published layout, in full or in half precision: a few megabytes beside its base."""

from pathlib import Path

from glassformer.adapters import ADAPTER, ADAPTER_WEIGHTS, base_of, is_adapter, read_weights, tokenizer_folder
from glassformer.errors import InputError
from glassformer.export.beside import aside
from glassformer.export.options import Options
from glassformer.model import DTYPES
from glassformer.pretrained import CONFIG, read_json, write_json, write_tensors
from glassformer.tasks.model import Model


def write(model: Model, out: Path, options: Options) -> str:
    """Write the folder, read it again, and say what it stands beside."""
    folder = model.checkpoint.folder
    if folder is None or not is_adapter(folder):
        raise InputError(
            "this model is whole, with no adapter to write alone; write it with --to huggingface, or give the folder "
            "of one that learnt by LoRA"
        )
    if options.shard_size is not None:
        raise InputError("an adapter is one file; leave out --shard-size")
    if options.dtype is not None and options.dtype not in DTYPES:
        raise InputError(f"an adapter is not stored in {options.dtype}; expected one of {', '.join(DTYPES)}")
    if any(out.glob("*.safetensors")) and not is_adapter(out):
        raise InputError(f"{out} holds a whole model, beside which an adapter is not seen; give another folder")
    own = tensors = read_weights(folder)
    if options.dtype is not None:
        tensors = {name: each.to(DTYPES[options.dtype]) for name, each in own.items()}
    rounded = "rounded to " if any(each.itemsize < own[name].itemsize for name, each in tensors.items()) else ""
    said = read_json(folder / ADAPTER)
    if str(said.get("base_model_name_or_path")).startswith("."):  # told from this folder: the other lies elsewhere
        said["base_model_name_or_path"] = str(base_of(folder).resolve())
    with aside(out, ()) as partial:
        write_tensors(partial / ADAPTER_WEIGHTS, tensors)
        again = read_weights(partial)
        if again.keys() != tensors.keys() or not all(again[name].equal(each) for name, each in tensors.items()):
            raise InputError(f"{out}: what was written differs when it is read; write it again")
        if tokenizer_folder(folder) == folder:
            model.tokenizer.save(partial)
        if (folder / CONFIG).is_file():
            write_json(partial / CONFIG, read_json(folder / CONFIG))
        write_json(partial / ADAPTER, said)
    kinds = ", ".join(sorted({str(each.dtype).removeprefix("torch.") for each in tensors.values()}))
    size = sum(each.nbytes for each in tensors.values()) / 1e6
    base = said["base_model_name_or_path"]
    return f"{rounded}{kinds}, {size:.1f} MB beside {base}; read back, every number is the same"
