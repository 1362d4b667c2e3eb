"""Batches of like length, filled up to a number of tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassformer.data.batch import IGNORE, Batch
from glassformer.errors import InputError

Numbers = NDArray[np.int64]
Pair = tuple[Sequence[int], Sequence[int]]  # the ids of a source, and of what is written


class ByLength(ABC):
    """Examples in batches of like length: count times longest stays within `tokens`, count within `examples`.

    An epoch is a function of (seed, epoch) alone, so it can be entered at any batch; seed None keeps the order of
    length. `sizes` are the lengths of each example's parts; one with a part over `max_length` is left out: its
    number is in `dropped`.
    """

    def __init__(
        self,
        *sizes: Numbers,
        tokens: int,
        examples: int | None = None,
        max_length: int | None = None,
        seed: int | None = 0,
    ) -> None:
        self.seed = seed
        longer = np.maximum.reduce(sizes)
        limit = tokens if max_length is None else min(max_length, tokens)
        self.dropped: Numbers = np.flatnonzero(longer > limit)
        kept = np.flatnonzero(longer <= limit)
        if not len(kept):
            raise InputError(
                f"none of {len(longer)} examples is at most {limit} tokens long; "
                "give other data, or raise the longest length and the tokens of a batch"
            )
        keys = [size[kept] for size in sizes]
        order = np.lexsort((*reversed(keys), longer[kept]))
        self.order: Numbers = kept[order]
        self.ties = _ties([key[order] for key in keys])
        self.cuts = _cuts(longer[self.order], tokens, examples or len(kept))

    def __len__(self) -> int:
        """Batches in an epoch, the same in each."""
        return len(self.cuts) - 1

    def plan(self, epoch: int) -> list[Numbers]:
        """The example numbers of each batch of an epoch, in the order they come."""
        if self.seed is None:
            return np.split(self.order, self.cuts[1:-1])
        random = np.random.default_rng([self.seed, epoch])
        mixed = self.order[np.lexsort((random.random(len(self.order)), self.ties))]
        batches = np.split(mixed, self.cuts[1:-1])
        return [batches[number] for number in random.permutation(len(batches))]

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start` on."""
        for chosen in self.plan(number)[start:]:
            yield self.build(chosen)

    @abstractmethod
    def build(self, chosen: Numbers) -> Batch:
        """The batch of these examples."""


class ExampleBatches(ByLength):
    """Examples of one length each; `make` builds the batch of some of them by their numbers."""

    def __init__(
        self,
        lengths: Sequence[int],
        make: Callable[[Sequence[int]], Batch],
        *,
        tokens: int,
        examples: int | None = None,
        max_length: int | None = None,
        seed: int | None = 0,
    ) -> None:
        super().__init__(
            np.array(lengths, dtype=np.int64),
            tokens=tokens,
            examples=examples,
            max_length=max_length,
            seed=seed,
        )
        self.make = make

    def build(self, chosen: Numbers) -> Batch:
        """The batch of these examples."""
        return self.make(chosen.tolist())


class TokenBatches(ByLength):
    """Encoded pairs. Vaswani et al. 2017, section 5.1: pairs are batched by approximate length.

    A target's length is counted with its <bos>. `source_pad_id` is for sources that have a vocabulary of their own.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        tokens: int,
        pad_id: int,
        bos_id: int,
        eos_id: int,
        source_pad_id: int | None = None,
        examples: int | None = None,
        max_length: int | None = None,
        seed: int | None = 0,
    ) -> None:
        self.sources = Ragged([source for source, _ in pairs])
        self.targets = Ragged([target for _, target in pairs])
        self.pad_id, self.bos_id, self.eos_id = pad_id, bos_id, eos_id
        self.source_pad_id = pad_id if source_pad_id is None else source_pad_id
        source, target = self.sources.lengths, self.targets.lengths + 1
        if (source == 0).any():
            raise InputError(
                f"pair {source.argmin() + 1} has an empty source; leave it out or give it an <eos>"
            )
        super().__init__(source, target, tokens=tokens, examples=examples, max_length=max_length, seed=seed)

    def build(self, chosen: Numbers) -> Batch:
        """The batch of these examples."""
        return self.padded(self.sources, self.targets, chosen)

    def padded(self, sources: Ragged, targets: Ragged, chosen: Numbers) -> Batch:
        """The chosen of these pairs: target is <bos> + ids, labels are ids + <eos>."""
        source, source_mask = sources.rows(chosen, self.source_pad_id)
        target, target_mask = targets.rows(chosen, self.pad_id, before=self.bos_id)
        labels, _ = targets.rows(chosen, IGNORE, after=self.eos_id)
        return Batch(
            source=source,
            source_mask=source_mask,
            target=target,
            target_mask=target_mask,
            labels=labels,
            tokens=int(targets.lengths[chosen].sum()) + len(chosen),
        )


class VariedBatches(TokenBatches):
    """Pairs that are written in another way each time, such as by BPE-dropout.

    `drawn` writes one of them, by its number. The lengths that count are those of `pairs`: a batch may hold somewhat
    more tokens than are asked for. A pair of which one side comes out longer than `longest` stays as it is in `pairs`.
    Each batch has random numbers of its own, so that an epoch can be entered anywhere.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        drawn: Callable[[int, np.random.Generator], Pair],
        *,
        seed: int,
        longest: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(pairs, seed=seed, **options)
        self.drawn, self.varied_by, self.longest = drawn, seed, longest

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start` on."""
        for place, chosen in enumerate(self.plan(number)[start:], start):
            random = np.random.default_rng([self.varied_by, number, place])
            sources, targets = zip(*(self.varied(each, random) for each in chosen.tolist()), strict=True)
            yield self.padded(Ragged(sources), Ragged(targets), np.arange(len(chosen)))

    def varied(self, number: int, random: np.random.Generator) -> Pair:
        """A pair as it is written this time."""
        source, target = self.drawn(number, random)
        if self.longest is not None and max(len(source), len(target) + 1) > self.longest:
            return self.sources.sequence(number), self.targets.sequence(number)
        return source, target


class Ragged:
    """Sequences of different lengths in one flat array, so that a batch is one indexing."""

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        self.lengths: Numbers = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
        self.starts: Numbers = np.concatenate([np.zeros(1, np.int64), self.lengths.cumsum()])[:-1]
        flat = (number for sequence in sequences for number in sequence)
        self.flat: Numbers = np.fromiter(flat, dtype=np.int64, count=int(self.lengths.sum()))

    def sequence(self, number: int) -> list[int]:
        """One of them."""
        start = self.starts[number]
        found: list[int] = self.flat[start : start + self.lengths[number]].tolist()
        return found

    def rows(
        self, chosen: Numbers, fill: int, before: int | None = None, after: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The chosen sequences B T padded on the right with `fill`, and their mask or None."""
        lengths, first = self.lengths[chosen][:, None], 0 if before is None else 1
        whole = lengths + first + (0 if after is None else 1)
        place = np.arange(whole.max())[None, :]
        inside = (place >= first) & (place < first + lengths)
        ids = np.full(inside.shape, fill, dtype=np.int64)
        ids[inside] = self.flat[(self.starts[chosen][:, None] + place - first)[inside]]
        if before is not None:
            ids[:, 0] = before
        if after is not None:
            np.put_along_axis(ids, lengths + first, after, axis=1)
        mask = None if whole.min() == whole.max() else torch.from_numpy(place < whole)
        return torch.from_numpy(ids), mask


def _ties(sizes: Sequence[Numbers]) -> Numbers:
    """Equal numbers for neighbours of equal sizes: among these an epoch may choose freely."""
    changes = np.any([np.diff(size) != 0 for size in sizes], axis=0)
    return np.concatenate([np.zeros(1, np.int64), changes.cumsum()])


def _cuts(longer: Numbers, tokens: int, examples: int) -> Numbers:
    """Where to cut ascending lengths so that count times longest stays within `tokens`, count within `examples`."""
    cuts, first = [0], 0
    for number, length in enumerate(longer.tolist()):
        count = number - first + 1
        if count * length > tokens or count > examples:
            cuts.append(number)
            first = number
    return np.array([*cuts, len(longer)], dtype=np.int64)
