"""Reading ahead: the same tokens without chance, the same distribution with it; guesses leave nothing behind."""

import math
from collections import Counter
from typing import Any

import pytest
import torch

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.reader import reader_of
from glassformer.decoding.sampling import Draw
from glassformer.decoding.search import search, stream
from glassformer.decoding.speculation import Ahead, Lookup
from glassformer.decoding.watching import Watch
from glassformer.engine.prepare import prepare
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.native.library import native
from glassformer.nn.twin import Draft

SMALL: dict[str, Any] = {"d_model": 16, "heads": 2, "d_ff": 24, "max_positions": 48, "dtype": "float64"}
WRITER = {"stack": "decoder", "decoder_layers": 2, "norm_first": True, "final_norm": True}
PAIR = {"stack": "encoder-decoder", "encoder_layers": 1, "decoder_layers": 1}
KINDS: dict[str, dict[str, Any]] = {
    "learned": WRITER,
    "rotary": {**WRITER, "positions": "rotary", "kv_heads": 1, "gated": True},
    "relative": {**WRITER, "positions": "relative", "relative_buckets": 8, "relative_distance": 9},
    "windows": {**WRITER, "positions": "rotary", "window": 3},
    "pair": {**PAIR, "positions": "sinusoidal"},
    "learned pair": {**PAIR, "positions": "learned"},
}
WAYS = {
    "plain": {},
    "long": {"max_new_tokens": 90},
    "one token": {"max_new_tokens": 1},
    "ruled": {"no_repeat_ngram_size": 3, "repetition_penalty": 1.2, "min_new_tokens": 8},
}


def model_of(kind: str, seed: int, vocabulary: int = 11, **changes: Any) -> Transformer:
    torch.manual_seed(seed)
    fields = {**SMALL, **KINDS[kind], "vocab_size": vocabulary, **changes}
    model = Transformer(TransformerConfig.from_dict(fields)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def asked(model: Transformer) -> Batch:
    source = None if model.encoder is None else torch.tensor([[3, 4, 5, 3, 4, 6, 3]])
    return Batch(source=source, target=torch.tensor([[3, 4, 5, 3, 4]]))


def written(model: Transformer, options: Decoding, ahead: Ahead | None = None) -> Any:
    ((found,),) = search(model, asked(model), options, ends=[2], ahead=ahead)
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_without_chance_the_tokens_are_the_same(kind: str, way: str) -> None:
    model, options = model_of(kind, 1), Decoding(**{"max_new_tokens": 30, **WAYS[way]})
    plain = written(model, options)
    looked, helped, alike = Ahead(), Ahead(model_of(kind, 2)), Ahead(model)
    others = [
        written(model, Decoding(**{**vars(options), "prompt_lookup_num_tokens": 3}), looked),
        written(model, options, helped),
        written(model, options, alike),
    ]
    for other in others:
        assert other.ids == plain.ids
        assert other.closed == plain.closed
        assert other.log_probabilities == pytest.approx(plain.log_probabilities, abs=1e-10)
    for ahead in (looked, helped, alike):
        assert 0 <= ahead.drafts.accepted <= ahead.drafts.drafted
    if len(plain.ids) > 8 and way == "plain":
        assert alike.drafts.share == 100.0
        assert alike.drafts.readings <= 2 + len(plain.ids) / 6
        assert looked.drafts.drafted + helped.drafts.drafted > 0


@pytest.mark.parametrize("use_native", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_reads_ahead_alike(kind: str, use_native: bool) -> None:
    if use_native and native() is None:
        pytest.skip("the native engine is not built, or this processor is of another kind")
    model, options = model_of(kind, 3, dtype="float32"), Decoding(max_new_tokens=30)
    assistant = model_of(kind, 4, dtype="float32")
    plain = written(model, options)
    for each in (model, assistant):
        prepare(each, "float32", use_native=use_native)
    for changes, helper in (({"prompt_lookup_num_tokens": 4}, None), ({}, assistant), ({}, model)):
        found = written(model, Decoding(**{**vars(options), **changes}), Ahead(helper))
        assert found.ids == plain.ids
        assert found.log_probabilities == pytest.approx(plain.log_probabilities, abs=1e-4)


def readings(model: Transformer, native_one: bool) -> Any:
    batch = asked(model)
    with torch.inference_mode():
        reader = reader_of(model, batch.source, None, quick=native_one)
        reader.read(batch.target)
    return reader


@pytest.mark.parametrize("native_one", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_forgotten_leaves_nothing_behind(kind: str, native_one: bool) -> None:
    if native_one and native() is None:
        pytest.skip("the native engine is not built, or this processor is of another kind")
    model = model_of(kind, 5, dtype="float32" if native_one else "float64")
    if native_one:
        prepare(model, "float32")
    near = {"rtol": 0, "atol": 1e-5 if native_one else 1e-10}
    ahead, plain = readings(model, native_one), readings(model, native_one)
    with torch.inference_mode():
        for turn in range(30):  # several pages of keys and values, all but one token of each turn forgotten
            tokens = [(3 + turn + n) % 11 for n in range(4)]
            room = None if ahead.limit is None else ahead.limit - ahead.held
            tokens = tokens if room is None else tokens[: max(room, 0)]
            if not tokens or ahead.held + 4 > model.config.max_positions:
                break
            ahead.read_ahead(tokens)
            ahead.look(0)
            plain.read_on(tokens[:1])
            torch.testing.assert_close(ahead.logits, plain.logits, **near)
            assert ahead.best([0.0], 1, 3).tokens == plain.best([0.0], 1, 3).tokens
            ahead.crop(len(tokens) - 1)
            assert ahead.held == plain.held
    assert turn > 10


SHARP = [3.0, 1.0, 0.5, -1.0, -2.0, 0.0]


def chi_square(counts: Counter[Any], expected: dict[Any, float], draws: int) -> float:
    return sum((counts[each] - draws * p) ** 2 / (draws * p) for each, p in expected.items())


@pytest.mark.parametrize("guess", ["drawn", "copied"])
@pytest.mark.parametrize("options", [{}, {"top_k": 3, "temperature": 1.5}, {"top_p": 0.9}])
def test_a_guess_changes_nothing_of_the_distribution(guess: str, options: dict[str, Any]) -> None:
    """Chi-square of 5 degrees is above 20.5 once in a thousand; taking every guess would make it thousands."""
    draw = Draw(Decoding(do_sample=True, seed=5, **options), 1, 1)
    scores = torch.tensor([SHARP]).log_softmax(-1)
    wanted = draw.filtered(scores).double().softmax(-1)[0]
    others = torch.tensor(SHARP[::-1]).double().softmax(-1)
    generator, draws, counts = torch.Generator().manual_seed(0), 20_000, Counter[Any]()
    taken = 0
    for token in others.multinomial(draws, replacement=True, generator=generator).tolist():
        draft = Draft(token, others) if guess == "drawn" else Draft(1)
        found = int(draw.agreed(scores, [0], draft))
        counts[found] += 1
        taken += found == draft.token
    expected = {token: p for token, p in enumerate(wanted.tolist()) if p > 0}
    assert set(counts) <= set(expected)
    assert chi_square(counts, expected, draws) < 20.5
    most = float(wanted.minimum(others).sum()) if guess == "drawn" else float(wanted[1])
    assert taken / draws == pytest.approx(most, abs=0.02)  # Leviathan et al. 2023, section 3.2: 1 - D(p, q)


@pytest.mark.parametrize("way", ["assistant", "lookup"])
def test_whole_texts_are_drawn_with_their_own_probability(way: str) -> None:
    """Three tokens of a vocabulary of five: 125 texts, each of a probability that is computed."""
    model, assistant = (model_of("learned", seed, vocabulary=5) for seed in (6, 7))
    prompt = [3, 4, 3, 4, 3]
    expected: dict[tuple[int, ...], float] = {(): 1.0}
    with torch.inference_mode():
        for _ in range(3):
            grown = {}
            for text, share in expected.items():
                shares = model(None, torch.tensor([[*prompt, *text]]))[0, -1].softmax(-1).tolist()
                grown |= {(*text, token): share * p for token, p in enumerate(shares)}
            expected = grown
    draws, counts, accepted = 1500, Counter[Any](), 0
    for seed in range(draws):
        lookup = 2 if way == "lookup" else None
        options = Decoding(do_sample=True, seed=seed, max_new_tokens=3, prompt_lookup_num_tokens=lookup)
        ahead = Ahead(assistant if way == "assistant" else None)
        ((found,),) = search(model, Batch(target=torch.tensor([prompt])), options, ends=[], ahead=ahead)
        counts[found.ids] += 1
        accepted += ahead.drafts.accepted
    rare = [text for text, p in expected.items() if draws * p < 5]
    joined = {text: p for text, p in expected.items() if text not in rare}
    counted = Counter({text: counts[text] for text in joined})
    counted["rare"], joined["rare"] = sum(counts[text] for text in rare), sum(expected[text] for text in rare)
    degrees = len(joined) - 1
    assert accepted > draws / 10
    assert chi_square(counted, joined, draws) < degrees + 4 * math.sqrt(2 * degrees)


def test_copies_are_of_the_longest_and_latest_match() -> None:
    def copied(ids: list[int], most: int = 3, before: tuple[int, ...] = ()) -> list[int]:
        return [draft.token for draft in Lookup(before, [0]).drafts(ids, most)]

    assert copied([1, 2, 3, 9, 2, 3]) == [9, 2, 3]
    assert copied([1, 2, 3, 9, 7, 3, 8, 2, 3]) == [9, 7, 3]  # two tokens in a row before one that is nearer
    assert copied([5, 6, 5, 7, 5]) == [7, 5]
    assert copied([1, 2, 3]) == []
    assert copied([3, 4, 0, 3]) == [4]  # behind an end there is nothing to read
    assert copied([3], before=(1, 3, 4, 5, 6)) == [4, 5, 6]
    assert copied([3], before=(1, 3, 4, 5, 6), most=1) == [4]


def test_pieces_come_alike_and_a_look_changes_nothing() -> None:
    model = model_of("learned", 8)
    options = Decoding(max_new_tokens=25, do_sample=True, seed=1, prompt_lookup_num_tokens=3)
    found = written(model, options)
    pieces = [token.id for token in stream(model, asked(model), options, ends=[2])]
    watch = Watch(keep=("head.logits",))
    ((seen,),) = search(model, asked(model), options, ends=[2], watch=watch)
    assert tuple(pieces) == found.ids == seen.ids
    assert len(watch.readings) == len(found.ids)


def test_several_texts_together_are_not_read_ahead() -> None:
    model, ahead = model_of("learned", 9), Ahead()
    both = Batch(target=torch.tensor([[3, 4, 3, 4], [5, 6, 5, 6]]))
    found = search(model, both, Decoding(max_new_tokens=5, prompt_lookup_num_tokens=2), ends=[], ahead=ahead)
    assert len(found) == 2
    assert ahead.drafts.readings == 0


def test_a_text_longer_than_the_assistant_is_written_without_it() -> None:
    model, ahead = model_of("rotary", 10, max_positions=48), Ahead(model_of("rotary", 10, max_positions=8))
    options = Decoding(max_new_tokens=20)
    assert written(model, options, ahead).ids == written(model, options).ids
    assert 0 < ahead.drafts.drafted < 20


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_beams": 2}, "reads ahead in one text alone; set num_beams"),
        ({"do_sample": True, "num_return_sequences": 2}, "num_return_sequences to 1"),
        ({"penalty_alpha": 0.5, "top_k": 4}, "penalty_alpha to 0"),
    ],
)
def test_searches_of_several_rows_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Decoding(prompt_lookup_num_tokens=3, **changes)
    model = model_of("learned", 1)
    with pytest.raises(InputError, match=said):
        written(model, Decoding(**changes), Ahead(model))


def test_an_assistant_of_another_kind_is_refused() -> None:
    model = model_of("learned", 1)
    with pytest.raises(InputError, match="the assistant's vocab_size is 12 and the model's 11"):
        written(model, Decoding(), Ahead(model_of("learned", 1, vocabulary=12)))
    with pytest.raises(InputError, match="the assistant's stack is 'encoder-decoder'"):
        written(model, Decoding(), Ahead(model_of("pair", 1)))


def test_an_edited_model_is_not_read_ahead() -> None:
    from glassformer.glass.touch import Touch

    model, ahead = model_of("learned", 1), Ahead()
    options = Decoding(max_new_tokens=6, prompt_lookup_num_tokens=3)
    with model.touching(Touch([])):
        written(model, options, ahead)
    assert ahead.drafts.readings == 0


