import math

import numpy as np
import pytest

from glassformer.show.numbers import bar, factor, grid, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.87, "1.87"),
        (-2.0225, "−2.0225"),
        (0.50003, "0.5000"),  # not a round number, so its zeros stay
        (0.0, "0"),
        (3, "3"),
        (-1.7976931348623157e308, "−1.80e+308"),
        (7.4e-6, "7.40e−06"),
        (math.inf, "∞"),
        (math.nan, "no number"),
        (float(np.float32(0.93)), "0.93"),
    ],
)
def test_a_number_as_on_a_board(value: float, text: str) -> None:
    assert number(value) == text


def test_a_negative_factor_stands_in_parentheses() -> None:
    assert factor(-0.93) == "(−0.93)"


def test_a_column_is_aligned_at_the_point() -> None:
    assert grid(np.array([[1.5, 0.0], [-10.25, 1.0]])) == [["  1.50", "0   "], ["−10.25", "1.00"]]


def test_more_digits_are_shown_when_asked_for() -> None:
    assert number(1 / 3, 10) == "0.3333333333"


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(0.5, 8) == "████"
    assert bar(1.0, 8) == "████████"
    assert bar(0.0, 8) == ""
