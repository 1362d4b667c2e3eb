"""What training computes in C++ between its products, by the threads that torch does its own work with.

Each kernel is one pass over memory; the same in torch's operations is several, and each of them costs a call as well.
"""

import torch
from torch import Tensor, nn

from glassformer.native.library import native

STORED = {torch.float32: 0, torch.bfloat16: 1}  # as `Stored` in learning.h numbers them
PLAIN = (Tensor, nn.Parameter)  # what other kinds of tensors stand for is not in their memory


def has_kernels(*given: Tensor) -> bool:
    """Whether there is a native library and it can compute with all of these.

    Compilers and torch's transforms of functions (`torch.func`) know only torch's own operations.
    """
    for x in given:
        if type(x) not in PLAIN or x.device.type != "cpu" or x.dtype not in STORED:
            return False
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    return native() is not None


def first_derivative() -> None:
    """On a way back: refuse to be differentiated again, which would leave out what the kernel made of its input."""
    if torch.is_grad_enabled():
        raise RuntimeError("a kernel has no second derivative; compute in float64 to differentiate twice")


def address(x: Tensor) -> int:
    """Where the numbers of a tensor without gaps are."""
    assert x.is_contiguous(), "kernels read one number after the other"
    return x.data_ptr()
