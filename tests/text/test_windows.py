"""Windows over a long text, and texts cut short."""

import random

import pytest

from glassformer.errors import InputError
from glassformer.text.tokenizer import Tokenizer
from glassformer.text.windows import shortened, windows

WORDS = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "dog", "sat", "on", "the", "cat"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train("wordpiece", [" ".join(WORDS)] * 3, vocab_size=80)


def text(count: int, seed: int = 0) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=count))


@pytest.mark.parametrize("pair", [None, "the dog"])
@pytest.mark.parametrize("count", [1, 6, 7, 8, 20, 61])
@pytest.mark.parametrize("stride", [None, 1, 3, 100])
def test_windows_hold_every_token_in_the_frame_of_the_whole(
    tokenizer: Tokenizer, pair: str | None, count: int, stride: int | None
) -> None:
    whole = tokenizer.encode(*([text(count)] if pair is None else [pair, text(count)]))
    side = 0 if pair is None else 1
    own, frame = whole.places(side), [place for place, of in enumerate(whole.texts) if of != side]
    lot = windows(whole, 10, stride)
    held: set[int] = set()
    for window in lot:
        numbers = range(window.first, window.last)
        held |= set(numbers)
        assert len(window.encoding) <= 10
        assert [window.encoding.offsets[place] for place in window.places] == [
            whole.offsets[own[n]] for n in numbers
        ]
        assert [window.encoding.ids[place] for place in window.places] == [whole.ids[own[n]] for n in numbers]
        besides = [place for place in range(len(window.encoding)) if place not in window.places]
        assert [window.encoding.ids[place] for place in besides] == [whole.ids[place] for place in frame]
        assert [window.encoding.segments[place] for place in window.places] == [
            whole.segments[own[n]] for n in numbers
        ]
    assert held == set(range(len(own)))
    assert len(lot) == 1 or all(len(window.encoding) == 10 for window in lot)
    steps = [after.first - before.first for before, after in zip(lot, lot[1:], strict=False)]
    assert all(0 < step <= (stride or 5) for step in steps)


def test_a_text_that_fits_is_one_window_and_itself(tokenizer: Tokenizer) -> None:
    whole = tokenizer.encode(text(5))
    for length in (None, 7, 50):
        (window,) = windows(whole, length)
        assert window.encoding == whole


def test_half_of_a_window_overlaps_unless_a_stride_is_given(tokenizer: Tokenizer) -> None:
    lot = windows(tokenizer.encode(text(40)), 12)
    assert [window.first for window in lot][:3] == [0, 5, 10]
    assert [window.first for window in windows(tokenizer.encode(text(21)), 12, 10)] == [0, 10, 11]


@pytest.mark.parametrize(("length", "stride"), [(0, None), (-1, None), (10, 0), (10, -3)])
def test_impossible_windows_are_refused(tokenizer: Tokenizer, length: int, stride: int | None) -> None:
    with pytest.raises(InputError, match="1 or more"):
        windows(tokenizer.encode(text(30)), length, stride)


def test_a_question_that_leaves_no_room_is_refused(tokenizer: Tokenizer) -> None:
    whole = tokenizer.encode(text(9), text(30))
    assert len(windows(whole, 13)) > 20
    with pytest.raises(InputError, match="12 tokens, and a window has 12"):
        windows(whole, 12)


@pytest.mark.parametrize("lengths", [(3, 30), (30, 3), (20, 20), (8, 9), (30, None), (5, 6)])
def test_the_longer_text_is_cut_first(tokenizer: Tokenizer, lengths: tuple[int, int | None]) -> None:
    """As the tokenizers library truncates, longest first."""
    first, second = text(lengths[0]), None if lengths[1] is None else text(lengths[1], seed=1)
    for length in (6, 9, 10, 17, 18):
        tokenizer.backend.enable_truncation(length, strategy="longest_first")
        try:
            expected = tokenizer.encode(first, second)
        finally:
            tokenizer.backend.no_truncation()
        found = shortened(tokenizer.encode(first, second), length)
        assert len(found) == len(expected)
        if sum(filter(None, lengths)) + 3 > length and length % 2:  # else the odd token is of either
            assert found.ids == expected.ids


def test_a_model_without_room_for_a_text_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="room for 0 tokens"):
        shortened(tokenizer.encode(text(5)), 2)
