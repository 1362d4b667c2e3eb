"""The engine's side of a search."""

import torch
from torch import Tensor

from glassformer.decoding.reader import second_halves
from glassformer.engine.native import NativePast, NativeSource
from glassformer.engine.packed import Packed, Texts, texts_of


class NativeReader:
    """What decoding/reader.py does, with the keys and values of every row in native memory.

    Rows hold no padding there, and are put in another order by their lists of entries alone: nothing is copied. A row
    that fills all of `limit` positions is read again from the second half of what it holds.
    """

    def __init__(
        self, decoder: Packed, source: NativeSource | None, limit: int | None, dtype: torch.dtype, threads: int
    ) -> None:
        self.decoder, self.source, self.limit = decoder, source, limit
        self.dtype, self.threads = dtype, threads
        self.past: NativePast | None = None
        self.lengths: list[int] = []  # of each row, so far
        self.ids: Tensor | None = None  # N L: what was read; kept only where a row can grow too long
        self.real: Tensor | None = None  # N L: what of it is no padding; None: all
        self.hidden = torch.empty(0)  # N T C: the last layer's rows of the latest reading
        self.fresh: Tensor | None = None  # N T: which of these are no padding; None: all

    def read(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The logits after the last token: N T -> N V; `mask` (N T) belongs to a padded beginning."""
        if self.limit is not None:
            self._note(target, mask)
            if self.past is not None and max(self.lengths) + target.shape[1] > self.limit:
                target, mask = self._begin_again(self.limit)
        texts = texts_of(target, mask, None)
        if self.past is None:
            self.past = self.decoder.past(texts, self.source, keeps=True)
            self.lengths = [0] * len(texts.lengths)
        self.hidden, logits = self._run(self.past, texts)
        self.fresh = texts.mask
        self.lengths = [before + new for before, new in zip(self.lengths, texts.lengths, strict=True)]
        return logits

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, in this order."""
        assert self.past is not None, "there is nothing to select before the first reading"
        numbers: list[int] = rows.tolist()
        self.past.select(numbers)
        self.lengths = [self.lengths[number] for number in numbers]
        self.ids = None if self.ids is None else self.ids[rows]
        self.real = None if self.real is None else self.real[rows]

    def _run(self, past: NativePast, texts: Texts) -> tuple[Tensor, Tensor]:
        hidden, logits = self.decoder.read(
            past, texts, self.threads, before=self.lengths, hidden=True, logits=True
        )
        assert hidden is not None, "it was asked for"
        assert logits is not None, "it was asked for"
        return texts.spread(hidden).to(self.dtype), logits.to(self.dtype)

    def _note(self, target: Tensor, mask: Tensor | None) -> None:
        if self.ids is None:
            self.ids, self.real = target, mask
            return
        self.ids = torch.cat([self.ids, target], dim=1)
        if self.real is not None:
            self.real = torch.cat([self.real, self.real.new_ones(target.shape)], dim=1)

    def _begin_again(self, limit: int) -> tuple[Tensor, Tensor]:
        """Forget the first half of the rows that fill all positions; what is to be read again, and its mask."""
        assert self.ids is not None, "there is something that has grown too long"
        self.ids, self.real, _ = second_halves(self.ids, self.real, limit)
        self.past = None
        return self.ids, self.real
