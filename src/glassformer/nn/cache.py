"""Keys and values already computed, so that a new token costs only itself."""

import torch
from torch import Tensor


class Cache:
    """The keys and values of each attention, by its path; cross-attention's are those of the source."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Tensor, Tensor]] = {}
        self.of_source: set[str] = set()  # the attentions whose keys and values are those of the source
        self.length = 0  # positions of the target seen before this run

    def past(self, path: str) -> tuple[Tensor, Tensor] | None:
        """What this attention has kept so far: two of (B, G, K, D)."""
        return self.kept.get(path)

    def keep(self, path: str, key: Tensor, value: Tensor, *, of_source: bool = False) -> None:
        """From now on these are the keys and values of this attention."""
        self.kept[path] = key, value
        if of_source:
            self.of_source.add(path)

    def reorder(self, rows: Tensor, *, sources: bool = True) -> None:
        """Go on with these rows of the batch: the beams that live, in their new order.

        `sources` is False where each row keeps the source it had: then what belongs to the sources stays as it is.
        """
        for path, (key, value) in self.kept.items():
            if sources or path not in self.of_source:
                self.kept[path] = key.index_select(0, rows), value.index_select(0, rows)


def appended(past: Tensor, new: Tensor) -> Tensor:
    """(B, G, P, D), (B, G, K, D) -> (B, G, P + K, D)."""
    return torch.cat([past, new], dim=2)
