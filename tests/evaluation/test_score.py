"""Figures in words, and their spread over runs."""

import statistics

import pytest

from glassformer import __version__
from glassformer.errors import InputError
from glassformer.evaluation.score import FIGURES, Score, lower_is_better, signature, spread, spreads


def test_a_score_in_words() -> None:
    known = Score(name="F1", value=51.234, signature="a:1", mean=51.0, interval=2.0, low=49.5, high=53.5)
    assert str(known) == "F1 51.23 (95 %: 49.50 to 53.50) [a:1]"
    assert str(Score(name="-log p", value=0.51234, signature="a:1", digits=4)) == "-log p 0.5123 [a:1]"


def test_a_signature_says_what_is_known() -> None:
    assert signature(stemmer=True, nrefs=2, start=None, case=False) == (
        f"stemmer:yes|nrefs:2|case:no|version:glassformer-{__version__}"
    )


def test_which_way_is_better() -> None:
    assert {name for name in FIGURES if lower_is_better(name)} == {
        *("loss", "nll", "brier", "calibration_error", "perplexity", "bits_per_byte")
    }
    assert not lower_is_better("something else")


def test_the_spread_of_runs() -> None:
    found = spread([90.0, 91.5, 92.0])
    assert (found.mean, found.deviation) == (
        statistics.mean([90.0, 91.5, 92.0]),
        statistics.stdev([90.0, 91.5, 92.0]),
    )
    assert str(found) == "91.17 ± 1.04 (3 runs: 90.00 to 92.00)"
    assert str(spread([90.0])) == "90.00 (1 run)"
    assert spread([90.0]).deviation == 0
    runs = [{"f1": 1.0, "nll": 2.0}, {"f1": 3.0}]
    assert {name: each.mean for name, each in spreads(runs).items()} == {"f1": 2.0}
    assert spreads([]) == {}


@pytest.mark.parametrize(("values", "said"), [([], "no runs"), ([1.0, float("nan")], "no number")])
def test_runs_without_a_figure_are_refused(values: list[float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        spread(values)
