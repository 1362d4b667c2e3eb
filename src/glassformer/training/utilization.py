"""How much of the peak a training uses: model FLOP utilization (Chowdhery et al. 2022, appendix B)."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from glassformer.data.batch import Batch
from glassformer.nn.attention import Attention
from glassformer.nn.low_rank import LowRank

SIZES = {"cpu": 1024, "cuda": 8192}  # of the square matrices whose product shows the peak
TURNS = 5


class Products:
    """Operations in the products of a model's parts while they run: of linear maps and of attention."""

    def __init__(self) -> None:
        self.operations = 0

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[None]:
        """Inside, what the model's parts compute is counted."""
        hooks = [
            each.register_forward_hook(
                self.add_attention if isinstance(each, Attention) else self.add_linear, with_kwargs=True
            )
            for each in model.modules()
            if isinstance(each, Attention | nn.Linear)
        ]
        COUNTING.append(self)
        try:
            yield
        finally:
            COUNTING.remove(self)
            for hook in hooks:
                hook.remove()

    def add_product(self, part: nn.Linear, rows: int) -> None:
        """Of so many rows that come out, with what enters."""
        self.operations += 2 * rows * part.in_features * part.out_features

    def add_linear(self, part: nn.Linear, _: Any, __: Any, output: Tensor) -> None:
        """A map's own product; and the detour beside the map, if it is taken."""
        rows = output.numel() // part.out_features
        self.add_product(part, rows)
        if isinstance(part, LowRank) and part.own is None:
            self.operations += 2 * rows * part.rank * (part.in_features + part.out_features)

    def add_attention(self, part: Attention, given: Sequence[Tensor], named: Mapping[str, Any], _: Any) -> None:
        """Queries times keys, and weights times values."""
        x, memory = given[0], named.get("memory")
        source = x if memory is None else memory
        self.operations += 4 * x.shape[0] * x.shape[1] * source.shape[1] * part.heads * part.head_size


COUNTING: list[Products] = []  # who counts now


def count_product(part: nn.Linear, rows: int) -> None:
    """Of a map whose product is made elsewhere than in itself, where no hook sees it."""
    for each in COUNTING:
        each.add_product(part, rows)


class Utilization:
    """Operations in the products of the model's matrices: forward once, backward once for what enters and once for
    the weights that learn. Counted in the first batch, then by how many ids are read.

    What is computed again for less memory is not counted: it is no work of the model.
    """

    def __init__(self, model: nn.Module, precision: str) -> None:
        self.model = model
        matrices = [each for each in model.parameters() if each.ndim >= 2]
        self.device, self.precision = matrices[0].device, precision
        learning = sum(each.numel() for each in matrices if each.requires_grad)
        self.passes = 2 + learning / sum(each.numel() for each in matrices)
        self.for_each: float | None = None  # operations for each id

    @contextmanager
    def counted(self, batch: Batch) -> Iterator[None]:
        """Around the forward run of a batch."""
        if self.for_each is not None:
            yield
            return
        peak(self.device, self.precision, torch.get_num_threads())  # now, while memory is free
        products = Products()
        with products.of(self.model):
            yield
        self.for_each = self.passes * products.operations / max(1, ids(batch))

    def share(self, read: int, seconds: float) -> float | None:
        """Of the peak, for so many ids read in so many seconds; None before a batch was counted."""
        if self.for_each is None or not read or seconds <= 0:
            return None
        return self.for_each * read / seconds / peak(self.device, self.precision, torch.get_num_threads())


def ids(batch: Batch) -> int:
    """Places of a batch, padding included: that is computed too."""
    return sum(tensor.numel() for tensor in (batch.source, batch.target) if tensor is not None)


@cache
def peak(device: torch.device, precision: str, threads: int) -> float:
    """Operations a second that a product of two large square matrices reaches here, the best of a few."""
    size = SIZES.get(device.type, SIZES["cpu"])
    waves = torch.arange(size * size, dtype=torch.float32, device=device).sin_()  # equal numbers are quicker on a GPU
    matrix = waves.view(size, size).to(getattr(torch, precision))

    def multiply() -> None:
        matrix @ matrix

    return 2 * size**3 / min(seconds(multiply, device) for _ in range(TURNS))


def seconds(work: Callable[[], None], device: torch.device) -> float:
    """How long the work takes."""
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun
