"""What a search goes on with: the native part finds the same among logits as torch does, and equal searches follow."""

import pytest
import torch

from glassformer.decoding.chooser import best_of, log_probabilities_of
from glassformer.engine.native import BestFew
from glassformer.nn.twin import Continuations


def by_torch(logits: torch.Tensor, totals: list[float], beams: int, width: int) -> Continuations:
    said = log_probabilities_of(logits)
    return best_of(said, said, totals, beams, width)


def best_of_logits(logits: torch.Tensor, totals: list[float], beams: int, width: int, threads: int) -> Continuations:
    return BestFew(len(logits), beams, width, logits.shape[1], threads).of(logits, totals)


def both(
    sentences: int, beams: int, width: int, vocabulary: int, threads: int = 1, spread: float = 3.0
) -> tuple[Continuations, Continuations]:
    torch.manual_seed(sentences + beams * width + vocabulary)
    logits = spread * torch.randn(sentences * beams, vocabulary) + 20.0
    totals = (-9.0 * torch.rand(sentences * beams).double()).tolist()
    return best_of_logits(logits, totals, beams, width, threads), by_torch(logits, totals, beams, width)


@pytest.mark.parametrize("vocabulary", [1, 2, 15, 16, 17, 63, 64, 65, 100, 5003])
@pytest.mark.parametrize(("beams", "width"), [(1, 1), (1, 3), (5, 10), (4, 12), (7, 1)])
def test_the_best_are_those_of_torch(beams: int, width: int, vocabulary: int, each_engine: None) -> None:
    found, wanted = both(3, beams, width, vocabulary)
    assert found.width == wanted.width == min(width, beams * vocabulary)
    assert found.tokens == wanted.tokens
    assert found.parents == wanted.parents
    assert found.totals == pytest.approx(wanted.totals, abs=2e-6)
    assert found.log_probabilities == pytest.approx(wanted.log_probabilities, abs=2e-6)


def test_threads_share_the_sentences(each_engine: None) -> None:
    assert both(9, 5, 10, 300, threads=2)[0] == both(9, 5, 10, 300, threads=1)[0]


@pytest.mark.parametrize("spread", [0.0, 1e-3, 40.0])
def test_a_total_is_the_sum_of_what_was_and_what_is(spread: float, each_engine: None) -> None:
    """Also where all tokens are alike, of which the first ones are taken, and where one has all the probability."""
    found, wanted = both(4, 3, 6, 200, spread=spread)
    assert found.totals == pytest.approx(wanted.totals, abs=2e-6)
    ranks = [found.totals[place : place + 6] for place in range(0, len(found.totals), 6)]
    assert all(ranked == sorted(ranked, reverse=True) for ranked in ranks)
    if not spread:
        assert found.tokens == [0, 1, 2, 3, 4, 5] * 4
        assert all(len(set(found.parents[place : place + 6])) == 1 for place in range(0, 24, 6))


def test_of_equals_the_one_that_stands_first(each_engine: None) -> None:
    logits = torch.zeros(4, 50)
    logits[:, [7, 20, 21, 49]] = 2.0
    found = best_of_logits(logits, [0.0, 0.0, -1.0, 0.5], 2, 5, 1)
    assert found.tokens == [7, 20, 21, 49, 7, 7, 20, 21, 49, 7]
    assert found.parents == [0, 0, 0, 0, 1, 1, 1, 1, 1, 0]


def test_idle_rows_have_no_continuations(each_engine: None) -> None:
    logits = torch.randn(6, 40)
    totals = [-1.0, -torch.inf, -torch.inf, -torch.inf, -torch.inf, -torch.inf]
    found = best_of_logits(logits, totals, 3, 6, 1)
    alone = best_of_logits(logits[:1], totals[:1], 1, 6, 1)
    assert (found.tokens[:6], found.totals[:6]) == (alone.tokens, alone.totals)
    assert found.totals[6:] == [-torch.inf] * 6
