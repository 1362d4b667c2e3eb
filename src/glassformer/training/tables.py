"""Tables of which few rows are looked up: gradients of these alone, and steps that read no more than they must."""

import ctypes
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from glassformer.native.library import Adam, Table, loaded
from glassformer.nn.kernels import address, has_kernels

LEAST = 2**21  # numbers of a table: a smaller one costs little as it is


def tables_of(model: nn.Module) -> list[nn.Embedding]:
    """Those that learn in float32 on a processor and do nothing but be looked up; none where there are no kernels."""
    uses = Counter(id(weight) for module in model.modules() for weight in module._parameters.values())
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        and (weight := module.weight).requires_grad
        and weight.dtype == torch.float32
        and weight.numel() >= LEAST
        and uses[id(weight)] == 1  # else its gradient has every row: what is written comes from the same table
        and has_kernels(weight)
    ]


@contextmanager
def by_rows(tables: Sequence[nn.Embedding]) -> Iterator[None]:
    """What is looked up meanwhile has a gradient of the rows that were, as a sparse tensor."""
    for table in tables:
        table.sparse = True
    try:
        yield
    finally:
        for table in tables:
            table.sparse = False


def rows_that_moved(moments: Mapping[str, Tensor]) -> Tensor:
    """A 1 for each row whose moments are not all zero, (rows,) in bytes."""
    found = moments["exp_avg"].any(dim=-1) | moments["exp_avg_sq"].any(dim=-1)
    return found.to(torch.uint8)


def step_table(
    values: Tensor, gradient: Tensor, moments: Mapping[str, Tensor], moved: Tensor, group: Mapping[str, Any]
) -> None:
    """A step of AdamW, in place: what torch's makes of the same gradient with zeros in the other rows.

    Where a row's moments are zero and it has no gradient, nothing happens but that its values decay. `moved` says in
    which rows they are not, and learns of those that have a gradient now.
    """
    (first, second), step = group["betas"], float(moments["step"])
    adam = Adam(
        decay=1.0 - group["lr"] * group["weight_decay"],
        new_mean=1.0 - first,
        old_square=second,
        new_square=1.0 - second,
        root_left=math.sqrt(1.0 - second**step),
        eps=group["eps"],
        rate=group["lr"] / (1.0 - first**step),
    )
    gradient = gradient.coalesce()
    ids, rows = gradient.indices()[0].contiguous(), gradient.values().contiguous()
    table = Table(
        *values.shape,
        len(ids),
        *map(address, (ids, rows, values, moments["exp_avg"], moments["exp_avg_sq"], moved)),
    )
    loaded().learn_step_table(ctypes.byref(adam), ctypes.byref(table), torch.get_num_threads())
