"""Whether the steps of a training are handed to torch's compiler."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from glassformer.training.recipe import TrainingTable

STEPS, MINUTES = 1000, 5  # fewer do not repay the half minute that compiling takes
KINDS = 16  # of layers: encoder's and decoder's, texts with padding and without, the first shapes and all others
CAPABILITY = (7, 0)  # the oldest cards that triton writes for


def is_compiled(training: TrainingTable, device: torch.device, steps: float, minutes: float) -> bool:
    """As the recipe says; `auto`: on a GPU that it can be done for, where so many steps and minutes are left."""
    if training.compile != "auto":
        return training.compile
    return device.type == "cuda" and steps >= STEPS and minutes >= MINUTES and has_compiler(device)


@contextmanager
def compiler(used: bool) -> Iterator[None]:
    """What was compiled inside is let go of afterwards."""
    if not used:
        yield
        return
    try:
        with torch._dynamo.config.patch(recompile_limit=KINDS):
            yield
    finally:
        torch.compiler.reset()


def has_compiler(device: torch.device) -> bool:
    """What torch's compiler needs for a GPU: triton, and a C compiler."""
    named = os.environ.get("CC")
    return (
        torch.cuda.get_device_capability(device) >= CAPABILITY
        and importlib.util.find_spec("triton") is not None
        and any(shutil.which(each) for each in ([named] if named else ["cc", "gcc", "clang"]))
    )
