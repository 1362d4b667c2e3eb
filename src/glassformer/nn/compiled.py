"""Work handed to torch's compiler: on a GPU many small steps become few, and memory is read less often.

Ansel et al. 2024.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

BACKEND = "inductor"
CAPABILITY = (7, 0)  # the oldest cards that Triton writes for


@cache
def compiled(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, translated when it is first called, and again for shapes that it has not met."""
    return torch.compile(work, backend=BACKEND)


def has_triton(device: torch.device) -> bool:
    """Whether kernels can be compiled for this GPU: by Triton, which asks a C compiler for a few lines of its own."""
    named = os.environ.get("CC")
    return (
        device.type == "cuda"
        and importlib.util.find_spec("triton") is not None
        and any(map(shutil.which, [named] if named else ["cc", "gcc", "clang"]))
        and torch.cuda.get_device_capability(device) >= CAPABILITY
    )
