"""Checkpoint folders: where a name leads, and folder <-> family <-> model, both ways."""

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.families import family_of
from glassformer.families.family import Family
from glassformer.files import replacing
from glassformer.model import DTYPES, Transformer
from glassformer.quantized import GROUP, SCALE, SHAPE, Parted, from_nibbles, joined
from glassformer.quantized import stored as stored_rounded
from glassformer.shipped import shipped
from glassformer.weights import Move, Shape, moves_in, moves_out, planned, to_ours, to_theirs

CONFIG, WEIGHTS, INDEX, GENERATION = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "generation_config.json",
)
PUBLISHED_FILES = [  # what of a published repository is fetched
    CONFIG,
    GENERATION,
    WEIGHTS,
    INDEX,
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "source.spm",
    "target.spm",
    "target_vocab.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "source_tokenizer/*.json",
    "source_tokenizer/*.txt",
    "shortlist.safetensors",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
]
DRAWS = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)
HELD = 2**27  # bytes of a file that may stay in memory once read: closing the file lets go of them
QUANTIZATION = "quantization"  # of config.json: what its weights were rounded to
STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model, ready to run, and what its folder said of it."""

    transformer: Transformer
    family: str  # model_type
    raw: Mapping[str, Any]  # config.json
    labels: tuple[str, ...] = ()
    generation: Mapping[str, Any] = field(default_factory=dict)  # generation_config.json
    folder: Path | None = None


# ------------------------------------------------------------------ where a name leads


def resolve(name: str | Path) -> Path:
    """The folder of a model: itself, that of one that ships, or one fetched from the hub."""
    if not str(name).strip():
        raise InputError("the model has no name; give a folder, a name that ships, or a name on the hub")
    path = Path(os.path.expanduser(name))  # unlike Path.expanduser, no error where there is no such user
    if os.path.isdir(path):  # unlike Path.is_dir, no error where the name is too long to be a path
        return path
    if os.path.isfile(path):
        raise InputError(f"{name} is a file; give the folder that holds {CONFIG} and {WEIGHTS}")
    within = shipped()
    if str(name) in within:
        return within[str(name)]
    if looks_like_a_path(str(name)):
        raise InputError(f"there is no folder {name}; give a folder that holds {CONFIG} and {WEIGHTS}")
    return fetched(str(name), within)


def looks_like_a_path(name: str) -> bool:
    """Whether a name can only mean a place on this machine: a name on the hub is `name` or `owner/name`."""
    return name.startswith((".", "~", os.sep)) or name.count("/") > 1 or name.endswith("/") or "\\" in name


def fetched(name: str, within: Mapping[str, Path]) -> Path:
    """A published checkpoint, through the hub's own cache."""
    near = difflib.get_close_matches(name, within, n=1, cutoff=0.6)
    hint = (
        f"did you mean {near[0]}?"
        if near
        else "give a folder, a name that ships, or a name on the Hugging Face hub"
    )
    known = f"no folder and no model that ships ({', '.join(within) or 'none do'})"
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=PUBLISHED_FILES))
    except huggingface_hub.errors.HFValidationError as error:
        raise InputError(f"{name!r} is {known}, nor can it be a name on the hub; {hint}") from error
    except huggingface_hub.errors.GatedRepoError as error:
        raise InputError(
            f"{name} asks its readers to accept terms on the hub first; do so, and log in there"
        ) from error
    except huggingface_hub.errors.RepositoryNotFoundError as error:
        raise InputError(f"{name!r} is {known}, and the hub has no such model; {hint}") from error
    except (
        huggingface_hub.errors.HfHubHTTPError,
        huggingface_hub.errors.LocalEntryNotFoundError,
        huggingface_hub.errors.OfflineModeIsEnabled,
        OSError,
    ) as error:
        raise InputError(f"{name!r} is {known}, and the hub cannot be reached; {hint}") from error


# ------------------------------------------------------------------ reading


def load_transformer(folder: str | Path, *, dtype: str | None = None) -> Checkpoint:
    """The model of a checkpoint folder, not training.

    It computes in the kind of number its file stores, 16-bit ones in float32, unless `dtype` says otherwise: what is
    half precision on disk need not be so in every sum.
    """
    folder = Path(folder)
    said = {key: value for key, value in read_json(folder / CONFIG).items() if key != QUANTIZATION}
    family = family_of(said)
    family.config(said)  # what is not computed is refused before a file is opened
    stored = stored_in(folder, family)
    raw = as_stored(said, family, stored)
    config = without_absent(family.config(raw), family, raw, stored)
    config = changed(config, dtype=dtype or stored.computing_dtype())
    transformer = empty(config)
    fill(transformer, stored, family, raw)
    generation = read_json(folder / GENERATION) if (folder / GENERATION).is_file() else {}
    return Checkpoint(
        transformer=transformer.eval(),
        family=family.model_type,
        raw=raw,
        labels=family.labels(raw, config),
        generation=generation,
        folder=folder,
    )


def hint_for(folder: Path) -> str:
    """What to give in place of a folder that is no model's."""
    finished = next((folder / name for name in ("best", "last") if (folder / name / CONFIG).is_file()), None)
    if finished is not None:
        return f"it is the folder of a training; give {finished}"
    return f"a checkpoint folder holds {CONFIG} and {WEIGHTS}, or an adapter"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    if not path.is_file():
        raise InputError(f"{path.parent} has no {path.name}; {hint_for(path.parent)}")
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON ({error}); fetch the file again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}; expected an object: fetch the file again")
    return value


class Stored:
    """The tensors of a checkpoint, in one file or several, read one by one as they are asked for."""

    def __init__(self, homes: Mapping[str, tuple[Path, str]]) -> None:
        self._homes = homes  # name -> the file that holds it, and its name there
        self._open: dict[Path, Any] = {}
        self._read = 0  # bytes, since the files were opened
        slices = {name: self._file(path).get_slice(there) for name, (path, there) in homes.items()}
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
        self.kinds: dict[str, str] = {name: part.get_dtype() for name, part in slices.items()}
        beside = [name for name in homes if name.endswith((SCALE, SHAPE))]
        self.rounded = {name.removesuffix(SCALE) for name in beside if name.endswith(SCALE)}
        shapes |= {
            name.removesuffix(SHAPE): tuple(self._mapped(name).tolist()) for name in beside if name.endswith(SHAPE)
        }
        self.shapes: dict[str, Shape] = {name: shape for name, shape in shapes.items() if name not in beside}

    def tensor(self, name: str) -> Tensor:
        """One tensor, mapped from its file; whole numbers are multiplied by their scales."""
        if name in self.rounded:
            whole = self._mapped(name)
            whole = from_nibbles(whole, self.shapes[name]) if self.kinds[name] == "U8" else whole
            return joined(whole, self._mapped(name + SCALE))
        if self.kinds[name] not in STORED:
            raise InputError(
                f"{name} is stored as {self.kinds[name]}; expected one of {', '.join(STORED)}: "
                "use a checkpoint that is not quantised"
            )
        return self._mapped(name)

    def _mapped(self, name: str) -> Tensor:
        if self._read > HELD:
            self._open.clear()
            self._read = 0
        path, there = self._homes[name]
        tensor: Tensor = self._file(path).get_tensor(there)
        self._read += tensor.nbytes
        return tensor

    def computing_dtype(self) -> str:
        """What the numbers are computed in: float64 if stored so, else float32."""
        return "float64" if "F64" in self.kinds.values() else "float32"

    def _file(self, path: Path) -> Any:
        if path not in self._open:
            self._open[path] = opened(path)
        return self._open[path]


def stored_in(folder: Path, family: Family) -> Stored:
    """The tensors of a folder, under the names that the family gives them now."""
    homes: dict[str, tuple[Path, str]] = {}
    for path in weight_files(folder):
        for there in opened(path).keys():  # noqa: SIM118 (not a mapping)
            name = family.now_called(there)
            if name in homes:
                raise InputError(
                    f"{folder} holds both {homes[name][1]} and {there}, which are one tensor; keep one of them"
                )
            homes[name] = path, there
    return Stored(homes)


def weight_files(folder: Path) -> list[Path]:
    """model.safetensors, or all the parts that its index names."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        parts = read_json(folder / INDEX).get("weight_map")
        if not isinstance(parts, dict) or not parts:
            raise InputError(f"{folder / INDEX} has no weight_map; fetch the file again")
        paths = [folder / name for name in sorted({Path(str(part)).name for part in parts.values()})]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise InputError(
                f"{folder} lacks {', '.join(missing)}, which {INDEX} names; fetch the files again"
            )
        return paths
    pickled = next((path.name for path in sorted(folder.glob("*.bin"))), "pytorch_model.bin")
    raise InputError(
        f"{folder} has no {WEIGHTS}; a pickled {pickled} can run code of its own and is never opened: "
        "save it as safetensors where you trust it"
    )


def opened(path: Path) -> Any:
    """A safetensors file, mapped into memory."""
    try:
        return safetensors.safe_open(path, framework="pt")
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); fetch it again") from error


def as_stored(raw: Mapping[str, Any], family: Family, stored: Stored) -> Mapping[str, Any]:
    """The configuration with the class that the tensors are.

    Readers of sentences are published as the masked language models that they once were, but without that head.
    """
    architectures = family.architectures
    body = next((name for name, each in architectures.items() if each.bare), None)
    if body is None or family.architecture(raw).fields.get("head") != "masked-language-model":
        return raw
    moves = moves_in(stored.shapes, family.names(raw, family.config(raw)))
    headed = any(name.startswith("head.") for move in moves for name in move.ours)
    return raw if headed else {**raw, "architectures": [body]}


def without_absent(
    config: TransformerConfig, family: Family, raw: Mapping[str, Any], stored: Stored
) -> TransformerConfig:
    """Some files leave out a part that is there for those who want it, as a pooler."""
    filled = [name for move in moves_in(stored.shapes, family.names(raw, config)) for name in move.ours]
    absent = {
        field: False
        for field, start in family.architecture(raw).optional.items()
        if not any(name.startswith(start) for name in filled)
    }
    return changed(config, **absent)


def changed(config: TransformerConfig, **fields: Any) -> TransformerConfig:
    """The same configuration but for some fields, whose names and values are only known as text."""
    return TransformerConfig.from_dict({**asdict(config), **fields})


class Undrawn(TorchFunctionMode):
    """While a model is built, its random numbers are left undrawn."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Every function as it is, but for those by which torch.nn starts its own modules."""
        given = dict(kwargs or {})
        if func in DRAWS:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def empty(config: TransformerConfig) -> Transformer:
    """A model without numbers, so that none are drawn only to be thrown away."""
    with torch.device("meta"), Undrawn():
        return Transformer(config)


def fill(transformer: Transformer, stored: Stored, family: Family, raw: Mapping[str, Any]) -> None:
    """Give every parameter its tensor, one after the other.

    They are copied out of the mapped file: memory that lies as torch would lay it gives the same last digit as the
    model that was saved, and a file that changes under a running model changes nothing.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in transformer.named_parameters()}
    rules = family.names(raw, transformer.config)
    used, tied = planned(stored.shapes, shapes, rules, prefixed=not family.architecture(raw).bare)
    places = places_of(transformer)
    dtype = DTYPES[transformer.config.dtype]
    for move in used:
        for name, piece in to_ours(move, stored.tensor(move.theirs)).items():
            parameter = nn.Parameter(torch.empty(piece.shape, dtype=dtype).copy_(piece))
            for module, attribute in places[name]:
                setattr(module, attribute, parameter)
    for move in tied:
        check_tied(move, stored.tensor(move.theirs).to(dtype), transformer)


def places_of(transformer: Transformer) -> dict[str, list[tuple[nn.Module, str]]]:
    """Each parameter's name, and every module and attribute that holds it: a tied one has several."""
    names = {id(parameter): name for name, parameter in transformer.named_parameters()}
    places: dict[str, list[tuple[nn.Module, str]]] = {name: [] for name in names.values()}
    for module in transformer.modules():
        for attribute, parameter in module.named_parameters(recurse=False):
            places[names[id(parameter)]].append((module, attribute))
    return places


def check_tied(move: Move, tensor: Tensor, transformer: Transformer) -> None:
    """A second copy of a tied tensor must be a copy."""
    for name, piece in to_ours(move, tensor).items():
        if not torch.equal(piece, transformer.get_parameter(name)):
            raise InputError(
                f"{move.theirs} differs from what config.json ties it to; "
                "if it is a map of its own, set tie_word_embeddings to false there"
            )


# ------------------------------------------------------------------ writing


def save(
    checkpoint: Checkpoint,
    folder: str | Path,
    *,
    dtype: str | None = None,
    shard_size: int | None = None,
    rounded: Mapping[str, Parted] | None = None,
) -> None:
    """Write a checkpoint as what it came from."""
    save_transformer(
        folder,
        checkpoint.transformer,
        raw=checkpoint.raw,
        labels=checkpoint.labels,
        generation=checkpoint.generation,
        dtype=dtype,
        shard_size=shard_size,
        rounded=rounded,
    )


def save_transformer(
    folder: str | Path,
    transformer: Transformer,
    *,
    raw: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
    generation: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    shard_size: int | None = None,
    rounded: Mapping[str, Parted] | None = None,
) -> None:
    """Write config.json and model.safetensors, each whole or not at all, in the layout of the family that `raw` names.

    Without one it is our own. `dtype` is what the numbers are stored in; a published family's folder opens in
    `transformers`. Weights of more than `shard_size` bytes are written in several files and an index. Parameters in
    `rounded` are stored as whole numbers and their scales, which no other library reads; see quantized.py.
    """
    folder, raw = Path(folder), dict(raw or {"model_type": "transformer"})
    family, config = family_of(raw), transformer.config
    written = family.published(config, raw, labels)
    kind = kind_of(transformer) if dtype is None else dtype
    written |= {key: kind for key in ("dtype", "torch_dtype") if key == "dtype" or key in raw}
    tensors = stored_form(transformer, family, written, kind)
    if rounded:
        tensors = with_rounded(tensors, rounded, transformer, family, written)
        written[QUANTIZATION] = {"precision": min(each.precision for each in rounded.values()), "group": GROUP}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_weights(folder, shards(tensors, shard_size))
        write_json(folder / CONFIG, written)
        if generation:
            write_json(folder / GENERATION, generation)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"the model cannot be written to {folder} ({error}); give a folder that can be"
        ) from error


def kind_of(transformer: Transformer) -> str:
    """The kind of number that the parameters are."""
    return next(name for name, kind in DTYPES.items() if kind == transformer.tokens.weight.dtype)


def stored_form(
    transformer: Transformer, family: Family, raw: Mapping[str, Any], kind: str
) -> dict[str, Tensor]:
    """The parameters under the family's names, as they are stored."""
    if kind not in DTYPES:
        raise InputError(f"dtype is {kind!r}; expected one of {', '.join(DTYPES)}")
    parameters = {name: parameter.detach() for name, parameter in transformer.named_parameters()}
    rules, prefixed = family.names(raw, transformer.config), not family.architecture(raw).bare
    stored = {
        move.theirs: to_theirs(move, parameters)
        .to("cpu", DTYPES[kind])
        .clone(memory_format=torch.contiguous_format)
        for move in moves_out(parameters, rules, prefixed)
    }
    for name, tensor in stored.items():
        if kind == "float16" and not tensor.isfinite().all():
            raise InputError(
                f"{name} has numbers beyond the range of float16; store it in bfloat16 or float32"
            )
    return stored


def with_rounded(
    tensors: Mapping[str, Tensor],
    rounded: Mapping[str, Parted],
    transformer: Transformer,
    family: Family,
    raw: Mapping[str, Any],
) -> dict[str, Tensor]:
    """The same tensors, those that hold rounded parameters alone as whole numbers and their scales."""
    names = [name for name, _ in transformer.named_parameters()]
    rules, prefixed = family.names(raw, transformer.config), not family.architecture(raw).bare
    found = dict(tensors)
    for move in moves_out(names, rules, prefixed):
        pieces = [rounded[name] for name in move.ours if name in rounded]
        if len(pieces) == len(move.ours) and len({piece.precision for piece in pieces}) == 1:
            whole, scale = (
                move.reshape.theirs([getattr(piece, part) for piece in pieces]) for part in ("whole", "scale")
            )
            found |= stored_rounded(move.theirs, whole, scale, pieces[0].precision)
    return found


def shards(tensors: Mapping[str, Tensor], shard_size: int | None) -> list[dict[str, Tensor]]:
    """The tensors in their order, in parts of at most so many bytes; a larger tensor is a part by itself."""
    parts: list[dict[str, Tensor]] = [{}]
    room = shard_size
    for name, tensor in tensors.items():
        if room is not None and shard_size is not None:
            if parts[-1] and tensor.nbytes > room:
                parts.append({})
                room = shard_size
            room -= tensor.nbytes
        parts[-1][name] = tensor
    return parts


def write_weights(folder: Path, parts: Sequence[Mapping[str, Tensor]]) -> None:
    """model.safetensors, or its parts and then their index; what is read last is written last."""
    if len(parts) == 1:
        write_tensors(folder / WEIGHTS, parts[0])
        (folder / INDEX).unlink(missing_ok=True)
        return
    homes: dict[str, str] = {}
    for number, part in enumerate(parts, start=1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        write_tensors(folder / file, part)
        homes |= dict.fromkeys(part, file)
    size = sum(tensor.nbytes for part in parts for tensor in part.values())
    write_json(folder / INDEX, {"metadata": {"total_size": size}, "weight_map": homes})
    (folder / WEIGHTS).unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """One safetensors file, as `transformers` marks its own."""
    with replacing(path) as partial:
        safetensors.torch.save_file(dict(tensors), partial, metadata={"format": "pt"})


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """A JSON file that people can read."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
