"""A long text in blocks of one length, for models that learn from text alone."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from glassformer.data.batch import Batch
from glassformer.errors import InputError

Numbers = NDArray[np.int64]
Make = Callable[[Numbers, np.random.Generator], Batch]  # rows of one length -> what is learnt from them


class BlockBatches:
    """Documents, each closed by `end`, laid end to end and cut into blocks of `length` tokens.

    A block repeats the last `overlap` tokens of the one before it: with one, every token but the first is some block's
    label. Every epoch begins at another token, so that the cuts fall elsewhere, and shuffles the blocks; Liu et al.
    2019, section 4.2, pack full sentences the same way. `make` builds a batch of some blocks with random numbers of
    that batch alone, so an epoch is a function of (seed, epoch), whichever batch it is entered at. With seed None
    nothing is moved or shuffled, and the random numbers are the same each time: for measuring.
    """

    def __init__(
        self,
        documents: Sequence[Sequence[int]],
        make: Make,
        *,
        length: int,
        rows: int,
        overlap: int = 0,
        end: int | None = None,
        seed: int | None = 0,
    ) -> None:
        closing = [] if end is None else [end]
        flat = (token for document in documents for token in (*document, *closing))
        self.ids: Numbers = np.fromiter(flat, dtype=np.int64)
        if len(self.ids) < length:
            raise InputError(
                f"the text has {len(self.ids)} tokens, fewer than one block of {length}; "
                "give more text or shorten the context"
            )
        self.make, self.length, self.rows, self.seed = make, length, rows, seed
        self.stride = length - overlap
        room = len(self.ids) - length
        self.slack = 0 if seed is None else min(self.stride - 1, room)  # how late an epoch may begin
        self.blocks = (room - self.slack) // self.stride + 1

    def __len__(self) -> int:
        """Batches in an epoch, the same in each."""
        return -(-self.blocks // self.rows)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start` on."""
        starts = np.arange(self.blocks) * self.stride
        if self.seed is not None:
            random = np.random.default_rng([self.seed, number])
            starts = random.permutation(starts + random.integers(self.slack + 1))
        for batch in range(start, len(self)):
            chosen = starts[batch * self.rows : (batch + 1) * self.rows]
            key = [0, batch] if self.seed is None else [self.seed, number, batch]
            rows = self.ids[chosen[:, None] + np.arange(self.length)]
            yield self.make(rows, np.random.default_rng(key))
