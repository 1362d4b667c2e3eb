"""Normalisation of the residual stream."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from glassformer.config import TransformerConfig
from glassformer.glass.trace import Trace
from glassformer.nn.part import Part


class LayerNorm(Part):
    """Each row shifted to mean 0 and scaled to variance 1, then stretched and moved. Ba et al. 2016."""

    def __init__(self, size: int, eps: float, axes: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.eps, self.axes = eps, axes

    def forward(self, x: Tensor, trace: Trace | None = None, axes: str | None = None) -> Tensor:
        """(..., C) -> (..., C)."""
        y = functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
        inputs = (x, self.weight, self.bias)
        return self.step("output", axes or self.axes, y, trace, "layer_norm", inputs, eps=self.eps)


class RMSNorm(Part):
    """Each row scaled to a mean square of 1, then stretched. Zhang and Sennrich 2019."""

    def __init__(self, size: int, eps: float, axes: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps, self.axes = eps, axes

    def forward(self, x: Tensor, trace: Trace | None = None, axes: str | None = None) -> Tensor:
        """(..., C) -> (..., C)."""
        y = self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))
        return self.step("output", axes or self.axes, y, trace, "rms_norm", (x, self.weight), eps=self.eps)


class RMSNormFromOne(Part):
    """The same, stretched by one plus what is learned, which starts at nothing. Gemma Team 2024."""

    def __init__(self, size: int, eps: float, axes: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.eps, self.axes = eps, axes

    def forward(self, x: Tensor, trace: Trace | None = None, axes: str | None = None) -> Tensor:
        """(..., C) -> (..., C)."""
        y = (1.0 + self.weight) * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))
        inputs = (x, self.weight)
        return self.step("output", axes or self.axes, y, trace, "rms_norm_from_one", inputs, eps=self.eps)


class NoNorm(Part):
    """Leaves every row as it is: in two dimensions a layer norm would keep only a sign."""

    def __init__(self, size: int, eps: float, axes: str) -> None:
        super().__init__()

    def forward(self, x: Tensor, trace: Trace | None = None, axes: str | None = None) -> Tensor:
        """The same x."""
        return x


NORMS = {"layer": LayerNorm, "rms": RMSNorm, "rms-from-one": RMSNormFromOne, "none": NoNorm}


def make_norm(config: TransformerConfig) -> Part:
    """The norm that the configuration chooses."""
    return NORMS[config.norm](config.d_model, config.norm_eps, "B T C")


def make_table_norm(config: TransformerConfig) -> Part:
    """The same for rows as wide as the tables."""
    axes = "B T C" if config.embedding_size is None else "B T E"
    return NORMS[config.norm](config.embedding_size or config.d_model, config.norm_eps, axes)


def make_head_norm(config: TransformerConfig) -> Part | None:
    """The same for the queries or keys of each head, whose axes vary; None in a model that leaves them as they are."""
    return NORMS[config.norm](config.size_of_head, config.norm_eps, "B H Q D") if config.head_norm else None
