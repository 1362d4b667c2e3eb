"""Minimum Bayes risk: the answer that the others agree with most, beside its definition and rouge-score."""

import math
import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from glassformer.decoding.agreement import agreements, longest, most_agreed_first
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Hypothesis
from glassformer.decoding.search import search

from .test_search import END, SOURCES, question, translator

WAYS = {
    "beams": Decoding(num_beams=5, max_new_tokens=7),
    "groups": Decoding(num_beams=6, num_beam_groups=3, diversity_penalty=1.0, max_new_tokens=7),
    "drawn beams": Decoding(num_beams=4, do_sample=True, seed=2, max_new_tokens=7),
}


def test_the_longest_common_subsequence() -> None:
    chosen = random.Random(5)
    for _ in range(200):
        one, other = (chosen.choices("abcd", k=chosen.randint(0, 70)) for _ in range(2))
        table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
        for i, left in enumerate(one):
            for j, right in enumerate(other):
                table[i + 1][j + 1] = (
                    table[i][j] + 1 if left == right else max(table[i][j + 1], table[i + 1][j])
                )
        assert longest(one, other) == table[-1][-1]


@pytest.mark.parametrize("power", [0.1, 0.5, 1.0, 3.0])
def test_agreement_is_the_expected_rouge(power: float) -> None:
    scorer, chosen = RougeScorer(["rougeL"]), random.Random(1)
    for _ in range(30):
        drawn = (tuple(chosen.choices("abcdefg", k=chosen.randint(1, 9))) for _ in range(chosen.randint(1, 6)))
        texts = list(dict.fromkeys(drawn))
        logs = [chosen.uniform(-9, 0) for _ in texts]
        weights = [math.exp(log) ** power for log in logs]
        wanted = [
            sum(
                weight * scorer.score(" ".join(other), " ".join(one))["rougeL"].fmeasure
                for other, weight in zip(texts, weights, strict=True)
            )
            / sum(weights)
            for one in texts
        ]
        assert agreements(texts, logs, power) == pytest.approx(wanted, abs=1e-12)


def test_improbable_texts_leave_the_others_as_they_are() -> None:
    assert agreements([(1, 2), (1, 3), (4, 4)], [-1e5, -1e5 - 1, -2e5], 1.0) == pytest.approx(
        [*agreements([(1, 2), (1, 3)], [0, -1], 1.0), 0.0]
    )


def test_the_middle_comes_first_and_of_equals_the_better_one() -> None:
    ended = [
        Hypothesis(ids=ids, log_probabilities=(-1.0,) * len(ids), score=-float(place), closed=True)
        for place, ids in enumerate([(7, 8, 9), (1, 2, 9), (1, 3, 9), (1, 2, 3)])
    ]
    assert [each.ids for each in most_agreed_first(ended, 1.0)] == [(1, 2, 9), (1, 3, 9), (1, 2, 3), (7, 8, 9)]
    likeliest = [*ended[1:], Hypothesis(ids=(7,), log_probabilities=(-0.5,), score=-0.5, closed=True)]
    assert most_agreed_first(likeliest, 100.0)[0].ids == (7,)  # at a high power each but the likeliest weighs nothing


def test_what_two_groups_ended_in_counts_once() -> None:
    one, two, three = (1, 2, 3), (1, 2, 4), (7, 8, 9)
    once = agreements([one, two, three], [-1.0, -2.0, -1.5], 1.0)
    twice = agreements([one, three, two, three], [-1.0, -1.5, -2.0, -1.5], 1.0)
    assert twice == pytest.approx([once[0], once[2], once[1], once[2]])


@pytest.mark.parametrize("way", WAYS)
def test_the_same_hypotheses_in_another_order(way: str) -> None:
    model, batch, options = translator(6), question(*SOURCES), WAYS[way]
    every = search(model, batch, options.changed(num_return_sequences=options.num_beams), ends=[END])
    agreed = options.changed(agreement_power=0.5)
    found = search(model, batch, agreed.changed(num_return_sequences=3), ends=[END])
    assert found == [most_agreed_first(each, 0.5)[:3] for each in every]
    assert search(model, batch, agreed, ends=[END]) == [each[:1] for each in found]
    assert any(one[0] != other[0] for one, other in zip(every, found, strict=True))


def test_where_there_is_one_beam_there_is_nothing_to_compare() -> None:
    model, batch = translator(4), question(*SOURCES)
    for options in (Decoding(max_new_tokens=7), Decoding(penalty_alpha=0.6, top_k=4, max_new_tokens=7)):
        found = search(model, batch, options.changed(agreement_power=0.5), ends=[END])
        assert found == search(model, batch, options, ends=[END])
