"""Texts gone on with: prompts, options by name, streams, and the run behind an answer."""

from pathlib import Path
from typing import Any

import pytest
import torch

import glassformer as gf
from glassformer import pretrained
from glassformer.config import TransformerConfig
from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.tasks.generation import LENGTH, GeneratedText, Generation
from glassformer.tasks.model import Model
from glassformer.text.tokenizer import Tokenizer

TEXTS = ["the cat sat on the mat and the dog sat on the cat", "Ünïcödé: 日本語, naïve café"] * 3
PROMPTS = ["the cat", "a", "the dog sat on", " ", "日"]


def writer(special: str = "gpt", kind: str = "byte-bpe", generation: dict[str, Any] | None = None) -> Model:
    """A random model that goes on with texts."""
    tokenizer = Tokenizer.train(kind, TEXTS, vocab_size=300, special=special)
    config = TransformerConfig(
        stack="decoder", vocab_size=tokenizer.vocab_size, d_model=16, heads=2, d_ff=32, decoder_layers=2,
        max_positions=48, dtype="float64",
    )  # fmt: skip
    torch.manual_seed(0)
    transformer = Transformer(config).eval()
    for parameter in transformer.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    checkpoint = pretrained.Checkpoint(
        transformer=transformer,
        family="transformer",
        raw={"model_type": "transformer"},
        generation={"max_new_tokens": 12} if generation is None else generation,
    )
    return Model(checkpoint, tokenizer)


@pytest.fixture(scope="module")
def model() -> Model:
    return writer()


def test_an_answer_is_the_text_with_what_was_written_behind_it(model: Model) -> None:
    for prompt, answer in zip(PROMPTS, model(PROMPTS), strict=True):
        assert isinstance(answer, GeneratedText)
        assert str(answer) == answer.text == prompt + answer.new
        assert answer.new == model.tokenizer.decode(answer.ids)
        assert len(answer.ids) == len(answer.log_probabilities) == 12
        assert answer.tokens == tuple(map(model.tokenizer.token, answer.ids))
        assert answer.score == pytest.approx(sum(answer.log_probabilities) / 12)
        assert not answer.complete


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 3, "num_return_sequences": 2},
        {"temperature": 1.3, "seed": 1, "num_return_sequences": 2},
        {"penalty_alpha": 0.5, "top_k": 4},
        {"max_new_tokens": 55},  # beyond the positions
    ],
    ids=str,
)
def test_batches_change_nothing(model: Model, options: dict[str, Any]) -> None:
    together = model(PROMPTS, **options)
    in_lots = model.task.answer(model.transformer, PROMPTS, tokens=1, **options)
    for prompt, answer, other in zip(PROMPTS, together, in_lots, strict=True):
        alone = model(prompt, **options)
        for one in (alone, other):
            assert (one.text, one.ids) == (answer.text, answer.ids)
            assert [each.ids for each in one.others] == [each.ids for each in answer.others]
            assert one.log_probabilities == pytest.approx(answer.log_probabilities, abs=1e-9)
        assert len(answer.others) == options.get("num_return_sequences", 1) - 1


def test_options_go_by_their_names(model: Model) -> None:
    assert len(model("a", max_new_tokens=3).ids) == 3
    drawn = [model("a", temperature=0.8, seed=seed).ids for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert model("a", decoding=Decoding(max_new_tokens=5), seed=1) == model("a", max_new_tokens=5)
    with pytest.raises(InputError, match="no option 'temprature'; did you mean temperature"):
        model("a", temprature=0.8)
    with pytest.raises(InputError, match="top_k is 0; try 4"):
        model.task.check(model.transformer, ["a"], penalty_alpha=0.6)


def test_a_stop_string_ends_a_text_and_is_no_part_of_it(model: Model) -> None:
    whole = model("the cat").new
    stop = whole[3:5]
    answer = model("the cat", stop_strings=stop)
    assert answer.new == whole[: whole.index(stop)]
    assert answer.complete
    assert stop in model.tokenizer.decode(answer.ids)


def test_an_answer_starts_with_what_is_asked_for(model: Model) -> None:
    answer = model("the cat", forced_prefix=" and the dog", bad_words=[" cat", "dog"])
    assert answer.new.startswith(" and the dog")
    assert " cat" not in answer.new


def test_a_closing_token_completes_a_text(model: Model) -> None:
    banned = [[token] for token in range(model.tokenizer.vocab_size) if token != model.tokenizer.eos_id]
    answer = model("the", bad_words_ids=banned)
    assert answer.ids == (model.tokenizer.eos_id,)
    assert answer.complete
    assert answer.text == "the"


# ------------------------------------------------------------------ prompts


def test_an_empty_text_begins_with_the_token_that_begins_texts(model: Model) -> None:
    assert model.task.prompts([""], model.config) == [[model.tokenizer.bos_id]]
    assert model("").text == model("").new
    lacking = writer(special="bert", kind="wordpiece")
    with pytest.raises(InputError, match="no token to begin one with; give at least one word"):
        lacking("")


def test_what_closes_a_text_is_no_part_of_its_beginning() -> None:
    """This tokenizer puts <eos> behind every text; one that is gone on with has not ended."""
    model = writer(special="translation", kind="unigram")
    bos, eos = model.tokenizer.bos_id, model.tokenizer.eos_id
    assert model.tokenizer.encode("the cat").ids[-1] == eos
    ids = model.task.prompts(["the cat", ""], model.config)
    assert eos not in ids[0]
    assert model.tokenizer.decode(ids[0]) == "the cat"
    assert ids[1] == [bos]


def test_a_space_between_the_text_and_what_follows_is_kept() -> None:
    """Where a word's token carries the space before it, that space is lost when the new tokens are read alone."""
    model = writer(special="translation", kind="unigram")
    answer = model("the", forced_prefix="cat sat")
    assert answer.text.startswith("the cat sat")
    assert model.tokenizer.decode(answer.ids).startswith("cat sat")


def test_pairs_and_texts_beyond_the_positions_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match="a pair of texts was given"):
        model("a", "b")
    with pytest.raises(InputError, match=r"has \d+ tokens, but this model has 48 positions"):
        model("日本語 " * 40)


# ------------------------------------------------------------------ streams


@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 1.5, "seed": 4}, {"penalty_alpha": 0.5, "top_k": 3}, {"stop_strings": ["t", "ï"]}],
    ids=str,
)
def test_the_pieces_are_what_is_written(model: Model, options: dict[str, Any]) -> None:
    for prompt in PROMPTS:
        pieces = list(model.stream(prompt, **options))
        assert all(pieces)
        assert "".join(pieces) == model(prompt, **options).new


def test_the_first_piece_comes_before_the_last_token_is_chosen(model: Model) -> None:
    read = 0
    body = model.transformer.body

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal read
        read += 1
        return body(*args, **kwargs)

    vars(model.transformer)["body"] = counted
    try:
        pieces = model.stream("the cat", max_new_tokens=30, forced_prefix=" and the")
        assert next(pieces).startswith(" a")
        assert read < 10
        pieces.close()
    finally:
        del vars(model.transformer)["body"]


def test_beams_and_several_texts_are_not_streamed(model: Model) -> None:
    with pytest.raises(InputError, match="3 beams agree only at the end"):
        list(model.stream("a", num_beams=3))
    with pytest.raises(InputError, match="num_return_sequences is 2, but only one output can be watched"):
        list(model.stream("a", temperature=1.0, num_return_sequences=2))
    beams = writer(generation={"num_beams": 4, "num_return_sequences": 2, "max_new_tokens": 5})
    assert "".join(beams.stream("a")) == beams("a", num_beams=1, num_return_sequences=1).new


def test_translations_are_streamed_and_drawn_too() -> None:
    model = gf.load("worked-example")
    assert "".join(model.stream("I love data")) == model("I love data").text == "j' aime les données"
    assert model("I love data", num_beams=3, temperature=0.1, seed=1).text == "j' aime les données"
    assert model("I love data", stop_strings="les").text == "j' aime "
    assert model("I love data", forced_prefix="la").text.startswith("la")
    assert model("I love data", bad_words=["aime"]).text != model("I love data").text
    assert len(model("I love data", temperature=2.0, num_return_sequences=3, seed=1).others) == 2


def test_what_writes_nothing_streams_nothing() -> None:
    from .test_model import small

    model = small("sequence-label", labels=2, pooler=True)
    with pytest.raises(InputError, match="a stream was asked for, but this model writes no text"):
        model.stream("the cat")
    with pytest.raises(InputError, match="options of writing were given, but this model writes no text"):
        model.trace("the cat", max_new_tokens=3)


# ------------------------------------------------------------------ the run behind an answer


def test_the_run_is_the_one_whose_last_position_chose_the_last_token(model: Model) -> None:
    answer = model("the cat")
    trace = model.trace("the cat")
    assert trace.answer == answer.text
    prompt = model.task.prompts(["the cat"], model.config)[0]
    chosen = trace["head.probabilities"].value[0].argmax(-1).tolist()
    assert tuple(chosen[len(prompt) - 1 :]) == answer.ids
    assert len(trace.tokens["decoder"][0]) == len(chosen)
    assert trace.verify().max_error < 1e-10


def test_a_run_takes_options_and_ends_with_the_positions(model: Model) -> None:
    assert (
        len(model.trace("the cat", max_new_tokens=2).tokens["decoder"][0])
        == len(model.task.prompts(["the cat"], model.config)[0]) + 1
    )
    few = writer(generation={"max_new_tokens": 40})
    assert few("the cat").text.startswith(few.trace("the cat").answer)
    assert (
        len(few.trace("the cat").tokens["decoder"][0])
        == len(few.task.prompts(["the cat"], few.config)[0]) + 15
    )
    long = model.trace("the cat", max_new_tokens=90)
    assert len(long.tokens["decoder"][0]) == model.config.max_positions
    drawn = {str(model.trace("a", temperature=1.5).answer) for _ in range(3)}
    assert len(drawn) == 1


# ------------------------------------------------------------------ what a checkpoint says


def test_a_checkpoint_says_how_it_writes(tmp_path: Path) -> None:
    generation = {
        "do_sample": True, "temperature": 0.7, "top_p": 0.9, "max_new_tokens": 7, "max_length": 4096,
        "eos_token_id": [5, 6],
    }  # fmt: skip
    writer(generation=generation).save_pretrained(tmp_path)
    model = gf.load(tmp_path)
    assert isinstance(model.task, Generation)
    assert model.task.ends == (5, 6)
    expected = Decoding(do_sample=True, temperature=0.7, top_p=0.9, top_k=50, max_new_tokens=7)
    assert model.task.decoding == expected
    assert model("a", seed=3) == model("a", seed=3)
    assert model("a", do_sample=False) == model("a", do_sample=False)


def test_a_checkpoint_that_says_nothing_writes_as_usual() -> None:
    model = writer(generation={})
    assert model.task.decoding == Decoding(max_new_tokens=LENGTH)
    assert model.task.ends == (model.tokenizer.eos_id,)
