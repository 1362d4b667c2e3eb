"""Resamples are sacrebleu's, sums of statistics give the figures of the drawn examples, and intervals cover."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from glassformer.errors import InputError
from glassformer.evaluation import bootstrap
from glassformer.evaluation.bootstrap import Measured, Sums, draws, interval, share
from glassformer.evaluation.classification import single

WANTED = np.random.default_rng(1).integers(0, 3, 80)
PROBABILITIES = np.random.default_rng(2).dirichlet(np.ones(3), 80)
GIVEN = PROBABILITIES.argmax(-1)


def drawn(number: int, seed: int = bootstrap.SEED) -> np.ndarray:
    """The examples of each resample, as sacrebleu draws them."""
    return np.random.default_rng(seed).choice(len(WANTED), size=(number, len(WANTED)), replace=True)


@pytest.mark.parametrize("at_once", [2**22, 100, 1])
def test_draws_are_sacrebleus_however_many_are_held(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "AT_ONCE", at_once)
    counts = np.concatenate(list(draws(len(WANTED), 12)))
    expected = [np.bincount(chosen, minlength=len(WANTED)) for chosen in drawn(12)]
    assert (counts == np.array(expected)).all()


def test_figures_of_resamples_are_those_of_the_examples_drawn() -> None:
    found = single(WANTED, PROBABILITIES).resampled(40)
    for row, chosen in enumerate(drawn(40)):
        wanted, given = WANTED[chosen], GIVEN[chosen]
        assert found["accuracy"][row] == pytest.approx(100 * accuracy_score(wanted, given))
        assert found["macro_f1"][row] == pytest.approx(100 * f1_score(wanted, given, average="macro"))
        assert found["matthews"][row] == pytest.approx(100 * matthews_corrcoef(wanted, given))
        by_label = f1_score(wanted, given, average=None, labels=range(3), zero_division=0)
        assert found["label_f1"][row] == pytest.approx(100 * by_label)


def test_a_seed_repeats_and_another_differs() -> None:
    measured = single(WANTED, PROBABILITIES)
    one, again, other = (measured.resampled(20, seed)["nll"] for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_groups_are_measured_by_themselves() -> None:
    numbers = np.arange(80) % 2
    found = single(WANTED, PROBABILITIES).groups(numbers, 3)
    assert found["accuracy"].tolist() == pytest.approx(
        [100 * accuracy_score(WANTED[numbers == n], GIVEN[numbers == n]) for n in (0, 1)] + [0]
    )


def test_an_interval_leaves_out_a_fortieth_on_either_side() -> None:
    found = interval(np.arange(1000.0)[::-1])
    assert (found["low"], found["high"]) == (25, 974)
    assert found["interval"] == (974 - 25) / 2
    assert found["mean"] == pytest.approx(499.5)
    assert interval(None) == {}


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random, hits = np.random.default_rng(3), 0
    for _ in range(200):
        right = (random.random(150) < 0.8).astype(np.float64)
        found = Measured({"right": right, "examples": np.ones(150)}, accuracy)
        known = interval(found.resampled(200)["accuracy"])
        hits += known["low"] <= 80 <= known["high"]
    assert 0.90 <= hits / 200 <= 0.99


def accuracy(sums: Sums) -> Sums:
    return {"accuracy": share(sums["right"], sums["examples"])}


def test_nothing_can_be_measured_of_no_examples() -> None:
    with pytest.raises(InputError, match="no examples"):
        Measured({"right": np.zeros(0)}, accuracy)
