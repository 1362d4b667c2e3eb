"""Keys and values already computed, so that a new token costs only itself."""

import torch
from torch import Tensor


class Cache:
    """The keys and values of each attention, by its path; cross-attention's are those of the source."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Tensor, Tensor]] = {}
        self.of_source: set[str] = set()  # the attentions whose keys and values are those of the source
        self.length = 0  # positions of the target seen before this run
        self.begun: Tensor | None = None  # tokens of each row before the first was written; set where edits ask
        self.left_out: Tensor | int = 0  # how many of the first tokens of each row are held no more
        self.by_edits: dict[str, Tensor] = {}  # what edits keep between readings, a row for each of ours

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
        self.by_edits = {name: value.index_select(0, rows) for name, value in self.by_edits.items()}
        if self.begun is not None:
            self.begun = self.begun[rows]
        if isinstance(self.left_out, Tensor):
            self.left_out = self.left_out[rows]

    def crop(self, count: int) -> None:
        """Forget the last positions of the target, so many."""
        for path, (key, value) in self.kept.items():
            if path not in self.of_source:
                left = key.shape[2] - count
                self.kept[path] = key[:, :, :left], value[:, :, :left]
        self.length -= count

    def begin_again(self, left_out: Tensor) -> "Cache":
        """An empty one for the same rows without their first tokens: (N,), how many are left out of each."""
        anew = Cache()
        anew.begun, anew.by_edits, anew.left_out = self.begun, self.by_edits, self.left_out + left_out
        return anew


def appended(past: Tensor, new: Tensor) -> Tensor:
    """(B, G, P, D), (B, G, K, D) -> (B, G, P + K, D)."""
    return torch.cat([past, new], dim=2)
