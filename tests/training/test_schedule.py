"""Learning rates against their closed forms."""

import math

import pytest

from glassformer.training.schedule import SHAPES, Schedule


def test_inverse_square_root_is_the_papers_formula() -> None:
    """d_model^-0.5 * min(step^-0.5, step * warmup^-1.5), whose peak is at the end of the warm-up."""
    d_model, warmup = 512, 4000
    schedule = Schedule(shape="inverse-square-root", peak=(d_model * warmup) ** -0.5, warmup=warmup)
    for step in (1, 100, 3999, 4000, 4001, 100_000):
        expected = d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)
        assert schedule.rate(step, math.inf) == pytest.approx(expected, rel=1e-12)


def test_cosine_and_linear_fall_from_the_peak_to_zero_after_the_last_step() -> None:
    cosine = Schedule(shape="cosine", peak=2.0, warmup=10)
    linear = Schedule(shape="linear", peak=2.0, warmup=10)
    assert cosine.rate(10, 109) == linear.rate(10, 109) == 2.0
    assert cosine.rate(60, 109) == pytest.approx(1.0)
    assert cosine.rate(35, 109) == pytest.approx(1 + math.cos(math.pi / 4))
    assert linear.rate(60, 109) == pytest.approx(1.0)
    assert linear.rate(109, 109) == pytest.approx(2.0 / 100)
    assert linear.rate(110, 109) == cosine.rate(110, 109) == 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_rises_in_a_straight_line_and_never_exceeds_its_peak(shape: str) -> None:
    schedule = Schedule(shape=shape, peak=0.5, warmup=20, cooldown=0.25)
    rates = [schedule.rate(step, 100) for step in range(1, 101)]
    assert rates[:20] == pytest.approx([0.5 * step / 20 for step in range(1, 21)], rel=0.4)
    assert max(rates) <= 0.5
    assert min(rates) > 0
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_cooldown_falls_to_zero_over_the_last_share_of_the_run() -> None:
    schedule = Schedule(shape="constant", peak=1.0, warmup=0, cooldown=0.2)
    assert [schedule.rate(step, 99) for step in (1, 80, 90, 95)] == pytest.approx([1.0, 1.0, 0.5, 0.25])
    assert schedule.rate(10**6, math.inf) == 1.0


def test_a_run_shorter_than_its_warm_up_still_learns() -> None:
    for shape in SHAPES:
        assert Schedule(shape=shape, peak=1.0, warmup=100).rate(3, 5) == pytest.approx(0.03)
