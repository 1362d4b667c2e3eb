"""Whether the steps of a training are handed to torch's compiler."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from glassformer.nn.compiled import has_triton
from glassformer.training.recipe import TrainingTable

STEPS, MINUTES = 1000, 5  # fewer do not repay the half minute that compiling takes
KINDS = 64  # of layers: encoder's and decoder's, with padding and without, masks of every alignment


def is_compiled(training: TrainingTable, device: torch.device, steps: float, minutes: float) -> bool:
    """As the recipe says; `auto`: on a GPU that it can be done for, where so many steps and minutes are left."""
    if training.compile != "auto":
        return training.compile
    return steps >= STEPS and minutes >= MINUTES and has_triton(device)


@contextmanager
def compiler(used: bool) -> Iterator[None]:
    """What was compiled in this process is let go of afterwards."""
    if not used:
        yield
        return
    try:
        with torch._dynamo.config.patch(cache_size_limit=KINDS):
            yield
    finally:
        torch.compiler.reset()


@contextmanager
def attention_without_plans() -> Iterator[None]:
    """On a GPU not by cuDNN, which makes a plan for every new shape: batches of texts have hundreds."""
    before = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
