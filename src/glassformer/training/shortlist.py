"""A shortlist is learnt from pairs: by counting which target tokens stand where each source token does."""

from collections.abc import Sequence

import numpy as np
import torch

from glassformer.data.examples import Pair
from glassformer.decoding.shortlist import NONE, Shortlist, vocabularies
from glassformer.errors import InputError
from glassformer.tasks.model import Model
from glassformer.tasks.translation import Translation

EACH, FREQUENT, ROUNDS = 80, 400, 5
Ids = Sequence[Sequence[int]]


def learn_shortlist(
    model: Model, pairs: Sequence[Pair], *, each: int = EACH, frequent: int = FREQUENT, rounds: int = ROUNDS
) -> Shortlist:
    """The `each` likeliest target tokens of every source token, and the most `frequent` of all, on the model's tokens.

    How likely is what IBM model 1 says after so many `rounds`. About sixty bytes of memory are needed for each pair of
    a source token and a target token that stand in one example.
    """
    task = model.task
    if not isinstance(task, Translation):
        raise InputError("a shortlist is of a model that translates, and this one does not; give another model")
    if not pairs:
        raise InputError("a shortlist is learnt from pairs, and there are none; give files that hold some")
    sources = task.source_tokenizer.ids([task.prefix + pair.source for pair in pairs], special=False)
    targets = task.tokenizer.ids([pair.target for pair in pairs], special=False)
    before, after = vocabularies(model.config)
    rows, columns, shares = lexicon(sources, targets, rounds)
    counts = np.bincount(np.concatenate([np.asarray(ids, np.int64) for ids in targets]), minlength=after)
    often = np.argsort(-counts, kind="stable")[:frequent]
    return Shortlist(
        torch.from_numpy(likeliest(rows, columns, shares, before, each)),
        torch.from_numpy(often[counts[often] > 0].astype(np.int32)),
        after,
    )


def lexicon(sources: Ids, targets: Ids, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source tokens, target tokens and t(target | source), one entry for each two that meet, by IBM model 1.

    Brown et al. 1993, without their empty word: expectation maximisation over all pairs at once.
    """
    pairs = [
        (np.asarray(source, np.int64), np.asarray(target, np.int64))
        for source, target in zip(sources, targets, strict=True)
    ]
    starts = np.cumsum([0, *(len(target) for _, target in pairs)])
    one = np.concatenate([np.repeat(source, len(target)) for source, target in pairs])
    other = np.concatenate([np.tile(target, len(source)) for source, target in pairs])
    place = np.concatenate(
        [
            np.tile(np.arange(start, start + len(target), dtype=np.int32), len(source))
            for (source, target), start in zip(pairs, starts, strict=False)
        ]
    )  # which target token of which pair
    width = int(other.max(initial=0)) + 1
    cells, inverse = np.unique(one * width + other, return_inverse=True)
    rows = cells // width
    shares: np.ndarray = np.ones(len(cells))
    for _ in range(rounds):
        part = shares[inverse]
        part = part / np.bincount(place, part)[place]  # which source token a target token comes from
        shares = np.bincount(inverse, part, len(cells))
        shares = shares / np.bincount(rows, shares)[rows]
    return rows, cells % width, shares


def likeliest(rows: np.ndarray, columns: np.ndarray, shares: np.ndarray, count: int, each: int) -> np.ndarray:
    """Of each of so many rows the columns with the largest shares, best first, at most so many: count, each."""
    order = np.lexsort((columns, -shares, rows))
    rows, columns = rows[order], columns[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    table = np.full((count, each), NONE, np.int32)
    kept = rank < each
    table[rows[kept], rank[kept]] = columns[kept]
    return table
