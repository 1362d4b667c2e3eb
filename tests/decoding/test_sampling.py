"""What may be drawn, beside transformers; and that what is drawn has the distribution that it should have."""

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import Tensor
from transformers.generation import logits_process as theirs

from glassformer.data.batch import Batch, pad
from glassformer.decoding.options import Decoding
from glassformer.decoding.sampling import Draw, filtered
from glassformer.decoding.search import search, stream

from .test_search import END, SOURCES, close, question, translator

OPTIONS = [
    {"temperature": 0.5},
    {"temperature": 2.0},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 500},
    {"top_p": 0.9},
    {"top_p": 0.3},
    {"top_p": 1e-9},
    {"min_p": 0.1},
    {"min_p": 1.0},
    {"typical_p": 0.9},
    {"typical_p": 0.2},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "typical_p": 0.95},
]
WARPERS = {
    "temperature": lambda value, least: theirs.TemperatureLogitsWarper(value),
    "top_k": lambda value, least: theirs.TopKLogitsWarper(value, min_tokens_to_keep=least),
    "top_p": lambda value, least: theirs.TopPLogitsWarper(value, min_tokens_to_keep=least),
    "min_p": lambda value, least: theirs.MinPLogitsWarper(value, min_tokens_to_keep=least),
    "typical_p": lambda value, least: theirs.TypicalLogitsWarper(value, min_tokens_to_keep=least),
}


@pytest.mark.parametrize("given", OPTIONS, ids=str)
@pytest.mark.parametrize("least", [1, 3])
@pytest.mark.parametrize("size", [8, 300])
def test_the_filters_leave_the_distribution_that_theirs_leave(
    given: dict[str, float], least: int, size: int
) -> None:
    torch.manual_seed(0)
    scores = 3 * torch.randn(40, size, dtype=torch.float64)
    scores[:, 2] = -torch.inf  # as a rule may have left it
    expected = scores
    for name in WARPERS:
        if name in given:
            expected = WARPERS[name](given[name], least)(None, expected)
    found = filtered(scores, Decoding(do_sample=True, **given), least)
    assert torch.equal(found, expected)


PROBABILITIES = [0.4, 0.3, 0.15, 0.1, 0.05]
DRAWS = 4000


def chi_squared(counts: Counter[tuple[int, ...]], expected: dict[tuple[int, ...], float]) -> float:
    """Pearson's measure of how far counts are from what is expected of them."""
    total = counts.total()
    assert set(counts) <= {key for key, share in expected.items() if share > 0}
    return sum(
        (counts[key] - total * share) ** 2 / (total * share) for key, share in expected.items() if share
    )


def limit(freedom: int) -> float:
    """What chi-squared passes once in ten thousand times (Wilson and Hilferty 1931)."""
    return freedom * (1 - 2 / (9 * freedom) + 3.719 * math.sqrt(2 / (9 * freedom))) ** 3


@pytest.mark.parametrize(
    ("given", "shares"),
    [
        ({}, PROBABILITIES),
        ({"top_k": 2}, [0.4 / 0.7, 0.3 / 0.7, 0, 0, 0]),
        ({"top_p": 0.8}, [0.4 / 0.85, 0.3 / 0.85, 0.15 / 0.85, 0, 0]),
        ({"min_p": 0.25}, [0.4 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.1 / 0.95, 0]),
        ({"temperature": 0.5}, [p * p / 0.285 for p in PROBABILITIES]),
    ],
)
def test_tokens_are_drawn_as_often_as_they_are_likely(
    scripted: type, given: dict[str, float], shares: list[float]
) -> None:
    """Two tokens in a row: the pairs have the product of the shares, so that the draws of an answer are independent."""
    model = scripted(lambda ids: [math.log(p) for p in PROBABILITIES])
    options = Decoding(do_sample=True, num_return_sequences=DRAWS, max_new_tokens=2, seed=3, **given)
    found = search(model, Batch(target=torch.zeros(1, 1, dtype=torch.long)), options, ends=[])[0]
    counts = Counter(one.ids for one in found)
    expected = {(a, b): shares[a] * shares[b] for a, b in itertools.product(range(5), repeat=2)}
    possible = sum(share > 0 for share in expected.values())
    assert chi_squared(counts, expected) < limit(possible - 1)


def test_nothing_without_probability_is_ever_drawn() -> None:
    draw = Draw(Decoding(do_sample=True, seed=0), 1, 1)
    draw.streams = [Always(chance) for chance in (0.0, 0.5, 1 - 2**-53)]  # type: ignore[misc, list-item]
    scores = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(3, -1)
    assert draw.one(scores, [0, 1, 2]).tolist() == [1, 3, 3]


class Always:
    """A stream of one number."""

    def __init__(self, chance: float) -> None:
        self.chance = chance

    def random(self) -> float:
        return self.chance


def test_places_drawn_together_differ_and_impossible_ones_say_so() -> None:
    draw = Draw(Decoding(do_sample=True, seed=1), 50, 1)
    scores = torch.randn(50, 9, dtype=torch.float64)
    scores[:, 4:] = -torch.inf
    places, possible = draw.several(scores, range(50), 6)
    assert possible.tolist() == [[True] * 4 + [False] * 2] * 50
    assert all(sorted(row[:4]) == [0, 1, 2, 3] for row in places.tolist())


def test_places_are_drawn_together_as_often_as_they_are_likely_one_by_one() -> None:
    torch.manual_seed(5)
    draw = Draw(Decoding(do_sample=True), DRAWS, 1)
    places, _ = draw.several(torch.tensor([PROBABILITIES]).log().expand(DRAWS, -1), range(DRAWS), 2)
    expected = {
        (a, b): PROBABILITIES[a] * PROBABILITIES[b] / (1 - PROBABILITIES[a])
        for a, b in itertools.permutations(range(5), 2)
    }
    assert chi_squared(Counter(map(tuple, places.tolist())), expected) < limit(19)


# ------------------------------------------------------------------ seeds

DRAWN = Decoding(do_sample=True, max_new_tokens=8, seed=11, temperature=1.5)


@pytest.mark.parametrize(
    "options",
    [DRAWN, DRAWN.changed(num_return_sequences=3), DRAWN.changed(num_beams=3)],
    ids=["one", "three", "beams"],
)
def test_a_seed_decides_the_answer_whatever_the_batch(options: Decoding) -> None:
    model = translator(4)
    together = search(model, question(*SOURCES), options, ends=[END])
    again = search(model, question(*SOURCES), options, ends=[END])
    assert together == again
    turned = search(model, question(*reversed(SOURCES)), options, ends=[END])[::-1]
    alone = [search(model, question(source), options, ends=[END])[0] for source in SOURCES]
    assert all(map(close, together, turned))
    assert all(map(close, together, alone))
    other = search(model, question(*SOURCES), options.changed(seed=12), ends=[END])
    assert [one.ids for one, *_ in other] != [one.ids for one, *_ in together]


def test_without_a_seed_torchs_generator_decides() -> None:
    model, options = translator(4), Decoding(do_sample=True, max_new_tokens=8)
    batch = question(*[SOURCES[0]] * 4)
    torch.manual_seed(0)
    first = search(model, batch, options, ends=[END])
    assert len({one.ids for (one,) in first}) > 1  # each row draws its own
    assert search(model, batch, options, ends=[END]) != first
    torch.manual_seed(0)
    assert search(model, batch, options, ends=[END]) == first


def test_more_answers_begin_with_the_same_ones() -> None:
    model, batch = translator(5), question(*SOURCES)
    few = search(model, batch, DRAWN.changed(num_return_sequences=2), ends=[END])
    many = search(model, batch, DRAWN.changed(num_return_sequences=5), ends=[END])
    assert [len(each) for each in many] == [5] * 4
    assert all(close(a, b[:2]) for a, b in zip(few, many, strict=True))
    assert len({one.ids for one in many[0]}) > 1


def test_the_sentence_is_read_once_for_all_its_answers(scripted: type) -> None:
    model = scripted(lambda ids: [0.0 if token == END else -1e4 for token in range(4)])
    options = Decoding(do_sample=True, num_return_sequences=7, seed=0)
    assert len(search(model, Batch(target=torch.zeros(1, 1, dtype=torch.long)), options, ends=[END])[0]) == 7
    assert model.read == 1


def test_what_is_drawn_is_told_with_the_models_own_probability() -> None:
    model, batch = translator(6), question(*SOURCES)
    options = DRAWN.changed(top_k=4, repetition_penalty=1.5)
    for row, (one,) in enumerate(search(model, batch, options, ends=[END])):
        logs = own_logs(model, batch, row, one.ids)
        assert one.log_probabilities == pytest.approx(logs, abs=1e-10)
        assert one.score == pytest.approx(sum(logs) / len(logs), abs=1e-10)


def own_logs(model: torch.nn.Module, batch: Batch, row: int, ids: tuple[int, ...]) -> list[float]:
    source, target = batch.source[row][batch.source_mask[row]], torch.tensor([[0, *ids[:-1]]])
    with torch.no_grad():
        logs: Tensor = model(source[None], target)[0].log_softmax(-1)
    return [float(logs[place, token]) for place, token in enumerate(ids)]


def test_a_stream_of_draws_is_what_is_drawn() -> None:
    model, batch = translator(6), question(*SOURCES)
    options = DRAWN.changed(num_return_sequences=2)
    tokens = list(stream(model, batch, options, ends=[END]))
    for sentence, hypotheses in enumerate(search(model, batch, options, ends=[END])):
        for number, hypothesis in enumerate(hypotheses):
            own = [each for each in tokens if (each.sentence, each.answer) == (sentence, number)]
            assert tuple(each.id for each in own) == hypothesis.ids


def test_at_no_temperature_at_all_draws_are_the_best() -> None:
    model, batch = translator(7), question(*SOURCES)
    greedy = search(model, batch, Decoding(max_new_tokens=8), ends=[END])
    cold = Decoding(max_new_tokens=8, do_sample=True, seed=0, temperature=1e-6)
    assert [one.ids for (one,) in search(model, batch, cold, ends=[END])] == [one.ids for (one,) in greedy]


def test_where_all_that_may_be_drawn_is_drawn_the_scores_decide(scripted: type) -> None:
    """Two tokens are kept for each beam, one that closes and one more; both are drawn, and the best come first."""
    model = scripted(lambda ids: [math.log(p) for p in (0.1, 0.2, 0.3, 0.4)])
    batch = Batch(target=torch.zeros(2, 1, dtype=torch.long))
    options = Decoding(num_beams=2, num_return_sequences=2, max_new_tokens=3, do_sample=True, top_k=1, seed=9)
    found = search(model, batch, options, ends=[0])
    assert [[one.ids for one in each] for each in found] == [[(3, 3, 3), (3, 3, 2)]] * 2


def test_prompts_of_one_batch_are_padded_and_drawn_alike() -> None:
    from glassformer.config import TransformerConfig
    from glassformer.model import Transformer

    torch.manual_seed(1)
    config = TransformerConfig(
        stack="decoder", vocab_size=12, d_model=8, heads=2, d_ff=16, decoder_layers=2, max_positions=32,
        dtype="float64",
    )  # fmt: skip
    model, prompts = Transformer(config), [[3, 4, 5], [6], [7, 8]]
    ids, mask = pad(prompts, 2)
    options = DRAWN.changed(no_repeat_ngram_size=2, repetition_penalty=1.2)
    together = search(model, Batch(target=ids, target_mask=mask), options, ends=[END])
    alone = [search(model, Batch(target=torch.tensor([p])), options, ends=[END])[0] for p in prompts]
    assert all(map(close, together, alone))
