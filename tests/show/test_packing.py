"""What a page holds of a number is that number, or the nearest multiple of the unit that it tells."""

import numpy as np
import pytest
import torch

from glassformer.show.packing import Pack, Unit, numbers, plain, roundable, unpacked, usual_size


@pytest.mark.parametrize(
    ("size", "unit"),
    [(1.0, (1, 0)), (0.024, (2, 2)), (0.0199, (1, 2)), (0.9, (5, 1)), (70.0, (5, -1)), (3e-7, (2, 7))],
)
def test_a_unit_is_round(size: float, unit: tuple[int, int]) -> None:
    found = Unit.below(size)
    assert (found.digit, found.places) == unit
    assert found.size <= size < found.size * 2.5


@pytest.mark.parametrize("values", [[0.0], [1.0, -1.0, 1e-30, 3e38], [np.inf, -np.inf, np.nan, -0.0], []])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_exact_numbers_come_back_bit_for_bit(values: list[float], kind: torch.dtype) -> None:
    array = plain(torch.tensor(values, dtype=kind))
    pack = Pack()
    pack.exact(plain(torch.arange(5)))
    holder = pack.exact(array)
    _, block = unpacked(*pack.text({}))
    assert numbers(holder, block).tobytes() == array.tobytes()


@pytest.mark.parametrize("scale", [1e-9, 0.3, 1.0, 250.0, 1e7])
@pytest.mark.parametrize("relative", [1.0, 0.1, 1e-4, 1e-8])
def test_rounded_numbers_are_the_nearest_multiples(scale: float, relative: float) -> None:
    values = np.random.default_rng(3).normal(size=300) * scale
    values[0] *= 50  # one far out, as trained models have them
    unit = Unit.below(scale * relative)
    pack = Pack()
    pack.exact(np.arange(3, dtype="<i4"))
    holder = pack.rounded(values, unit)
    _, block = unpacked(*pack.text({"a": "é<"}))
    found = numbers(holder, block)
    assert np.abs(found - values).max() <= unit.size / 2 * (1 + 1e-6)
    counts = found / unit.size
    assert np.abs(counts - np.rint(counts)).max() < 1e-6 * max(1.0, np.abs(counts).max())


def test_a_rounded_number_is_the_decimal_that_is_shown() -> None:
    pack = Pack()
    holder = pack.rounded(np.array([0.1234, -7.0049, 0.0]), Unit(2, 3))
    _, block = unpacked(*pack.text({}))
    assert numbers(holder, block).tolist() == [0.124, -7.004, 0.0]


def test_one_byte_is_enough_for_small_counts() -> None:
    assert Pack().rounded(np.array([-128.0, 127.0]), Unit(1, 0))["width"] == 1
    assert Pack().rounded(np.array([-129.0, 127.0]), Unit(1, 0))["width"] == 2
    assert Pack().rounded(np.array([0.0, 70_000.0]), Unit(1, 0))["width"] == 3


def test_what_hides_is_not_rounded() -> None:
    assert roundable(np.array([1.0, -2.0]))
    assert not roundable(np.array([0.0, torch.finfo(torch.float32).min]))
    assert not roundable(np.array([0.0, np.inf]))
    assert not roundable(np.array([1, 2]))


def test_the_usual_size_is_that_of_the_middle_number_that_is_not_zero() -> None:
    assert usual_size(np.array([0.0, 0.0, 1.0, -2.0, 900.0])) == 2.0
    assert usual_size(np.zeros(3)) == 0.0
