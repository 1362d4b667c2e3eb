"""The laws of a search, on models whose answers are planned and on small random ones."""

import itertools
import math

import pytest
import torch

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch, pad
from glassformer.decoding.options import Decoding
from glassformer.decoding.reader import left_padded
from glassformer.decoding.records import Candidates, Hypothesis
from glassformer.decoding.search import search, stream
from glassformer.errors import InputError
from glassformer.model import Transformer

START, END = 0, 1
IMPOSSIBLE = -1e4


def translator(seed: int, vocab_size: int = 12, **changes: object) -> Transformer:
    torch.manual_seed(seed)
    sizes = {
        "d_model": 8,
        "heads": 2,
        "d_ff": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "max_positions": 40,
    }
    config = TransformerConfig(
        stack="encoder-decoder", vocab_size=vocab_size, dtype="float64", **{**sizes, **changes}
    )
    model = Transformer(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    return model


def question(*sources: list[int]) -> Batch:
    ids, mask = pad(sources, 0)
    return Batch(source=ids, source_mask=mask, target=torch.full((len(sources), 1), START))


def said(
    model: Transformer, batch: Batch, row: int, answers: list[tuple[int, ...]]
) -> list[list[list[float]]]:
    """The log-probabilities after each token of answers of one length, all computed anew, nothing padded."""
    assert batch.source is not None
    mask = batch.source_mask
    source = batch.source[row] if mask is None else batch.source[row][mask[row]]
    target = torch.tensor([[START, *ids] for ids in answers])
    with torch.no_grad():
        return model(source.expand(len(answers), -1), target).log_softmax(-1).tolist()


def plain_beam_search(model: Transformer, batch: Batch, row: int, options: Decoding) -> list[Hypothesis]:
    """The textbook's search on lists, one sentence, nothing kept from step to step."""
    open_ones: list[tuple[tuple[int, ...], tuple[float, ...]]] = [((), ())]
    ended: list[Hypothesis] = []
    for length in range(1, options.max_new_tokens + 1):
        continued = []
        values = said(model, batch, row, [ids for ids, _ in open_ones])
        for (ids, logs), after in zip(open_ones, values, strict=True):
            continued += [((*ids, token), (*logs, value)) for token, value in enumerate(after[-1])]
        continued.sort(key=lambda one: -sum(one[1]))
        del continued[2 * options.num_beams :]
        over = [one for one in continued if one[0][-1] == END or length == options.max_new_tokens]
        for one in over:
            if continued.index(one) < options.num_beams:
                score = sum(one[1]) / length**options.length_penalty
                ended.append(
                    Hypothesis(ids=one[0], log_probabilities=one[1], score=score, closed=one[0][-1] == END)
                )
        ended = sorted(ended, key=lambda one: -one.score)[: options.num_beams]
        open_ones = [one for one in continued if one not in over][: options.num_beams]
        if not open_ones:
            break
        best = sum(open_ones[0][1]) / length**options.length_penalty
        if len(ended) == options.num_beams and best <= ended[-1].score:
            break
    return ended[: options.num_return_sequences]


def close(ours: list[Hypothesis], theirs: list[Hypothesis]) -> bool:
    return [(one.ids, one.closed) for one in ours] == [(one.ids, one.closed) for one in theirs] and all(
        math.isclose(a.score, b.score, rel_tol=1e-10)
        and all(map(lambda x, y: abs(x - y) < 1e-10, a.log_probabilities, b.log_probabilities))
        for a, b in zip(ours, theirs, strict=True)
    )


SOURCES = ([3, 4, 5, 6, 1], [7, 1], [8, 9, 3, 1], [4, 1])


@pytest.mark.parametrize("beams", [1, 2, 5])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary", "relative"])
def test_a_cached_padded_batch_finds_what_a_plain_search_finds(beams: int, positions: str) -> None:
    model = translator(beams, positions=positions)
    options = Decoding(num_beams=beams, max_new_tokens=7, num_return_sequences=beams)
    batch = question(*SOURCES)
    found = search(model, batch, options, ends=[END])
    for row, hypotheses in enumerate(found):
        assert close(hypotheses, plain_beam_search(model, batch, row, options))


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, -0.5])
@pytest.mark.parametrize("seed", range(3))
def test_enough_beams_find_the_best_of_all_answers(seed: int, penalty: float) -> None:
    """Four tokens, four steps: all 3^3 open beginnings fit into the beam, so nothing can be missed."""
    model, batch, longest = translator(seed, vocab_size=4), question([3, 2, 1]), 4
    scores: dict[tuple[int, ...], float] = {}
    answers = list(itertools.product(range(4), repeat=longest))
    for ids, values in zip(answers, said(model, batch, 0, answers), strict=True):
        length = ids.index(END) + 1 if END in ids else longest
        total = sum(values[place][token] for place, token in enumerate(ids[:length]))
        scores[ids[:length]] = total / length**penalty
    options = Decoding(
        num_beams=81,
        max_new_tokens=longest,
        length_penalty=penalty,
        early_stopping="never",
        num_return_sequences=10,
    )
    found = search(model, batch, options, ends=[END])[0]
    best = sorted(scores, key=lambda ids: -scores[ids])[:10]
    assert [one.ids for one in found] == best
    assert [one.score for one in found] == pytest.approx([scores[ids] for ids in best], abs=1e-10)


def test_a_beam_of_one_is_greedy() -> None:
    model, batch = translator(3), question(*SOURCES)
    options = Decoding(max_new_tokens=9)
    greedy = search(model, batch, options, ends=[END])
    beam = search(model, batch, options, ends=[END], history=[])
    assert all(map(close, greedy, beam))


def test_a_batch_finds_what_each_sentence_finds_alone() -> None:
    model, options = (
        translator(4),
        Decoding(num_beams=3, max_new_tokens=8, num_return_sequences=3, beyond_source=3),
    )
    together = search(model, question(*SOURCES), options, ends=[END])
    alone = [search(model, question(source), options, ends=[END])[0] for source in SOURCES]
    assert all(map(close, together, alone))
    assert [len(one[0].ids) <= len(source) + 3 for one, source in zip(together, SOURCES, strict=True)]


def test_dropout_is_off_in_a_search_and_on_again_after_it() -> None:
    model, batch, options = translator(5, dropout=0.5), question(*SOURCES), Decoding(max_new_tokens=6)
    calm = search(model, batch, options, ends=[END])
    model.train()
    assert search(model, batch, options, ends=[END]) == calm
    assert model.training
    tokens = stream(model, batch, options, ends=[END])
    next(tokens)
    assert not model.training
    tokens.close()
    assert model.training


def test_the_stream_is_the_greedy_hypothesis() -> None:
    model, batch, options = translator(6), question(*SOURCES), Decoding(max_new_tokens=9)
    tokens = list(stream(model, batch, options, ends=[END], alternatives=3))
    for sentence, (hypothesis,) in enumerate(search(model, batch, options, ends=[END])):
        own = [token for token in tokens if token.sentence == sentence]
        assert tuple(token.id for token in own) == hypothesis.ids
        assert tuple(token.log_probability for token in own) == hypothesis.log_probabilities
        assert [token.position for token in own] == list(range(len(own)))
    assert all(token.alternatives[0] == (token.id, token.log_probability) for token in tokens)
    assert {len(token.alternatives) for token in tokens} == {3}


def test_beams_cannot_be_streamed() -> None:
    with pytest.raises(InputError, match="5 beams agree only at the end"):
        stream(translator(0), question([3, 1]), Decoding(num_beams=5), ends=[END])


def test_the_history_is_the_tree_of_the_search() -> None:
    """Walking from a candidate to its parents spells its hypothesis; asking for it changes nothing."""
    model, batch = translator(7), question(*SOURCES)
    options = Decoding(num_beams=3, max_new_tokens=7, num_return_sequences=3)
    history: list[Candidates] = []
    found = search(model, batch, options, ends=[END], history=history)
    assert found == search(model, batch, options, ends=[END])
    for sentence, hypotheses in enumerate(found):
        levels = [level for level in history if level.sentence == sentence]
        assert [level.position for level in levels] == list(range(len(levels)))
        spelt: set[tuple[tuple[int, ...], float]] = set()
        beams: dict[int, tuple[int, ...]] = {0: ()}
        for level in levels:
            scores = [candidate.score for candidate in level.candidates]
            assert scores == sorted(scores, reverse=True)
            now = {}
            for candidate in level.candidates:
                ids = (*beams[candidate.parent], candidate.token)
                if candidate.ended:
                    spelt.add((ids, candidate.score))
                if candidate.beam is not None:
                    now[candidate.beam] = ids
            beams = now
        assert {one.ids for one in hypotheses} <= {ids for ids, _ in spelt}


def test_prompts_may_be_padded_on_either_side() -> None:
    config = TransformerConfig(
        stack="decoder", vocab_size=12, d_model=8, heads=2, d_ff=16, decoder_layers=2, max_positions=32,
        dtype="float64",
    )  # fmt: skip
    torch.manual_seed(0)
    model = Transformer(config)
    prompts = [[3, 4, 5], [6], [7, 8]]
    options = Decoding(num_beams=2, max_new_tokens=5, num_return_sequences=2)
    right, left = (pad(prompts, 2, side=side) for side in ("right", "left"))
    alone = [search(model, Batch(target=torch.tensor([p])), options, ends=[END])[0] for p in prompts]
    for ids, mask in (right, left):
        assert all(map(close, search(model, Batch(target=ids, target_mask=mask), options, ends=[END]), alone))
    assert left_padded(*right)[0].tolist() == left[0].tolist()


def spelling(*words: str) -> object:
    """A plan: the logits of the letters that go on with one of these words; a word's place is its rank."""

    def plan(ids: tuple[int, ...]) -> list[float]:
        logits = [IMPOSSIBLE] * 30
        for rank, word in enumerate(words):
            letters = [*(ord(letter) - 95 for letter in word), END]
            if ids[1:] == tuple(letters[: len(ids) - 1]) and len(ids) <= len(letters):
                logits[letters[len(ids) - 1]] = max(logits[letters[len(ids) - 1]], -float(rank))
        return logits

    return plan


def spelt(hypothesis: Hypothesis) -> str:
    return "".join(chr(token + 95) for token in hypothesis.ids if token != END)


def start(rows: int = 1) -> Batch:
    return Batch(target=torch.full((rows, 1), START))


def test_greedy_follows_the_likeliest_letter(scripted: type) -> None:
    model = scripted(spelling("abc", "abd", "x"))
    (hypothesis,) = search(model, start(), Decoding(), ends=[END])[0]
    assert spelt(hypothesis) == "abc"
    assert hypothesis.closed
    assert len(hypothesis.log_probabilities) == 4


def test_beams_hand_back_the_best_first_and_as_many_as_asked(scripted: type) -> None:
    model = scripted(spelling("abc", "abd", "xyz"))
    found = search(
        model, start(), Decoding(num_beams=3, num_return_sequences=3, length_penalty=0.0), ends=[END]
    )[0]
    assert [spelt(one) for one in found] == ["abc", "abd", "xyz"]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_the_length_penalty_chooses_between_short_and_long(scripted: type) -> None:
    def plan(ids: tuple[int, ...]) -> list[float]:
        """Stop now with probability 0.6, or go on to a long word that is certain from there."""
        probability = {1: {END: 0.6, 5: 0.4}}.get(len(ids), {END if len(ids) == 6 else 5: 1.0})
        return [math.log(probability.get(token, 1e-9)) for token in range(8)]

    short, long = (
        search(scripted(plan), start(), Decoding(num_beams=2, length_penalty=penalty), ends=[END])[0][0]
        for penalty in (0.0, 1.0)
    )
    assert short.ids == (END,)
    assert long.ids == (5, 5, 5, 5, 5, END)
    assert long.score == pytest.approx(sum(long.log_probabilities) / 6)


def test_a_sentence_that_has_ended_costs_nothing_more(scripted: type) -> None:
    def plan(ids: tuple[int, ...]) -> list[float]:
        length = ids[0]  # the prompt says how long its answer is
        return [0.0 if token == (END if len(ids) >= length else 9) else IMPOSSIBLE for token in range(10)]

    model = scripted(plan)
    prompts = Batch(target=torch.tensor([[1], [3], [6]]))
    found = search(model, prompts, Decoding(), ends=[END])
    assert [len(one.ids) for (one,) in found] == [1, 3, 6]
    assert model.read == 1 + 3 + 6


def test_what_is_not_closed_says_so(scripted: type) -> None:
    model = scripted(spelling("abcdef"))
    for beams in (1, 3):
        best = search(model, start(), Decoding(num_beams=beams, max_new_tokens=3), ends=[END])[0][0]
        assert spelt(best) == "abc"
        assert not best.closed


def test_any_of_several_tokens_may_close(scripted: type) -> None:
    model = scripted(spelling("abc"))
    for beams in (1, 2):
        best = search(model, start(), Decoding(num_beams=beams), ends=[END, ord("b") - 95])[0][0]
        assert spelt(best) == "ab"
        assert best.closed


def test_nothing_may_close(scripted: type) -> None:
    for beams in (1, 2):
        best = search(
            scripted(spelling("abc")), start(), Decoding(num_beams=beams, max_new_tokens=4), ends=[]
        )[0][0]
        assert best.ids == (2, 3, 4, END)
        assert not best.closed


def test_positions_end_a_translation_where_they_end(scripted: type) -> None:
    model = scripted(lambda ids: [0.0 if token == 5 else IMPOSSIBLE for token in range(8)], max_positions=4)
    batch = Batch(source=torch.zeros(1, 2, dtype=torch.long), target=torch.full((1, 1), START))
    for options in (Decoding(), Decoding(max_new_tokens=None), Decoding(num_beams=2)):
        assert len(search(model, batch, options, ends=[END])[0][0].ids) == 4  # the last is never read again
    options = Decoding(penalty_alpha=0.5, top_k=2)
    assert len(search(model, batch, options, ends=[END])[0][0].ids) == 3  # here it is
    unbounded = scripted(model.plan, max_positions=4, positions="relative")
    assert len(search(unbounded, batch, Decoding(max_new_tokens=9), ends=[END])[0][0].ids) == 9


def test_a_prompt_longer_than_the_positions_is_refused(scripted: type) -> None:
    model = scripted(spelling("a"), max_positions=4)
    prompt = Batch(target=torch.zeros(1, 5, dtype=torch.long))
    with pytest.raises(InputError, match="the text has 5 tokens, but this model has 4 positions; shorten"):
        search(model, prompt, Decoding(), ends=[END])


def test_a_vocabulary_smaller_than_the_beam(scripted: type) -> None:
    model = scripted(lambda ids: [0.0, -1.0, -2.0])
    found = search(
        model, start(2), Decoding(num_beams=8, max_new_tokens=3, num_return_sequences=8), ends=[END]
    )
    assert [len(one) for one in found] == [8, 8]
    assert len({one.ids for one in found[0]}) == 8


def test_early_stopping(scripted: type) -> None:
    """The first two ends fill the beam; a better one comes later, for a search that waits."""

    def plan(ids: tuple[int, ...]) -> list[float]:
        first = {END: 0.3, 5: 0.45, 6: 0.25}
        later = {1: first, 2: {END: 0.55, 5: 0.45}}.get(len(ids), {END: 1.0})
        return [math.log(later.get(token, 1e-9)) for token in range(8)]

    def steps(early_stopping: bool | str) -> int:
        history: list[Candidates] = []
        options = Decoding(num_beams=2, early_stopping=early_stopping, length_penalty=1.0)
        search(scripted(plan), start(), options, ends=[END], history=history)
        return len(history)

    assert steps(True) == 2
    assert steps(True) <= steps(False) <= steps("never")


def test_a_row_of_nothing_but_padding_is_refused() -> None:
    model = translator(3)
    batch = Batch(target=torch.zeros(2, 2, dtype=torch.long), target_mask=torch.tensor([[True, True], [False, False]]))
    with pytest.raises(InputError, match="a row has no token to go on from"):
        search(model, batch, Decoding(max_new_tokens=2), ends=[END])
