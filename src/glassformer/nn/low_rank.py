"""LoRA: a linear map that stays, and a narrow detour beside it that learns."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from glassformer.nn.dropout import Dropout


class LowRank(nn.Linear):
    """W x + b + (alpha / rank) B A x, where only A (rank, in) and B (out, rank) learn. Hu et al. 2022, section 4.1.

    It stands in the place of a linear map and keeps its weight and bias under their own names. Merged, the detour is
    added into the weight, and the map is an ordinary one again; what the weight was is kept, to the last bit.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, dropout: float = 0.0) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.rank, self.alpha = rank, alpha
        self.scale = alpha / rank
        self.dropout = Dropout(dropout)
        weight = linear.weight.detach()
        self.lora_A = nn.Parameter(weight.new_empty(rank, linear.in_features))
        self.lora_B = nn.Parameter(weight.new_zeros(linear.out_features, rank))  # at first there is no detour
        nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)
        self.own: Tensor | None = None  # the weight without the detour, while it is merged

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        y = functional.linear(x, self.weight, self.bias)
        if self.own is not None:
            return y
        detour = functional.linear(functional.linear(self.dropout(x), self.lora_A), self.lora_B)
        return y + self.scale * detour

    @torch.no_grad()
    def merge(self) -> None:
        """Add the detour into the weight."""
        if self.own is None:
            self.own = self.weight.detach().clone()
            self.weight.add_(self.scale * (self.lora_B @ self.lora_A))

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take it out again."""
        if self.own is not None:
            self.weight.copy_(self.own)
            self.own = None

    def plain(self) -> nn.Linear:
        """The same map without a detour: what is in the weight now is all there is."""
        linear = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        linear.weight, linear.bias = self.weight, self.bias
        return linear


def low_ranks(model: nn.Module) -> dict[str, LowRank]:
    """Every such map of a model by its path."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LowRank)}


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """The model as one of ordinary linear maps for a while; what was merged before stays so."""
    open_ = [each for each in low_ranks(model).values() if each.own is None]
    for each in open_:
        each.merge()
    try:
        yield
    finally:
        for each in open_:
            each.unmerge()
