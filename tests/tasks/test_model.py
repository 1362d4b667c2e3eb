"""A model as its user knows it: called on text, traced, saved, for every head."""

from pathlib import Path
from typing import Any

import pytest
import torch

import glassformer as gf
from glassformer import pretrained
from glassformer.config import TransformerConfig
from glassformer.model import Transformer
from glassformer.tasks.model import Model
from glassformer.text.tokenizer import Tokenizer

TRANSLATIONS = {
    "I love data science": "j' aime la science des données",
    "I love science": "j' aime la science",
    "I love data": "j' aime les données",
}
TEXT = "the cat sat on the mat and the dog sat on the cat"


@pytest.fixture(scope="module")
def worked() -> Model:
    return gf.load("worked-example")


def test_the_worked_example_translates_three_sentences(worked: Model) -> None:
    answers = worked(list(TRANSLATIONS))
    assert [str(answer) for answer in answers] == list(TRANSLATIONS.values())
    for answer in answers:
        assert min(answer.log_probabilities) > torch.tensor(0.99).log()


def test_the_first_rows_of_the_worked_example(worked: Model) -> None:
    trace = worked.trace("I love data science")
    assert trace["encoder.embedding.tokens"].value[0, 0].tolist() == [1.87, 0.09]
    assert trace["encoder.embedding.output"].value[0, 0].tolist() == [1.87, 1.09]
    assert trace.answer == TRANSLATIONS["I love data science"]
    assert trace.verify().max_error < 1e-10


def test_the_trace_of_an_answer_chooses_that_answer(worked: Model) -> None:
    """The last decoder run, read greedily, says the answer again."""
    trace = worked.trace("I love data science")
    chosen = trace["head.probabilities"].value[0].argmax(-1).tolist()
    assert worked.tokenizer.decode(chosen) == trace.answer
    assert worked.tokenizer.token(chosen[-1]) == "<eos>"


def test_an_edit_changes_what_comes_after_it_and_nothing_before(worked: Model) -> None:
    name = "encoder.layers.0.self_attention.weights"
    plain = worked.trace("I love data")
    edited = worked.trace("I love data", edits={name: torch.zeros_like})
    assert edited[name].edited
    before, after = "encoder.layers.0.self_attention.scores", "encoder.layers.0.self_attention.mixed"
    assert torch.equal(edited[before].value, plain[before].value)
    assert not edited[after].value.any()
    assert edited.verify().max_error < 1e-10


def test_a_word_outside_the_closed_vocabulary_is_refused(worked: Model) -> None:
    with pytest.raises(gf.InputError, match="cats"):
        worked("I love cats")


def test_empty_text_is_refused(worked: Model) -> None:
    with pytest.raises(gf.InputError, match="empty"):
        worked("  ")


def test_two_vocabularies_are_saved_and_read_again(worked: Model, tmp_path: Path) -> None:
    worked.save_pretrained(tmp_path)
    again = gf.load(tmp_path)
    assert str(again("I love science")) == TRANSLATIONS["I love science"]
    assert again.config == worked.config
    assert again.checkpoint.generation == worked.checkpoint.generation


# ------------------------------------------------------------------ the heads of readers and writers


def small(head: str, labels: int = 0, stack: str = "encoder", **fields: Any) -> Model:
    """A random model of this head, with a vocabulary learnt from one sentence."""
    kind = "wordpiece" if stack == "encoder" else "byte-bpe"
    tokenizer = Tokenizer.train(kind, [TEXT] * 3, vocab_size=300)
    layers = {"encoder": {"encoder_layers": 2}, "decoder": {"decoder_layers": 2}}[stack]
    config = TransformerConfig(
        stack=stack, vocab_size=tokenizer.vocab_size, d_model=16, heads=2, d_ff=32, max_positions=40, head=head,
        labels=labels, segments=2 if stack == "encoder" else 0, dtype="float64", **layers, **fields,
    )  # fmt: skip
    torch.manual_seed(0)
    names = tuple(f"label-{number}" for number in range(labels))
    checkpoint = pretrained.Checkpoint(
        transformer=Transformer(config).eval(),
        family="transformer",
        raw={"model_type": "transformer"},
        labels=names,
    )
    return Model(checkpoint, tokenizer)


def test_labels_of_a_text_and_of_a_pair() -> None:
    model = small("sequence-label", labels=3, pooler=True)
    one, two = model([TEXT, "the dog"])
    assert sum(one.probabilities.values()) == pytest.approx(1.0)
    assert one.label in model.checkpoint.labels
    assert one.probability == max(one.probabilities.values())
    alone = model("the dog")
    assert alone.label == two.label
    assert alone.probability == pytest.approx(two.probability, abs=1e-12)
    assert model("the dog", "the cat").probabilities != alone.probabilities


def test_tags_stand_where_their_characters_do() -> None:
    answer = small("token-label", labels=4)("the cat sat")
    assert [("the cat sat"[tag.start : tag.end]) for tag in answer.tags] == ["the", "cat", "sat"]


def test_an_answer_is_a_piece_of_its_context() -> None:
    context = "the cat sat on the mat"
    answer = small("answer-span")("the dog", context)
    assert answer.text == context[answer.start : answer.end]
    assert answer.text
    assert 0 < answer.probability < 1


def test_a_question_without_its_context_is_refused() -> None:
    with pytest.raises(gf.InputError, match="context"):
        small("answer-span")("the dog")


def test_hidden_words_are_filled_in() -> None:
    model = small("masked-language-model", output_transform=True, output_bias=True)
    answer = model("the [MASK] sat")
    assert len(answer.candidates) == 1
    assert answer.candidates[0][0][0] in str(answer)
    with pytest.raises(gf.InputError, match=r"\[MASK\]"):
        model("the cat sat")


def test_a_checkpoint_without_a_head_gives_rows() -> None:
    model = small("hidden", pooler=True)
    short, long = model(["the cat", TEXT])
    assert short.rows.shape == (4, 16)
    assert torch.allclose(short.rows, model("the cat").rows, atol=1e-12, rtol=0)
    assert len(long.tokens) == len(long.rows)


def test_a_language_model_goes_on() -> None:
    answer = small("language-model", stack="decoder", norm_first=True, final_norm=True)("the cat")
    assert str(answer).startswith("the cat")
    assert str(answer) == "the cat" + answer.new


@pytest.mark.parametrize(
    ("head", "labels", "text"),
    [
        ("sequence-label", 2, TEXT),
        ("token-label", 2, TEXT),
        ("answer-span", 0, ("the dog", TEXT)),
        ("masked-language-model", 0, "the [MASK] sat"),
        ("hidden", 0, TEXT),
    ],
)
def test_every_head_is_traced_and_verified(head: str, labels: int, text: Any) -> None:
    model = small(head, labels)
    trace = model.trace(text)
    assert trace.verify().max_error < 1e-10
    assert trace.answer == str(model(text))
    assert len(trace.tokens["encoder"][0]) == trace["encoder.ids"].value.shape[1]


def test_a_text_longer_than_the_positions_is_refused() -> None:
    with pytest.raises(gf.InputError, match="40 positions"):
        small("hidden")(TEXT * 5)
