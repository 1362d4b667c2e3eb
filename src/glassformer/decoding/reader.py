"""The model's side of a search: it reads tokens and answers with what may follow."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from glassformer.decoding.chooser import best_of, log_probabilities_of
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.cache import Cache
from glassformer.nn.twin import Continuations, Draft, ModelReader


class Reader:
    """A model that has read the beginnings of some sentences, a row each, and can read on.

    Rows may be dropped, repeated and put in another order between two readings; what they share with their
    past is never computed again. `memory` (B S C) is the encoded source.

    A text that stands alone has no end: where its positions do, the rows that fill them are read again from the
    second half of what they hold.

    Only the tokens `allowed` have logits; None: all.
    """

    def __init__(
        self,
        model: Transformer,
        memory: Tensor | None = None,
        source_mask: Tensor | None = None,
        allowed: Tensor | None = None,
    ) -> None:
        self.allowed = allowed
        self.model, self.memory, self.source_mask = model, memory, source_mask
        self.cache = Cache()
        self.sources: Tensor | None = None  # which row of the first reading each row stems from
        self.ids: Tensor | None = None  # N L: all that the cache holds
        self.real: Tensor | None = None  # N L: what of it is no padding; None: all
        self.limit = model.config.limit if memory is None else None
        self.latest = torch.empty(0)  # N T: the tokens of the latest reading
        self.hidden = torch.empty(0)  # N T C: the last layer's rows of the latest reading
        self.fresh: Tensor | None = None  # N T: which of these are no padding; None: all
        self.logits = torch.empty(0)  # N V: after the last token of each row
        self.ahead = torch.empty(0)  # T V: after each of the tokens that were read at once
        self.draft: Draft | None = None

    def read(self, target: Tensor, mask: Tensor | None = None, trace: Trace | None = None) -> None:
        """Read the beginnings: N T; `mask` (N T) says what of them is no padding.

        A trace sees the logits after every token that is read.
        """
        self.sources = torch.arange(len(target), device=target.device)
        self.ids, self.real = target, mask
        self._run(target, trace)

    def read_on(
        self, tokens: Sequence[int], rows: Sequence[int] | None = None, trace: Trace | None = None
    ) -> None:
        """Go on with these rows, in this order (None: with all as they are), each by one token."""
        assert self.ids is not None, "there is nothing to go on with before the first reading"
        if rows is not None:
            self._select(torch.tensor(rows, device=self.ids.device))
        target = torch.tensor(tokens, device=self.ids.device)[:, None]
        self.ids = torch.cat([self.ids, target], dim=1)
        if self.real is not None:
            self.real = torch.cat([self.real, self.real.new_ones(target.shape)], dim=1)
        if self.limit is not None and self.ids.shape[1] > self.limit:
            target = self._begin_again(self.limit)
        self._run(target, trace)

    def best(self, totals: Sequence[float], beams: int, width: int) -> Continuations:
        """The likeliest continuations; each sentence has `beams` rows side by side, which score `totals` so far."""
        said = log_probabilities_of(self.logits)
        return best_of(said, said, totals, beams, width)

    @property
    def held(self) -> int:
        """How many tokens of the longest row are held."""
        assert self.ids is not None, "nothing is held before the first reading"
        return self.ids.shape[1]

    def read_ahead(self, tokens: Sequence[int], *, each: bool = True) -> None:
        """Read several tokens of the only row at once; `look` chooses after which of them the logits are.

        Without `each` there are only those after the last one.
        """
        assert self.ids is not None, "there is nothing to go on with before the first reading"
        target = torch.tensor([tokens], device=self.ids.device)
        self.ids = torch.cat([self.ids, target], dim=1)
        if self.real is not None:
            self.real = torch.cat([self.real, self.real.new_ones(target.shape)], dim=1)
        self._read(target)
        self.ahead = self._limited(self.model.scored(self.hidden, (0, slice(None) if each else slice(-1, None))))
        self.look(0)

    def look(self, place: int) -> None:
        """From now on the logits are those after this one of the tokens that were read at once."""
        self.logits = self.ahead[place : place + 1]

    def crop(self, count: int) -> None:
        """Forget the last tokens of the only row, so many."""
        assert self.ids is not None, "there is nothing to forget before the first reading"
        self.cache.crop(count)
        left = self.held - count
        self.ids = self.ids[:, :left]
        self.real = None if self.real is None else self.real[:, :left]

    def rest(self) -> None:
        """Nothing more is held anyway."""

    def _run(self, target: Tensor, trace: Trace | None) -> None:
        if trace is None:
            self._read(target)
            self.logits = self._limited(self.model.scored(self.hidden, (slice(None), -1)))
            return
        self._noted(target)
        self.logits = self._limited(self.model(**self._given(target), trace=trace)[:, -1])

    def _limited(self, logits: Tensor) -> Tensor:
        """N V -> N V: minus infinity for what is not allowed."""
        if self.allowed is None:
            return logits
        return torch.full_like(logits, -torch.inf).index_copy(1, self.allowed, logits[:, self.allowed])

    def _read(self, target: Tensor) -> None:
        self._noted(target)
        self.hidden = self.model.body(**self._given(target))

    def _noted(self, target: Tensor) -> None:
        self.fresh = None if self.real is None else self.real[:, -target.shape[1] :]
        self.latest = target

    def _given(self, target: Tensor) -> dict[str, Any]:
        return {
            "target": target,
            "memory": self.memory,
            "source_mask": self.source_mask,
            "target_mask": self.real,
            "cache": self.cache,
        }

    def _select(self, rows: Tensor) -> None:
        assert self.sources is not None, "there is nothing to select before the first reading"
        assert self.ids is not None, "there is nothing to select before the first reading"
        sources = self.sources[rows]
        moved = not torch.equal(sources, self.sources)  # beams that only change places keep their source
        self.cache.reorder(rows, sources=moved)
        self.ids = self.ids[rows]
        self.real = None if self.real is None else self.real[rows]
        if moved and self.memory is not None:
            self.memory = self.memory[rows]
            self.source_mask = None if self.source_mask is None else self.source_mask[rows]
        self.sources = sources

    def _begin_again(self, limit: int) -> Tensor:
        """Forget all padding, and the first half of the rows that fill all positions; what is read again."""
        assert self.ids is not None, "there is something that has grown too long"
        self.ids, self.real, forgotten = second_halves(self.ids, self.real, limit)
        self.cache = self.cache.begin_again(forgotten)
        return self.ids


def reader_of(
    model: Transformer,
    source: Tensor | None,
    source_mask: Tensor | None,
    *,
    hidden: bool = False,
    quick: bool = True,
    allowed: Tensor | None = None,
) -> ModelReader:
    """The source, where there is one, read once: by the model's quick twin, unless it is not to be asked.

    Only the tokens `allowed` (N, from the lowest; None: all) may follow.
    """
    twin = model.quick if quick else None
    found = None if twin is None else twin.reader(source, source_mask, hidden=hidden, allowed=allowed)
    if found is not None:
        return found
    if source is None:
        return Reader(model, allowed=allowed)
    return Reader(model, model.encode(source, source_mask=source_mask), source_mask, allowed)


def second_halves(ids: Tensor, real: Tensor | None, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (N L) without the first half of those that fill all positions.

    With what of them is no padding (N L), and how many tokens of each are forgotten (N).
    """
    real = torch.ones_like(ids) if real is None else real
    count = real.long().sum(dim=1)
    kept = torch.where(count > limit, limit // 2, count)
    width = int(kept.max())
    place = torch.arange(width, device=kept.device)
    return ids[:, -width:], place >= width - kept[:, None], count - kept


def left_padded(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows with their padding moved before the text: every row ends where it goes on."""
    order = mask.bool().byte().argsort(dim=1, stable=True)
    return ids.gather(1, order), mask.gather(1, order)


@contextmanager
def evaluating(model: Transformer) -> Iterator[None]:
    """No dropout inside, whatever the model was doing."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()
