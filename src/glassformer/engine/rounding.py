"""The weights as the engine rounds them, laid back into the model that can be read."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from glassformer.adapters import settle
from glassformer.engine.layout import HEAD_PRECISION, WIDE, from_heads
from glassformer.engine.native import PackedLinear
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.native.library import native
from glassformer.nn.attention import Attention
from glassformer.nn.heads import LanguageHead
from glassformer.quantized import Parted, parted

COLUMNS = 512  # of a weight that are read back at once


def readable(model: Transformer) -> Transformer:
    """A copy whose every linear map has a weight of its own, since the engine leaves the tables of tokens alone.

    Detours of adapters are merged.
    """
    copied = copy.deepcopy(model).eval()
    settle(copied)
    copied.requires_grad_(False)
    if isinstance(copied.head, LanguageHead) and copied.head.output.weight is copied.tokens.weight:
        copied.head.output.weight = nn.Parameter(copied.tokens.weight.detach().clone(), requires_grad=False)
    return copied


def maps(model: Transformer) -> Iterator[tuple[str, nn.Linear]]:
    """Every linear map that the engine packs, by its path: those of the stacks, and of a head that speaks of words.

    Without its native part it packs all.
    """
    if native() is None:
        for path, part in model.named_modules(remove_duplicate=False):
            if isinstance(part, nn.Linear):
                yield path, part
        return
    for stack in (model.encoder, model.decoder):
        if stack is not None:
            for path, part in stack.named_modules(prefix=stack.path, remove_duplicate=False):
                if isinstance(part, nn.Linear):
                    yield path, part
    head = model.head
    if isinstance(head, LanguageHead):
        yield "head.output", head.output
        if head.dense is not None:
            yield "head.dense", head.dense


def rounded_weights(model: Transformer, precision: str) -> dict[str, Tensor]:
    """Each packed map's path and the numbers that the engine multiplies by, in the kind of number of the model."""
    found: dict[str, Tensor] = {}
    made: dict[tuple[int, str], Tensor] = {}  # layers may share their weights
    for path, linear in maps(model):
        own = HEAD_PRECISION.get(precision, precision) if path == "head.output" else precision
        key = linear.weight.data_ptr(), own
        if key not in made:
            parent = model.get_submodule(path.rpartition(".")[0])
            gathers = isinstance(parent, Attention) and linear is parent.output
            made[key] = gathered(parent, own) if gathers else rounded(linear.weight.detach(), own)
        found[path] = made[key].to(linear.weight.dtype)
    return found


def gathered(attention: nn.Module, precision: str) -> Tensor:
    """The map that gathers the heads: the engine pads each to whole vectors, and groups of numbers lie accordingly."""
    assert isinstance(attention, Attention), "no other part gathers heads"
    heads, size = attention.heads, attention.head_size
    weight, _ = from_heads(attention.output, heads, size)
    whole = rounded(weight, precision)
    return whole.view(len(whole), heads, size + -size % WIDE)[..., :size].flatten(1)


def rounded(weight: Tensor, precision: str) -> Tensor:
    """(N, K) as packed and read back: what the map makes of ones, a column each."""
    if precision == "float32":
        return weight.float()
    if precision == "bfloat16":
        return weight.bfloat16().float()
    assert native() is not None, "only the native engine packs whole numbers"
    packed, columns = PackedLinear(weight, None, precision), []
    for start in range(0, weight.shape[1], COLUMNS):
        ones = torch.eye(min(COLUMNS, weight.shape[1] - start))
        rows = functional.pad(ones, (start, weight.shape[1] - start - len(ones)))
        columns.append(packed(rows).T)
    return torch.cat(columns, dim=1)


def parted_weights(model: Transformer, precision: str) -> dict[str, Parted]:
    """Every parameter of a packed map, and every table of tokens, as the whole numbers that the engine packs.

    A table that is also the last map is rounded as that; every other table too, to eight bits a row: the file is to be
    small, while the engine itself looks rows up as they were.
    """
    if native() is None:
        raise InputError(f"{precision} is packed by the native engine, which is not here; store the model in bfloat16")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    for path, linear in maps(model):
        own = HEAD_PRECISION.get(precision, precision) if path == "head.output" else precision
        found[names[id(linear.weight)]] = linear.weight, own
    for table in (model.tokens, model.source_tokens):
        if table is not None:
            found[names[id(table.weight)]] = table.weight, "int8"
    return {name: parted(rounded(weight.detach(), own), own) for name, (weight, own) in found.items()}
