"""Keys and values already computed, so that a new token costs only itself."""

import torch
from torch import Tensor


class Cache:
    """The keys and values of each attention, by its path; cross-attention's are those of the source."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Tensor, Tensor]] = {}
        self.length = 0  # positions of the target seen before this run

    def past(self, path: str) -> tuple[Tensor, Tensor] | None:
        """What this attention has kept so far: two of (B, G, K, D)."""
        return self.kept.get(path)

    def keep(self, path: str, key: Tensor, value: Tensor) -> None:
        """From now on these are the keys and values of this attention."""
        self.kept[path] = key, value

    def reorder(self, rows: Tensor) -> None:
        """Go on with these rows of the batch: the beams that live, in their new order."""
        self.kept = {
            path: (key.index_select(0, rows), value.index_select(0, rows))
            for path, (key, value) in self.kept.items()
        }


def appended(past: Tensor, new: Tensor) -> Tensor:
    """(B, G, P, D), (B, G, K, D) -> (B, G, P + K, D)."""
    return torch.cat([past, new], dim=2)
