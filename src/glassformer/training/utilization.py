"""How much of the peak a training uses: model FLOP utilization (Chowdhery et al. 2022, appendix B)."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from glassformer.data.batch import Batch

Shape = Sequence[int]
SIZES = {"cpu": 1024, "cuda": 8192}  # of the square matrices whose product shows the peak
TURNS = 5


def attention_operations(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """Of fused attention, B H Q D: queries times keys, and weights times values."""
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


COUNTS = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_operations}  # torch knows the others


class Utilization:
    """Operations in the products of the model's matrices: forward once, backward once for what enters and once for
    the weights that learn. Counted in the first batch, then by how many ids are read.

    What is computed again for less memory is not counted: it is no work of the model.
    """

    def __init__(self, model: nn.Module, precision: str) -> None:
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
        with FlopCounterMode(display=False, custom_mapping=COUNTS) as counter:
            yield
        self.for_each = self.passes * counter.get_total_flops() / max(1, ids(batch))

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
