"""Whether what was written gives the model's own numbers: both are asked the same, in several sizes, with padding."""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.export.graphs import BATCH, LENGTH, PAST, SOURCE, TARGET, TOTAL, Graph, Tensors

Runner = Callable[[Tensors], Mapping[str, Tensor]]

SIZES = (  # of a batch, of what is read, of what was read or written before, of what is written now
    (2, 5, 3, 4),
    (1, 1, 0, 1),
    (3, 9, 4, 1),
    (1, 7, 1, 6),
    (4, 3, 0, 2),
)
TOLERANCE = {  # of the largest number of an output
    torch.float64: 1e-10,
    torch.float32: 1e-4,
    torch.float16: 3e-2,
    torch.bfloat16: 1e-1,
}


def sample(graph: Graph, sizes: tuple[int, ...], seed: int) -> Tensors:
    """Random inputs of these sizes, each text but the first padded on one side or the other."""
    limit, (batch, read, past, new) = graph.model.config.max_positions, sizes
    past = min(past, limit - 1)
    read, new = min(read, limit - past), min(new, limit - past)
    lengths = {BATCH: batch, LENGTH: read, SOURCE: read, PAST: past, TARGET: new, TOTAL: past + read}
    chance = torch.Generator().manual_seed(seed)
    made = {}
    for name, given in graph.inputs.items():
        shape = [lengths[axis] if isinstance(axis, str) else axis for axis in given.axes]
        if name.endswith("attention_mask"):
            made[name] = padding(shape, chance)
        elif given.below is not None:
            made[name] = torch.randint(given.below, shape, generator=chance)
        else:
            made[name] = torch.randn(shape, generator=chance).to(graph.dtype)
    return made


def padding(shape: list[int], chance: torch.Generator) -> Tensor:
    """(B, T): 1 at real tokens; rows are padded on the right and on the left in turn."""
    place = torch.arange(shape[1])
    real = torch.randint(1, shape[1] + 1, (shape[0], 1), generator=chance)
    real[0] = shape[1]
    left = (torch.arange(shape[0]) % 2 == 0)[:, None]
    return torch.where(left, place >= shape[1] - real, place < real).long()


def samples(graph: Graph) -> Iterator[Tensors]:
    """Inputs of every size."""
    for seed, sizes in enumerate(SIZES):
        yield sample(graph, sizes, seed)


def compared(graph: Graph, program: str, run: Runner) -> float:
    """How far another program's outputs are from the model's: the largest difference, over all sizes.

    Relative to the largest number of the output, where that is above one; beyond the tolerance the file is refused.
    """
    worst, allowed = 0.0, TOLERANCE[graph.dtype]
    for given in samples(graph):
        found = run(given)
        with torch.inference_mode():
            expected = graph(given)
        for name, value in expected.items():
            worst = max(worst, apart(value, found[name]))
            if worst > allowed:
                sizes = ", ".join(f"{key} {tuple(each.shape)}" for key, each in given.items())
                raise InputError(
                    f"{name} of {graph.name} is off by {worst:.1e} of its largest number when {program} runs it with "
                    f"{sizes}, and {allowed:.0e} is allowed; nothing was written: choose another --dtype or format"
                )
    return worst


def told(difference: float) -> str:
    """A difference as it is reported."""
    return "0" if not difference else f"{difference:.1e} of an output's largest number"


def apart(expected: Tensor, found: Tensor) -> float:
    """The largest difference, relative to the largest number where that is above one.

    Infinite where shapes differ or something is no number.
    """
    if expected.shape != found.shape:
        return math.inf
    if not expected.numel():  # what is kept of a past that is empty
        return 0.0
    first, second = expected.detach().double(), found.detach().double()
    if not (first.isfinite().all() and second.isfinite().all()):
        return math.inf
    return float((first - second).abs().max() / first.abs().max().clamp(min=1.0))
