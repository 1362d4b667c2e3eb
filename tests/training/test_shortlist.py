"""A shortlist is learnt from pairs: shares as IBM model 1 defines them, and lists of the largest of these."""

import random
from collections import defaultdict

import numpy as np
import pytest
import torch

import glassformer as gf
from glassformer.data.examples import Pair
from glassformer.decoding.shortlist import NONE
from glassformer.errors import InputError
from glassformer.training.shortlist import learn_shortlist, lexicon, likeliest

PAIRS = [
    Pair(source=source, target=target)
    for source, target in {
        "I love data science": "j' aime la science des données",
        "I love science": "j' aime la science",
        "I love data": "j' aime les données",
    }.items()
]


def by_the_book(sources: list[list[int]], targets: list[list[int]], rounds: int) -> dict[tuple[int, int], float]:
    """Brown et al. 1993, token by token: t(target | source)."""
    told: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(rounds):
        counts: dict[tuple[int, int], float] = defaultdict(float)
        for source, target in zip(sources, targets, strict=True):
            for word in target:
                whole = sum(told[other, word] for other in source)
                for other in source:
                    counts[other, word] += told[other, word] / whole
        totals: dict[int, float] = defaultdict(float)
        for (other, _), count in counts.items():
            totals[other] += count
        told = defaultdict(float, {key: count / totals[key[0]] for key, count in counts.items()})
    return dict(told)


@pytest.mark.parametrize("rounds", [1, 5])
def test_the_shares_are_those_of_ibm_model_1(rounds: int) -> None:
    chance = random.Random(2)
    sources = [[chance.randrange(7) for _ in range(chance.randrange(1, 6))] for _ in range(40)]
    targets = [[chance.randrange(11) for _ in range(chance.randrange(0, 6))] for _ in range(40)]
    expected = by_the_book(sources, targets, rounds)
    rows, columns, shares = lexicon(sources, targets, rounds)
    found = dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), shares.tolist(), strict=True))
    assert set(found) == set(expected)
    assert max(abs(found[key] - expected[key]) for key in expected) < 1e-12


def test_the_likeliest_stand_first_and_of_equals_the_lower() -> None:
    rows, columns = np.array([0, 0, 0, 2, 2]), np.array([3, 4, 5, 1, 0])
    table = likeliest(rows, columns, np.array([0.2, 0.5, 0.3, 0.5, 0.5]), 4, 2)
    assert table.tolist() == [[4, 5], [NONE, NONE], [0, 1], [NONE, NONE]]


def test_a_word_is_found_by_what_it_always_stands_beside() -> None:
    model = gf.load("worked-example")
    made = learn_shortlist(model, PAIRS, each=1, frequent=2)
    source, target = model.source_tokenizer or model.tokenizer, model.tokenizer
    (data,), (words,) = source.ids(["data"], special=False), target.ids(["données"], special=False)
    assert made.tokens[data].tolist() == [words]
    often = {target.token(id) for id in made.frequent.tolist()}
    assert often == {"j'", "aime"}
    assert made.vocabulary == model.config.vocab_size
    assert made.tokens.shape == (model.config.source_vocab_size or model.config.vocab_size, 1)


def test_with_what_was_learnt_from_its_own_answers_a_model_answers_the_same() -> None:
    model = gf.load("worked-example")
    made = learn_shortlist(model, PAIRS)
    for pair in PAIRS:
        assert str(model(pair.source, shortlist=made)) == pair.target
    assert torch.equal(made.tokens, learn_shortlist(model, PAIRS).tokens)


@pytest.mark.parametrize(
    ("name", "pairs", "said"),
    [("sentiment", PAIRS, "of a model that translates"), ("worked-example", [], "there are none")],
)
def test_what_nothing_is_learnt_from_is_refused(name: str, pairs: list[Pair], said: str) -> None:
    with pytest.raises(InputError, match=said):
        learn_shortlist(gf.load(name), pairs)
