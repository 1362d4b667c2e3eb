"""What every comparison needs: parameters moved, padded batches, and how far apart two answers are."""

from dataclasses import dataclass

import torch
import transformers
from torch import Tensor

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A padded batch."""

    ids: Tensor  # B T
    mask: Tensor  # B T
    segments: Tensor  # B T
    side: str

    @property
    def positions(self) -> Tensor:
        """How many real tokens stand before each."""
        return (self.mask.cumsum(1) - 1).clamp(min=0)


def perturb(model: torch.nn.Module, seed: int, by: float = 0.2) -> None:
    """Move every parameter: a norm left at one and a bias left at zero hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def padded(
    vocab: int, segments: int, pad: int, seed: int, side: str, lengths: tuple[int, ...] = (7, 4, 1)
) -> Inputs:
    """Texts of different lengths side by side; ids 0 to 3 are kept for special tokens."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    ids = torch.randint(4, vocab, (len(lengths), longest), generator=generator)
    real = torch.stack([torch.arange(longest) < length for length in lengths])
    mask = (real if side == "right" else real.flip(1)).long()
    groups = torch.randint(0, max(segments, 1), ids.shape, generator=generator)
    return Inputs(ids=torch.where(mask.bool(), ids, pad), mask=mask, segments=groups, side=side)


def apart(first: Tensor, second: Tensor, batch: Inputs) -> float:
    """The largest difference at a real position, or of any text's labels."""
    assert first.shape == second.shape
    gap = (first - second).abs()
    return float((gap[batch.mask.bool()] if gap.shape[:2] == batch.mask.shape else gap).max())
