"""The engine's side of a search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from glassformer.data.batch import pad
from glassformer.engine.native import BestFew, NativePast, NativeSource, PackedLinear
from glassformer.engine.packed import Packed, Texts, texts_of
from glassformer.nn.twin import Continuations, Draft


@dataclass(frozen=True, slots=True)
class Chosen:
    """The tokens that alone have logits, from the lowest, and their rows of the head."""

    tokens: list[int]
    output: PackedLinear


class NativeReader:
    """What decoding/reader.py does, with the keys and values of every row in native memory.

    Rows hold no padding there, and are put in another order by their lists of entries alone: nothing is copied. A row
    that fills all of `limit` positions is read again from the second half of what it holds. Logits stay where the
    native part wrote them, and it also finds the best of them. With `chosen` tokens they are of these alone, and only
    what leaves the reader speaks of all.
    """

    def __init__(
        self,
        decoder: Packed,
        source: NativeSource | None,
        *,
        limit: int | None,
        dtype: torch.dtype,
        threads: int,
        keeps_hidden: bool,
        chosen: Chosen | None = None,
    ) -> None:
        self.decoder, self.source, self.limit = decoder, source, limit
        self.dtype, self.threads, self.keeps_hidden, self.chosen = dtype, threads, keeps_hidden, chosen
        self.width = decoder.native.vocabulary if chosen is None else len(chosen.tokens)  # of a row of logits
        self.past: NativePast | None = None
        self.lengths: list[int] = []  # of each row, so far
        self.ids: list[list[int]] | None = None  # of each row; kept only where a row can grow too long
        self.room = torch.empty(0, self.width)  # for the latest logits, and more
        self.place = 0  # the row of them that is asked for, where several tokens of one text were read at once
        self.best_few: BestFew | None = None
        self.draft: Draft | None = None
        self.read_rows = torch.empty(0)  # N T C: the last layer's rows of the latest reading, where they are kept
        self.fresh: Tensor | None = None  # N T: which of these are no padding; None: all

    @property
    def hidden(self) -> Tensor:
        """The last layer's rows of the latest reading: N T C."""
        assert self.keeps_hidden, "whoever needs these rows says so when the reader is made"
        return self.read_rows

    @property
    def logits(self) -> Tensor:
        """After the last token of each row, in the model's kind of numbers: N V."""
        told = self.room[self.place : self.place + len(self.lengths)].to(self.dtype, copy=True)
        if self.chosen is None:
            return told
        every = told.new_full((len(told), self.decoder.native.vocabulary), -torch.inf)
        every[:, self.chosen.tokens] = told
        return every

    @property
    def held(self) -> int:
        """How many tokens of the longest row are held."""
        return max(self.lengths)

    def read(self, target: Tensor, mask: Tensor | None = None) -> None:
        """Read the beginnings: N T; `mask` (N T) says what of them is no padding."""
        texts = texts_of(target, mask, None)
        if self.limit is not None:
            each = iter(texts.ids)
            self.ids = [list(islice(each, length)) for length in texts.lengths]
        self._begin(texts)

    def read_on(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> None:
        """Go on with these rows, in this order (None: with all as they are), each by one token."""
        assert self.past is not None, "there is nothing to go on with before the first reading"
        if rows is not None:
            self.past.select(rows)
            self.lengths = [self.lengths[row] for row in rows]
        if self.ids is not None:
            before = self.ids if rows is None else [self.ids[row] for row in rows]
            self.ids = [[*ids, token] for ids, token in zip(before, tokens, strict=True)]
        if self.ids is not None and self.limit is not None and max(self.lengths) == self.limit:
            self._begin(self._second_halves(self.ids, self.limit))
        else:
            count = len(tokens)
            self._read(self.past, Texts([1] * count, list(tokens), None, None, (count, 1)))

    def best(self, totals: Sequence[float], beams: int, width: int) -> Continuations:
        """The likeliest continuations; each sentence has `beams` rows side by side, which score `totals` so far."""
        shape = (len(totals), beams, width)
        if self.best_few is None or self.best_few.shape != shape:
            self.best_few = BestFew(*shape, self.width, self.threads)
        found = self.best_few.of(self.room[self.place :], totals)
        if self.chosen is None:
            return found
        return replace(found, tokens=[self.chosen.tokens[place] for place in found.tokens])

    def read_ahead(self, tokens: Sequence[int], *, each: bool = True) -> None:
        """Read several tokens of the only row at once; `look` chooses after which of them the logits are.

        Without `each` there are only those after the last one.
        """
        assert self.past is not None, "there is nothing to go on with before the first reading"
        if self.ids is not None:
            self.ids = [[*self.ids[0], *tokens]]
        self._read(self.past, Texts([len(tokens)], list(tokens), None, None, (1, len(tokens))), each=each)

    def look(self, place: int) -> None:
        """From now on the logits are those after this one of the tokens that were read at once."""
        self.place = place

    def crop(self, count: int) -> None:
        """Forget the last tokens of the only row, so many."""
        assert self.past is not None, "there is nothing to forget before the first reading"
        self.lengths = [length - count for length in self.lengths]
        self.past.crop(self.lengths)
        if self.ids is not None:
            self.ids = [self.ids[0][: self.lengths[0]]]

    def rest(self) -> None:
        """Nothing more is held anyway."""

    def _begin(self, texts: Texts) -> None:
        self.past = self.decoder.past(texts, self.source, keeps=True)
        if self.chosen is not None:
            self.past.choose(self.chosen.output)
        self.lengths = [0] * len(texts.lengths)
        self._read(self.past, texts)

    def _second_halves(self, ids: list[list[int]], limit: int) -> Texts:
        """Forget the first half of the rows that would fill more than all positions; what is to be read again."""
        self.ids = [row[-(limit // 2) :] if len(row) > limit else row for row in ids]
        return texts_of(*pad(self.ids, 0, side="left"), None)

    def _read(self, past: NativePast, texts: Texts, *, each: bool = False) -> None:
        self.place, rows = 0, len(texts.ids) if each else len(texts.lengths)
        if rows > len(self.room):
            self.room = torch.empty(rows, self.width)
        hidden = self.decoder.read(
            past, texts, self.threads, before=self.lengths, hidden=self.keeps_hidden, logits=self.room, each=each
        )
        if hidden is not None:
            self.read_rows, self.fresh = texts.spread(hidden).to(self.dtype), texts.mask
        self.lengths = [before + new for before, new in zip(self.lengths, texts.lengths, strict=True)]
