"""LoRA adapters: put beside a model's maps, saved in PEFT's published layout, read back, merged.

An adapter folder holds adapter_config.json and adapter_model.safetensors, as `peft` reads and writes them, and the
config.json of the whole model, which says what its labels mean.
"""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from glassformer.errors import InputError
from glassformer.families import FAMILIES
from glassformer.families.family import LABEL_HEADS
from glassformer.model import Transformer
from glassformer.nn.low_rank import LowRank, low_ranks
from glassformer.pretrained import (
    CONFIG,
    Checkpoint,
    Undrawn,
    load_transformer,
    read_json,
    resolve,
    write_json,
    write_tensors,
)
from glassformer.surgery import head_drawn, shares_of, with_head
from glassformer.weights import TRANSPOSED, TRANSPOSED_THIRDS, Move, Rule, moves_out, to_ours, to_theirs

ADAPTER, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ROOT = "base_model.model."  # what PEFT puts before every name
TASK_TYPES = {  # PEFT's word -> our head
    "SEQ_CLS": "sequence-label",
    "TOKEN_CLS": "token-label",
    "QUESTION_ANS": "answer-span",
    "CAUSAL_LM": "language-model",
    "SEQ_2_SEQ_LM": "language-model",
    "FEATURE_EXTRACTION": "hidden",
}
PLAIN = {"peft_type": "LORA", "use_dora": False, "bias": "none", "lora_bias": False}  # all else is refused


# ------------------------------------------------------------------ beside the maps


def adapt(
    transformer: Transformer, targets: Sequence[str], *, rank: int, alpha: float, dropout: float = 0.0
) -> list[str]:
    """Give every linear map whose path meets a pattern its narrow detour; everything but them stops learning."""
    paths = [
        path
        for path, module in transformer.named_modules()
        if isinstance(module, nn.Linear) and any(fnmatchcase(path, pattern) for pattern in targets)
    ]
    if not paths:
        raise InputError(
            f"no linear map of this model is called {' or '.join(targets)}; such a pattern is '*attention.query'"
        )
    transformer.requires_grad_(False)
    for path in paths:
        put(transformer, path, LowRank(linear_at(transformer, path), rank, alpha, dropout))
    return paths


def linear_at(transformer: Transformer, path: str) -> nn.Linear:
    """The linear map of this path."""
    module = transformer.get_submodule(path)
    assert isinstance(module, nn.Linear), f"{path} is no linear map"
    return module


def put(transformer: Transformer, path: str, linear: nn.Linear) -> None:
    """Another linear map in the place of one."""
    parent, _, name = path.rpartition(".")
    setattr(transformer.get_submodule(parent), name, linear.train(transformer.training))


def settle(transformer: Transformer) -> None:
    """Merge every adapter for good: the model is one of ordinary linear maps again."""
    for path, each in low_ranks(transformer).items():
        each.merge()
        put(transformer, path, each.plain())
    transformer.requires_grad_(True)


# ------------------------------------------------------------------ writing


@dataclass(frozen=True)
class Stored:
    """A detour as PEFT stores it beside one matrix: scale x B A is added to it."""

    down: Tensor  # A: rank, inputs
    up: Tensor  # B: outputs, rank
    scale: float

    @property
    def rank(self) -> int:
        """How narrow it is."""
        return len(self.down)

    def over(self, under: "Stored") -> "Stored":
        """Both as one: A under A, and B beside B."""
        down, up = under.down.to(self.down.dtype), under.up.to(self.up.dtype) * (under.scale / self.scale)
        return Stored(torch.cat([down, self.down]), torch.cat([up, self.up], dim=1), self.scale)

    def times(self, share: float) -> "Stored":
        """So much of it, at a scale of 1."""
        return Stored(self.down.double(), self.up.double() * (share * self.scale), 1.0)

    def narrowed(self, rank: int) -> "Stored":
        """The detour of this rank that is nearest to it (Eckart and Young 1936); where it is no wider, itself."""
        if self.rank <= rank:
            return self
        outer, up = torch.linalg.qr(self.up.double())
        inner, down = torch.linalg.qr(self.down.double().mT)
        left, sizes, right = torch.linalg.svd(up @ down.mT)
        half = sizes[:rank].sqrt()
        return Stored(half[:, None] * (right[:rank] @ inner.mT), outer @ left[:, :rank] * half, self.scale)


def save_adapter(checkpoint: Checkpoint, folder: str | Path, base: str) -> None:
    """Write what was learnt beside the model named `base`: its detours, and the parameters that learnt whole.

    Where that is an adapter itself, both are written as one, beside the model that it stands beside.
    """
    folder, transformer = Path(folder), checkpoint.transformer
    family, config = FAMILIES[checkpoint.family], transformer.config
    detours = low_ranks(transformer)
    if not detours:
        raise InputError("this model has no adapter; train one with [tuning] method = 'lora'")
    written = family.published(config, checkpoint.raw, checkpoint.labels)
    rules, prefixed = family.names(written, config), not family.architecture(written).bare
    stored: dict[str, Stored] = {}  # by PEFT's module
    beside = weight_moves(detours, transformer, rules, prefixed)
    for move in beside:
        own = [detours[name.removesuffix(".weight")] for name in move.ours]
        stored[move.theirs.removesuffix(".weight")] = Stored(*joined(own), own[0].scale)
    whole = whole_parameters(transformer)
    moves = [move for move in moves_out(whole, rules, prefixed) if move.role == "main"]
    learnt = {move.theirs: to_theirs(move, whole) for move in moves}
    if is_adapter(under := resolve(base)):
        base, below, others = taken_apart(under)
        stored = {**below, **{name: each.over(below[name]) if name in below else each for name, each in stored.items()}}
        body = [name for name, _ in transformer.named_parameters() if not name.startswith("head.")]
        kept = {move.theirs for move in moves_out(body, rules, prefixed)}
        learnt = {**{name: each for name, each in others.items() if name in kept}, **learnt}
    tensors = named_by_peft(learnt, stored)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(
        folder / ADAPTER_WEIGHTS, {name: each.detach().contiguous().clone() for name, each in tensors.items()}
    )
    write_json(folder / CONFIG, written)
    saved = sorted({name.rpartition(".")[0] for name in learnt})
    said = said_of(config.head, config.stack, base, stored, saved)
    said["lora_dropout"] = next(iter(detours.values())).dropout.share
    said["fan_in_fan_out"] = any(move.reshape in (TRANSPOSED, TRANSPOSED_THIRDS) for move in beside)
    write_json(folder / ADAPTER, said)


def named_by_peft(learnt: Mapping[str, Tensor], stored: Mapping[str, Stored]) -> dict[str, Tensor]:
    """What learnt whole, and both matrices of each detour, under the names of adapter_model.safetensors."""
    tensors = {f"{ROOT}{name}": each for name, each in learnt.items()}
    for module, each in stored.items():
        tensors |= {f"{ROOT}{module}.lora_A.weight": each.down, f"{ROOT}{module}.lora_B.weight": each.up}
    return tensors


def taken_apart(folder: Path) -> tuple[str, dict[str, Stored], dict[str, Tensor]]:
    """An adapter's folder: the name of its base, its detours by PEFT's module, and what it learnt whole."""
    said = read_json(folder / ADAPTER)
    name = str(said.get("base_model_name_or_path"))
    tensors = {each.removeprefix(ROOT): tensor for each, tensor in read_weights(folder).items()}
    stored, whole = {}, {}
    for each, tensor in tensors.items():
        module, _, part = each.removesuffix(".weight").rpartition(".")
        if part == "lora_A":
            up, rank = tensors[f"{module}.lora_B.weight"], len(tensor)
            stored[module] = Stored(tensor, up, alpha_of(said, module, rank) / rank)
        elif part != "lora_B":
            whole[each] = tensor
    return str(base_of(folder)) if name.startswith(".") else name, stored, whole


def weight_moves(
    detours: Mapping[str, LowRank], transformer: Transformer, rules: Sequence[Rule], prefixed: bool
) -> list[Move]:
    """The stored matrices beside which the detours stand."""
    names = [name for name, _ in transformer.named_parameters() if ".lora_" not in name]
    moves = moves_out(names, rules, prefixed)
    mine = [
        move
        for move in moves
        if move.role == "main" and any(name.removesuffix(".weight") in detours for name in move.ours)
    ]
    for move in mine:
        lacking = [name for name in move.ours if name.removesuffix(".weight") not in detours]
        if lacking:
            raise InputError(
                f"{move.theirs} holds {', '.join(move.ours)} in one, and {lacking[0]} has no adapter; "
                "add it to [tuning] targets, so that other programs can read the adapter"
            )
    return mine


def joined(own: Sequence[LowRank]) -> tuple[Tensor, Tensor]:
    """The detours of the maps that one stored matrix holds as one detour: A over A, and B beside B in blocks."""
    if len(own) == 1:
        return own[0].lora_A, own[0].lora_B
    blocks: Tensor = torch.block_diag(*(each.lora_B for each in own))  # type: ignore[no-untyped-call]
    return torch.cat([each.lora_A for each in own]), blocks


def whole_parameters(transformer: Transformer) -> dict[str, Tensor]:
    """The parameters that learnt without a detour: the head's, mostly."""
    return {
        name: parameter.detach()
        for name, parameter in transformer.named_parameters()
        if parameter.requires_grad and ".lora_" not in name
    }


def said_of(
    head: str, stack: str, base: str, stored: Mapping[str, Stored], saved: Sequence[str]
) -> dict[str, Any]:
    """adapter_config.json."""
    types = {ours: word for word, ours in reversed(TASK_TYPES.items())}
    word = "SEQ_2_SEQ_LM" if stack == "encoder-decoder" and head == "language-model" else types.get(head)
    return {
        "peft_type": "LORA",
        "task_type": word,
        "base_model_name_or_path": base,
        **widths_of(stored),
        "modules_to_save": list(saved) or None,
        "bias": "none",
        "inference_mode": True,
    }


def widths_of(stored: Mapping[str, Stored]) -> dict[str, Any]:
    """What adapter_config.json says of ranks; a matrix of several maps has one, and an alpha, as many times larger."""
    first = next(iter(stored.values()))
    alphas = {module: each.scale * each.rank for module, each in stored.items()}
    alpha = first.scale * first.rank
    return {
        "r": first.rank,
        "lora_alpha": alpha,
        "target_modules": list(stored),
        "rank_pattern": {module: each.rank for module, each in stored.items() if each.rank != first.rank},
        "alpha_pattern": {module: each for module, each in alphas.items() if each != alpha},
    }


# ------------------------------------------------------------------ the mean of several


def save_mean(
    folders: Sequence[Path], folder: Path, shares: Sequence[float] | None = None, rank: int | None = None
) -> None:
    """Write the weighted mean of adapters beside one model as an adapter beside it; without shares all count alike.

    The mean is that of what they add to the model's matrices, not of A and of B. So it is as wide as all of them
    together; with `rank` the nearest one of that width is written. What learnt whole, such as a head, has its own mean.
    """
    parts = [taken_apart(each) for each in folders]
    counted = shares_of(len(parts), shares)
    if len({resolve(base) for base, _, _ in parts}) > 1:
        raise InputError("these adapters stand beside different models; average those of one")
    stored: dict[str, Stored] = {}
    for share, (_, detours, _) in zip(counted, parts, strict=True):
        for name, each in detours.items():
            part = each.times(share)
            stored[name] = part.over(stored[name]) if name in stored else part
    if rank is not None:
        stored = {name: each.narrowed(rank) for name, each in stored.items()}
    kind = next(iter(read_weights(folders[0]).values())).dtype
    tensors = named_by_peft(mean_of_whole([whole for _, _, whole in parts], counted), stored)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folders[0].iterdir()):
        if path.suffix != ".md" and path.name not in (ADAPTER, ADAPTER_WEIGHTS) and path.is_file():
            shutil.copyfile(path, folder / path.name)
    write_tensors(folder / ADAPTER_WEIGHTS, {name: each.to(kind).contiguous() for name, each in tensors.items()})
    said = read_json(folders[0] / ADAPTER) | {"base_model_name_or_path": parts[0][0], "use_rslora": False}
    write_json(folder / ADAPTER, said | widths_of(stored))


def mean_of_whole(parts: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """The mean of the parameters that adapters learnt whole, which all of them have."""
    shapes = [{name: each.shape for name, each in part.items()} for part in parts]
    if any(each != shapes[0] for each in shapes):
        raise InputError("these adapters have not learnt the same head; average those of one task")
    return {
        name: torch.stack([share * part[name].double() for share, part in zip(shares, parts, strict=True)]).sum(0)
        for name in parts[0]
    }


# ------------------------------------------------------------------ reading


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds an adapter and not a whole model."""
    return (Path(folder) / ADAPTER).is_file() and not (Path(folder) / "model.safetensors").is_file()


def load_whole(folder: str | Path, *, dtype: str | None = None) -> Checkpoint:
    """The model of a folder; an adapter is merged into its base, and the model is one of ordinary maps."""
    if not is_adapter(folder):
        return load_transformer(folder, dtype=dtype)
    checkpoint = load_adapter(folder, dtype=dtype)
    settle(checkpoint.transformer)
    return checkpoint


def tokenizer_folder(folder: Path) -> Path:
    """Where the tokenizer lies: an adapter mostly leaves it to its base."""
    has_own = any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt", "vocab.json"))
    return base_of(folder) if is_adapter(folder) and not has_own else folder


def base_of(folder: str | Path) -> Path:
    """The folder of the model that an adapter stands beside."""
    name = read_json(Path(folder) / ADAPTER).get("base_model_name_or_path")
    if not isinstance(name, str):
        raise InputError(
            f"{Path(folder) / ADAPTER} names no base_model_name_or_path; add the model it belongs to"
        )
    beside = Path(folder) / name
    return beside if name.startswith(".") and beside.is_dir() else resolve(name)


def load_adapter(folder: str | Path, *, dtype: str | None = None) -> Checkpoint:
    """The base model under the adapter's head, its detours put in and not merged; `settle` merges them for good."""
    folder = Path(folder)
    said = read_json(folder / ADAPTER)
    for key, value in PLAIN.items():
        if said.get(key, value) != value:
            raise InputError(
                f"{folder / ADAPTER} says {key} is {said[key]!r}; only {value!r} is computed here"
            )
    base = load_transformer(base_of(folder), dtype=dtype)
    tensors = {name.removeprefix(ROOT): each for name, each in read_weights(folder).items()}
    checkpoint = headed(base, folder, said, tensors)
    transformer = checkpoint.transformer
    family = FAMILIES[checkpoint.family]
    rules = family.names(checkpoint.raw, transformer.config)
    prefixed = not family.architecture(checkpoint.raw).bare
    names = [name for name, _ in transformer.named_parameters()]
    moves = {move.theirs: move for move in moves_out(names, rules, prefixed)}
    transformer.requires_grad_(False)
    for name, tensor in tensors.items():
        module, _, part = name.removesuffix(".weight").rpartition(".")
        if part == "lora_A":
            beside = tensors.get(f"{module}.lora_B.weight")
            put_in(transformer, known(moves, f"{module}.weight", folder), module, tensor, beside, said)
        elif part not in ("lora_B",):
            replace_whole(transformer, known(moves, name, folder), tensor)
    return replace(checkpoint, transformer=transformer.eval(), folder=folder)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """adapter_model.safetensors."""
    path = folder / ADAPTER_WEIGHTS
    if not path.is_file():
        raise InputError(
            f"{folder} has no {ADAPTER_WEIGHTS}; a pickled adapter can run code of its own and is never opened: "
            "save it as safetensors where you trust it"
        )
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); fetch it again") from error


def headed(
    base: Checkpoint, folder: Path, said: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Checkpoint:
    """The base under the head that the adapter was learnt with."""
    if (folder / CONFIG).is_file():
        raw = read_json(folder / CONFIG)
        family = FAMILIES[base.family]
        config = family.config(raw)
        checkpoint, _ = with_head(base, config.head, family.labels(raw, config), build=head_drawn)
        return replace(checkpoint, raw={**raw, "architectures": checkpoint.raw.get("architectures")})
    head = TASK_TYPES.get(str(said.get("task_type")), base.transformer.config.head)
    count = next((len(each) for name, each in tensors.items() if name.endswith(LAST_MAPS)), 0)
    labels = [f"LABEL_{number}" for number in range(count)] if head in LABEL_HEADS else []
    return with_head(base, head, labels, build=head_drawn)[0]


LAST_MAPS = ("classifier.weight", "classifier.out_proj.weight", "score.weight")


def known(moves: Mapping[str, Move], name: str, folder: Path) -> Move:
    """Where a tensor that PEFT names belongs here."""
    if name not in moves:
        raise InputError(
            f"the adapter in {folder} changes {name}, which its base model does not have; give the base it belongs to"
        )
    return moves[name]


def put_in(
    transformer: Transformer,
    move: Move,
    module: str,
    down: Tensor,
    up: Tensor | None,
    said: Mapping[str, Any],
) -> None:
    """One detour of PEFT's as ours: beside a matrix that holds several maps, each gets its rows of B."""
    if up is None or down.shape[0] != up.shape[1]:
        raise InputError(f"the adapter's lora_A and lora_B of {module} do not fit together; save it again")
    rank = down.shape[0]
    alpha = alpha_of(said, module, rank)
    for name, (rows, inputs) in zip(move.ours, pieces(up, down, len(move.ours)), strict=True):
        path = name.removesuffix(".weight")
        with Undrawn():
            detour = LowRank(linear_at(transformer, path), len(inputs), alpha * len(inputs) / rank)
        with torch.no_grad():
            detour.lora_A.copy_(inputs)
            detour.lora_B.copy_(rows)
        put(transformer, path, detour)


def pieces(up: Tensor, down: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """B and A of each of `count` maps; where B is in blocks, as we write it, only the rows of A that it meets."""
    rank = up.shape[1]
    for number, rows in enumerate(up.chunk(count)):
        own = slice(number * rank // count, (number + 1) * rank // count)
        if count > 1 and rank % count == 0 and rows.count_nonzero() == rows[:, own].count_nonzero():
            yield rows[:, own], down[own]
        else:
            yield rows, down


def alpha_of(said: Mapping[str, Any], module: str, rank: int) -> float:
    """What PEFT's settings make of a detour's scale, times its rank."""
    alpha = pattern_of(said.get("alpha_pattern"), module, said.get("lora_alpha", rank))
    return alpha * math.sqrt(rank) if said.get("use_rslora") else alpha


def pattern_of(patterns: Mapping[str, Any] | None, module: str, default: float) -> float:
    """PEFT's own number for a module: its path's end is its name there."""
    for name, value in (patterns or {}).items():
        if module == name or module.endswith(f".{name}"):
            return float(value)
    return float(default)


def replace_whole(transformer: Transformer, move: Move, tensor: Tensor) -> None:
    """A parameter that learnt whole."""
    for name, piece in to_ours(move, tensor).items():
        parameter = transformer.get_parameter(name)
        if parameter.shape != piece.shape:
            raise InputError(
                f"{move.theirs} is {list(tensor.shape)} in the adapter, but its base model calls for "
                f"{list(parameter.shape)}; give the base it belongs to"
            )
        with torch.no_grad():
            parameter.copy_(piece)
        parameter.requires_grad_(True)
