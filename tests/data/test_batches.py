"""Batches hold every example once, keep to their size, shuffle by seed and epoch, and resume anywhere."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from glassformer.data.batch import IGNORE, Batch, pad
from glassformer.data.batches import TokenBatches, VariedBatches
from glassformer.errors import InputError

PAD, BOS, EOS = 0, 2, 3
Examples = list[tuple[list[int], list[int]]]


def examples(count: int, seed: int = 0, longest: int = 20) -> Examples:
    """Random ids above the special ones; sources end in EOS, as the tokenizer's do."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, longest, size=(count, 2))
    ids = [[random.integers(4, 99, size=size).tolist() for size in row] for row in sizes]
    return [([*source, EOS], target) for source, target in ids]


def make(data: Examples, tokens: int = 100, **options: int | None) -> TokenBatches:
    return TokenBatches(data, tokens=tokens, pad_id=PAD, bos_id=BOS, eos_id=EOS, **options)


def real(ids: torch.Tensor, mask: torch.Tensor | None) -> list[list[int]]:
    """The rows without their padding."""
    kept = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
    return [row[keep].tolist() for row, keep in zip(ids, kept, strict=True)]


def pairs(batch: Batch) -> Examples:
    """A batch's examples; its target, mask and labels must say the same."""
    assert batch.source is not None
    assert batch.target is not None
    assert batch.labels is not None
    targets = real(batch.target, batch.target_mask)
    labels = [row[row != IGNORE].tolist() for row in batch.labels]
    assert all(row[0] == BOS for row in targets)
    assert all(row[-1] == EOS for row in labels)
    assert [row[1:] for row in targets] == [row[:-1] for row in labels]
    return list(zip(real(batch.source, batch.source_mask), [row[1:] for row in targets], strict=True))


def counted(found: Examples) -> Counter[tuple[tuple[int, ...], tuple[int, ...]]]:
    return Counter((tuple(source), tuple(target)) for source, target in found)


def same(first: Batch, second: Batch) -> bool:
    names = ("source", "source_mask", "target", "target_mask", "labels")
    twos = [(getattr(first, name), getattr(second, name)) for name in names]
    return first.tokens == second.tokens and all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b)) for a, b in twos
    )


@pytest.mark.parametrize("seed", [None, 0, 7])
@pytest.mark.parametrize(("count", "tokens"), [(1, 100), (57, 30), (500, 100), (500, 1000)])
def test_an_epoch_holds_every_example_once(count: int, tokens: int, seed: int | None) -> None:
    data = examples(count, seed=count)
    batches = make(data, tokens, seed=seed)
    for epoch in range(3):
        found = [pairs(batch) for batch in batches.epoch(epoch)]
        assert counted(list(itertools.chain(*found))) == counted(data)
        assert len(found) == len(batches)


def test_a_batch_keeps_to_its_tokens_and_is_as_full_as_its_lengths_allow() -> None:
    data, tokens = examples(800), 120
    for batch in make(data, tokens).epoch(0):
        assert batch.source is not None
        assert batch.target is not None
        assert len(batch.source) * max(batch.source.shape[1], batch.target.shape[1]) <= tokens
    assert len(make(data, tokens)) < 1.15 * sum(max(len(s), len(t) + 1) for s, t in data) / tokens + 20


def test_padding_is_little_and_absent_where_lengths_agree() -> None:
    cells = kept = unpadded = 0
    for batch in make(examples(3000), 200).epoch(0):
        assert batch.source is not None
        assert batch.labels is not None
        for ids, mask in ((batch.source, batch.source_mask), (batch.target, batch.target_mask)):
            assert ids is not None
            assert mask is None or (mask.dtype == torch.bool and not mask.all() and mask[:, 0].all())
            assert mask is None or bool((ids[~mask] == PAD).all())
            cells, kept = cells + ids.numel(), kept + (ids.numel() if mask is None else int(mask.sum()))
            unpadded += mask is None
        assert batch.tokens == int((batch.labels != IGNORE).sum())
        assert (batch.source.dtype, batch.labels.dtype) == (torch.int64, torch.int64)
    assert kept / cells > 0.9
    assert unpadded > 0


def test_epochs_and_seeds_differ_and_repeat() -> None:
    data = examples(300)
    first, again, other = make(data, seed=1), make(data, seed=1), make(data, seed=2)

    def listed(batches: TokenBatches, epoch: int) -> list[list[int]]:
        return [numbers.tolist() for numbers in batches.plan(epoch)]

    assert listed(first, 4) == listed(again, 4)
    assert listed(first, 4) != listed(first, 5)
    assert listed(first, 4) != listed(other, 4)
    lengths = [len(data[numbers[0]][0]) for numbers in listed(first, 0)]
    assert lengths != sorted(lengths)


def test_a_resumed_epoch_is_the_rest_of_an_uninterrupted_one() -> None:
    data = examples(200)
    whole = list(make(data).epoch(3))
    for start in (0, 1, len(whole) // 2, len(whole)):
        rest = list(make(data).epoch(3, start=start))
        assert len(rest) == len(whole) - start
        assert all(map(same, rest, whole[start:]))


def test_pairs_that_are_written_anew_come_in_the_same_batches() -> None:
    data = examples(200)

    def drawn(number: int, random: np.random.Generator) -> tuple[list[int], list[int]]:
        source, target = data[number]
        return source, [*target, int(random.integers(50, 99))]

    batches = VariedBatches(data, drawn, seed=0, tokens=100, pad_id=PAD, bos_id=BOS, eos_id=EOS)
    first, second = (list(map(pairs, batches.epoch(number))) for number in (0, 1))
    plain = list(map(pairs, make(data).epoch(0)))
    cut = [[(source, target[:-1]) for source, target in batch] for batch in first]
    assert cut == plain
    assert len(batches) == len(first)
    assert counted(list(itertools.chain(*first))) != counted(list(itertools.chain(*second)))
    whole = list(batches.epoch(1))
    for start in (1, len(whole) // 2):
        assert all(map(same, batches.epoch(1, start=start), whole[start:]))


def test_a_pair_that_comes_out_too_long_stays_as_it_is() -> None:
    data = examples(50)

    def drawn(number: int, random: np.random.Generator) -> tuple[list[int], list[int]]:
        source, target = data[number]
        return ([*source, 7], target) if number % 2 else (source, [*target, 7])

    longest = max(max(len(source), len(target) + 1) for source, target in data)
    batches = VariedBatches(
        data, drawn, longest=longest, seed=0, tokens=100, pad_id=PAD, bos_id=BOS, eos_id=EOS
    )
    found = counted(list(itertools.chain(*map(pairs, batches.epoch(0)))))
    expected = []
    for number, pair in enumerate(data):
        source, target = drawn(number, np.random.default_rng())
        expected.append(pair if max(len(source), len(target) + 1) > longest else (source, target))
    assert found == counted([(list(source), list(target)) for source, target in expected])
    assert any(list(map(list, each)) == list(map(list, pair)) for each, pair in zip(expected, data, strict=True))


def test_without_a_seed_the_shortest_come_first() -> None:
    widths = [
        batch.source.shape[1] for batch in make(examples(300), seed=None).epoch(0) if batch.source is not None
    ]
    assert widths[0] < widths[-1]
    longest = [
        max(batch.source.shape[1], batch.target.shape[1])
        for batch in make(examples(300), seed=None).epoch(0)
        if batch.source is not None and batch.target is not None
    ]
    assert longest == sorted(longest)


def test_what_is_too_long_is_left_out_and_named() -> None:
    data: Examples = [([5] * 4, [6] * 3), ([5] * 5, [6]), ([5], [6] * 4), ([5], [6])]
    batches = make(data, max_length=4)
    assert batches.dropped.tolist() == [1, 2]
    assert counted(list(itertools.chain(*map(pairs, batches.epoch(0))))) == counted([data[0], data[3]])
    assert make(data, tokens=4).dropped.tolist() == [1, 2]


def test_batches_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="none of 1 examples is at most 3 tokens long"):
        make([([5] * 9, [6])], max_length=3)
    with pytest.raises(InputError, match="none of 0 examples"):
        make([])
    with pytest.raises(InputError, match="pair 2 has an empty source"):
        make([([5], [6]), ([], [6])])


def test_pad_on_either_side() -> None:
    rows = [[5, 6, 7], [8], []]
    ids, mask = pad(rows, PAD)
    assert mask is not None
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0], [0, 0, 0]]
    assert mask.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    ids, mask = pad(rows, 9, side="left")
    assert mask is not None
    assert ids.tolist() == [[5, 6, 7], [9, 9, 8], [9, 9, 9]]
    assert mask.tolist() == [[True] * 3, [False, False, True], [False] * 3]
    ids, mask = pad([[1, 2], [3, 4]], PAD)
    assert (ids.tolist(), ids.dtype, mask) == ([[1, 2], [3, 4]], torch.int64, None)
    assert pad([], PAD)[0].shape == (0, 0)


def test_a_batch_counts_its_labels_and_moves() -> None:
    labels = torch.tensor([[4, 5, IGNORE], [6, IGNORE, IGNORE]])
    batch = Batch(source=torch.ones(2, 3, dtype=torch.int64), labels=labels)
    assert batch.tokens == 3
    moved = batch.to("meta")
    assert moved.tokens == 3
    assert moved.source is not None
    assert moved.source.device.type == "meta"
    assert moved.source_mask is None
    assert Batch().tokens == 0
