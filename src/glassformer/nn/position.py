"""Where a token stands: waves, turns and distances."""

import math

import torch
from torch import Tensor, nn

from glassformer.config import TransformerConfig
from glassformer.glass.trace import Trace
from glassformer.nn.part import Part


def angles(position_ids: Tensor, size: int, base: float) -> Tensor:
    """(...,) -> (..., size / 2): each position times a falling rate, in float64."""
    rates = base ** (-torch.arange(0, size, 2, dtype=torch.float64, device=position_ids.device) / size)
    return position_ids.unsqueeze(-1) * rates


def interleaved_waves(position_ids: Tensor, d_model: int) -> Tensor:
    """Sine and cosine in turn. Vaswani et al. 2017, section 3.5."""
    angle = angles(position_ids, d_model, 10_000.0)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def halved_waves(position_ids: Tensor, d_model: int) -> Tensor:
    """All sines, then all cosines: the order of Marian (Junczys-Dowmunt et al. 2018)."""
    angle = angles(position_ids, d_model, 10_000.0)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def inclusive_waves(position_ids: Tensor, d_model: int) -> Tensor:
    """All sines, then all cosines, the slowest exactly 10000 times slower than the first: fairseq (Ott et al. 2019)."""
    last = d_model // 2 - 1
    rates = 10_000.0 ** (-torch.arange(last + 1, dtype=torch.float64, device=position_ids.device) / last)
    angle = position_ids.unsqueeze(-1) * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


WAVES = {  # positions -> their formula and how they are computed
    "sinusoidal": ("sinusoidal", interleaved_waves),
    "sinusoidal-halves": ("sinusoidal_halves", halved_waves),
    "sinusoidal-halves-inclusive": ("sinusoidal_inclusive", inclusive_waves),
}


class Waves(Part):
    """Positions as sine and cosine waves: computed, not learned."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.d_model, self.offset = config.d_model, config.position_offset
        self.formula, self.waves = WAVES[config.positions]
        self.constants = {"d_model": self.d_model}
        if config.positions == "sinusoidal-halves-inclusive":
            self.constants = {"last": self.d_model // 2 - 1, "offset": self.offset}

    def forward(self, position_ids: Tensor, like: Tensor) -> Tensor:
        """(B, T) -> (B, T, C), in the kind of number of `like`."""
        return self.waves(position_ids + self.offset, self.d_model).to(like.dtype)


class Rotary(nn.Module):
    """Each pair of numbers, one of either half, turned by an angle that grows with the position.

    Su et al. 2021; a part of each head alone: Wang and Komatsuzaki 2021. Turns slowed to read longer texts: all alike,
    Chen et al. 2023; only the slow ones, Grattafiori et al. 2024, section 3.2.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.size, self.base = config.rotary_size or config.size_of_head, config.rotary_base
        self.stretch, self.length = config.rotary_stretch, config.rotary_stretch_length
        self.low, self.high = config.rotary_stretch_low, config.rotary_stretch_high
        self.formula = "turned"
        self.constants: dict[str, float | None] = {"base": self.base}
        if self.stretch != 1.0:
            stretched = {"stretch": self.stretch, "length": self.length, "low": self.low, "high": self.high}
            self.formula, self.constants = "turned_slowly", {**self.constants, "size": self.size, **stretched}
        elif self.size != config.size_of_head:
            self.formula, self.constants = "turned_in_part", {**self.constants, "size": self.size}

    def speeds(self, device: torch.device) -> Tensor:
        """(size / 2,): what is left of the speed of each turn."""
        kept = torch.zeros(self.size // 2, dtype=torch.float64, device=device)
        if self.length is not None:
            turns = angles(torch.full((), self.length, device=device), self.size, self.base) / (2 * math.pi)
            kept = ((turns - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
        return kept + (1.0 - kept) / self.stretch

    def forward(self, x: Tensor, position_ids: Tensor) -> Tensor:
        """(B, H, T, D), (B, T) -> (B, H, T, D)."""
        angle = angles(position_ids, self.size, self.base)[:, None]
        if self.stretch != 1.0:
            angle = angle * self.speeds(angle.device)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        left, right = x[..., : self.size].chunk(2, dim=-1)
        turned = torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)
        return turned if self.size == x.shape[-1] else torch.cat([turned, x[..., self.size :]], dim=-1)


class RelativeBias(Part):
    """One learned number per head for each bucket of distance, added to the scores of every layer.

    Raffel et al. 2020, section 2.1.
    """

    def __init__(self, config: TransformerConfig, both_ways: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(config.relative_buckets, config.heads)
        self.both_ways, self.distance = both_ways, config.relative_distance

    def buckets(self, distance: Tensor) -> Tensor:
        """Near distances have a bucket each, far ones share wider and wider ones."""
        count = self.table.num_embeddings
        first = torch.zeros_like(distance)
        if self.both_ways:
            count //= 2
            first = (distance > 0).long() * count
            distance = distance.abs()
        else:
            distance = (-distance).clamp(min=0)
        near = count // 2
        ratio = torch.log(distance.clamp(min=1).float() / near) / math.log(self.distance / near)
        spread = (near + (ratio * (count - near)).long()).clamp(max=count - 1)
        return first + torch.where(distance < near, distance, spread)

    def forward(self, queries: Tensor, keys: Tensor, trace: Trace | None = None) -> Tensor:
        """Position ids (B, Q) and (B, K) -> (B, H, Q, K)."""
        bias = self.table(self.buckets(keys[:, None, :] - queries[:, :, None])).permute(0, 3, 1, 2).contiguous()
        return self.step(
            "bias",
            "B H Q K",
            bias,
            trace,
            "relative_bias",
            (queries, keys, self.table.weight),
            distance=self.distance,
            both_ways=self.both_ways,
        )
