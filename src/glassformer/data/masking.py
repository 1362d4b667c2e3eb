"""What pretraining hides: tokens that a model is to find again from those around them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassformer.data.batch import IGNORE

Numbers = NDArray[np.int64]
Marks = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Which tokens are hidden, and behind what. Devlin et al. 2019, section 3.1; drawn anew each time: Liu et al. 2019.

    Of the chosen tokens `hidden` become the mask token, `swapped` become any token, the rest stay as they are, and
    all are asked for. `begins` marks the tokens of the vocabulary that begin a word: with it, a word's tokens are
    chosen together. Tokens in `never` are not chosen.
    """

    mask_id: int
    vocab_size: int
    never: frozenset[int] = frozenset()
    share: float = 0.15
    hidden: float = 0.8
    swapped: float = 0.1
    begins: Marks | None = None

    def __call__(self, ids: Numbers, random: np.random.Generator) -> tuple[Numbers, Numbers]:
        """Ids B T -> what is read, and the labels: IGNORE where nothing is asked."""
        open_ = ~np.isin(ids, list(self.never))
        units = np.arange(ids.size).reshape(ids.shape) if self.begins is None else self._words(ids, open_)
        chosen = self._chosen(units, open_, random)
        lot = random.random(ids.shape)
        read = np.where(chosen & (lot < self.hidden), self.mask_id, ids)
        swap = chosen & (lot >= self.hidden) & (lot < self.hidden + self.swapped)
        read = np.where(swap, random.integers(self.vocab_size, size=ids.shape), read)
        return read, np.where(chosen, ids, IGNORE)

    def _words(self, ids: Numbers, open_: Marks) -> Numbers:
        """One number a word, B T: a new word begins at a token that says so, after a gap, and with each row."""
        assert self.begins is not None
        starts = self.begins[ids] | ~open_
        starts[:, 1:] |= ~open_[:, :-1]
        starts[:, 0] = True
        return np.asarray(starts.ravel().cumsum().reshape(ids.shape) - 1)

    def _chosen(self, units: Numbers, open_: Marks, random: np.random.Generator) -> Marks:
        """Units in random order until a row has its share of tokens; at least one unit a row."""
        chosen = np.zeros(units.shape, dtype=bool)
        for row, (places, allowed) in enumerate(zip(units, open_, strict=True)):
            wanted = max(1, round(self.share * int(allowed.sum())))
            own, sizes = np.unique(places[allowed], return_counts=True)
            order = random.permutation(len(own))
            before = sizes[order].cumsum() - sizes[order]
            chosen[row] = np.isin(places, own[order[before < wanted]]) & allowed
        return chosen


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Runs of tokens to leave out of a text.

    Their lengths are drawn so that the share of `ids` they cover is `share` and their mean length is `mean`: Raffel et
    al. 2020, section 3.3.4; with `poisson`, lengths follow a Poisson distribution and may be 0, a gap where nothing is
    missing: Lewis et al. 2020, section 2.2.
    """

    share: float = 0.15
    mean: float = 3.0
    poisson: bool = False

    def __call__(self, length: int, random: np.random.Generator) -> list[tuple[int, int]]:
        """(start, end) of each span, in order, none touching the next."""
        wanted = max(1, round(self.share * length))
        count = max(1, round(wanted / self.mean))
        sizes = random.poisson(self.mean, count) if self.poisson else _parts(wanted, count, random)
        kept = length - int(sizes.sum())
        if kept < len(sizes):  # a draw longer than the text leaves room for
            sizes, kept = np.array([min(wanted, length - 1)]), length - min(wanted, length - 1)
        gaps = _parts(kept, len(sizes), random)  # a text begins with what is kept
        ends = (gaps + sizes).cumsum()
        return [(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]


def _parts(total: int, count: int, random: np.random.Generator) -> Numbers:
    """`total` as `count` numbers of at least 1 (fewer, where there are not so many), every way equally likely."""
    count = min(count, total)
    cuts = np.sort(random.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]])).astype(np.int64)


def corrupted(
    ids: Sequence[int], spans: Sequence[tuple[int, int]], marks: Sequence[int]
) -> tuple[list[int], list[int]]:
    """T5's form: each span becomes its own mark; what is to be written is each mark and what it stands for."""
    source: list[int] = []
    target: list[int] = []
    last = 0
    for mark, (start, end) in zip(marks, spans, strict=False):
        source += [*ids[last:start], mark]
        target += [mark, *ids[start:end]]
        last = end
    return [*source, *ids[last:]], target


def infilled(ids: Sequence[int], spans: Sequence[tuple[int, int]], mask_id: int) -> list[int]:
    """BART's form: each span, however long, becomes one mask; the whole text is to be written."""
    source: list[int] = []
    last = 0
    for start, end in spans:
        source += [*ids[last:start], mask_id]
        last = end
    return [*source, *ids[last:]]
