"""Memory that every step of a training asks for stays with the process between two steps.

The tensors of a step are as large in every step. The C library hands large pieces back to the system as soon as they
are free, and the system then makes them anew, page by page and all zeros: of a small model with 8,000 tokens that is
a fifth of the time (benchmarks/step_costs.py). Batches of many shapes leave holes in what is kept, into which the next
ones do not fit: a run grew from 4 GB to 10. So from time to time all that is free is handed back.
"""

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # as glibc's malloc.h numbers them
KEPT = {TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26, MMAP_THRESHOLD: 2**30}  # bytes
USUAL = {TRIM_THRESHOLD: 2**27, TOP_PAD: 2**17, MMAP_THRESHOLD: 2**25}
KEPT_FOR = 30.0  # seconds; to make the pages of some gigabytes anew takes, by estimate, half of one
LARGEST_THRESHOLD = 2**25  # that every glibc takes


@contextmanager
def kept_memory(device: torch.device) -> Iterator[Callable[[], object]]:
    """Inside, what is freed is kept; a call of what this gives hands it back if it was kept long; afterwards all is.

    Elsewhere than with glibc nothing changes.
    """
    library = glibc() if device.type == "cpu" else None
    if library is None:
        yield lambda: None
        return
    settle(library, KEPT)
    try:
        yield Trim(library)
    finally:
        settle(library, USUAL)
        library.malloc_trim(0)


class Trim:
    """Hands back what is free, where that is some time ago."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library, self.last = library, time.monotonic()

    def __call__(self) -> None:
        """Once a step."""
        if time.monotonic() - self.last > KEPT_FOR:
            self.library.malloc_trim(0)
            self.last = time.monotonic()


def settle(library: ctypes.CDLL, bounds: dict[int, int]) -> None:
    """Tell the library these bounds."""
    for name, value in bounds.items():
        if not library.mallopt(name, value):
            library.mallopt(name, min(value, LARGEST_THRESHOLD))


def glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is the one whose bounds these are."""
    try:
        library = ctypes.CDLL(None)
        _ = library.mallopt, library.malloc_trim, library.gnu_get_libc_version
    except (AttributeError, OSError, TypeError):
        return None
    return library
