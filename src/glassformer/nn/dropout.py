"""Dropout: while a model learns, a share of its numbers is zero. Srivastava et al. 2014."""

import torch
from torch import Tensor, nn
from torch.nn import functional

STEPS = 1 << 16  # shares that a random number of 16 bits can tell apart


def dropped(x: Tensor, share: float) -> Tensor:
    """Each number of x zero with probability `share`, else 1 / (1 - share) as large, so that the mean stays.

    On a processor a number's fate is 16 random bits, and one draw serves four numbers: torch's own draws for
    each, which takes about twice as long; a compiler knows only torch's. The share is rounded to a multiple of 2^-16,
    and what makes up for it to what the kind of number of x can say.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.dropout(x, share)
    zeros = min(round(share * STEPS), STEPS - 1)
    if not zeros:
        return x
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    most = zeros - STEPS // 2  # from here on a number is kept
    kept = draws.view(torch.int16)[: x.numel()].view(x.shape).clamp_(most - 1, most).sub_(most - 1)  # 0 or 1
    return x * kept.to(x.dtype).mul_(STEPS / (STEPS - zeros))


class Dropout(nn.Module):
    """`dropped` while the model learns; nothing else."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the same shape."""
        return dropped(x, self.share) if self.training and self.share else x

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"share={self.share:g}"
