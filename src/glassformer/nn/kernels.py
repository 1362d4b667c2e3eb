"""What training computes in C++ between its products, by the threads that torch does its own work with.

Each kernel is one pass over memory; the same in torch's operations is several, and each of them costs a call as well.
"""

import torch
from torch import Tensor, nn

from glassformer.native.library import native

STORED = {torch.float32: 0, torch.bfloat16: 1}  # as `Stored` in learning.h numbers them
PLAIN = (Tensor, nn.Parameter)  # what other kinds of tensors stand for is not in their memory


def has_kernels(*given: Tensor) -> bool:
    """Whether there is a native library and it can compute with all of these; a compiler knows only torch's own."""
    for x in given:
        if type(x) not in PLAIN or x.device.type != "cpu" or x.dtype not in STORED:
            return False
    return not torch.compiler.is_compiling() and native() is not None


def address(x: Tensor) -> int:
    """Where the numbers of a tensor without gaps are."""
    assert x.is_contiguous(), "kernels read one number after the other"
    return x.data_ptr()
