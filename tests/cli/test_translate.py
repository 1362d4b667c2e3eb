"""`glassformer translate` and `models` on the models that ship."""

import gzip
import json
from pathlib import Path

import pytest

import glassformer

from .conftest import Call, assert_refused

SENTENCES = {
    "I love data science": "j' aime la science des données",
    "I love science": "j' aime la science",
    "I love data": "j' aime les données",
}
MODEL = ("--model", "worked-example")


def test_each_argument_is_a_sentence(call: Call) -> None:
    result = call("translate", *SENTENCES, *MODEL)
    assert result.code == 0, result.err
    assert result.out.splitlines() == list(SENTENCES.values())
    assert result.err == ""


@pytest.mark.parametrize("batch", ["1", "2", "256"])
def test_lines_keep_their_order_and_empty_ones_their_place(call: Call, batch: str) -> None:
    stdin = "\n".join(["", *SENTENCES, "  ", "I love data"])
    result = call("translate", *MODEL, "--batch", batch, stdin=stdin)
    assert result.code == 0, result.err
    assert result.out.split("\n") == ["", *SENTENCES.values(), "", "j' aime les données", ""]


def test_windows_line_ends_are_no_words(call: Call) -> None:
    assert call("translate", *MODEL, stdin="I love data\r\n").out == "j' aime les données\n"


def test_no_input_gives_no_output(call: Call) -> None:
    assert call("translate", *MODEL, stdin="").out == ""


def test_json_carries_every_tokens_probability(call: Call) -> None:
    result = call("translate", "I love data", *MODEL, "--json", "--tokens")
    answer = json.loads(result.out)
    assert answer["translation"] == "j' aime les données"
    assert answer["complete"] is True
    assert [token["token"] for token in answer["tokens"]][:2] == ["j'", "aime"]
    assert all(-0.1 < token["log_probability"] <= 0 for token in answer["tokens"])
    assert json.loads(call("translate", *MODEL, "--json", stdin="\n").out) == {"translation": ""}


@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_file_is_translated_line_by_line(call: Call, tmp_path: Path, end: str) -> None:
    path = tmp_path / f"texts.jsonl{end}"
    data = "".join(json.dumps({"text": text, "id": 7}) + "\n" for text in SENTENCES).encode()
    path.write_bytes(gzip.compress(data) if end else data)
    result = call("translate", "--input", str(path), *MODEL, "--json", "--batch", "2")
    assert list(map(json.loads, result.out.splitlines())) == [
        {"translation": translation} for translation in SENTENCES.values()
    ]


def test_a_mistake_in_the_last_line_leaves_nothing_half_written(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("I love data\n\nI love cheese\n", "utf-8")
    result = call("translate", "--input", str(path), *MODEL, "--batch", "1")
    assert_refused(result, "cheese", "vocabulary", "(text 3)")


@pytest.mark.parametrize("beams", ["1", "4"])
def test_any_number_of_beams_finds_the_three_sentences(call: Call, beams: str) -> None:
    result = call("translate", *SENTENCES, *MODEL, "--beams", beams, "--length-penalty", "0.6")
    assert result.out.splitlines() == list(SENTENCES.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["translate", "I love data", "--model", "worked-exampel"], ["worked-exampel", "worked-example"]),
        (["translate", "I love data", "--model", "./nothing"], ["./nothing", "folder"]),
        (["translate", "", *MODEL], ["empty"]),
        (["translate", "I love cheese", *MODEL], ["cheese", "vocabulary"]),
        (["translate", "I love data", *MODEL, "--beams", "0"], ["--beams"]),
        (["translate", "I love data", *MODEL, "--length-penalty", "nan"], ["length_penalty"]),
        (["translate", "I love data", *MODEL, "--device", "abacus"], ["abacus"]),
    ],
)
def test_bad_input_is_refused(call: Call, words: list[str], said: list[str]) -> None:
    assert_refused(call(*words), *said)


def test_text_that_is_not_utf8_is_refused(call: Call) -> None:
    assert_refused(call("translate", *MODEL, stdin=b"I love data\n\xff\n"), "line 2", "UTF-8")


def test_models_lists_what_ships(call: Call) -> None:
    lines = call("models").out.splitlines()
    assert any(line.startswith("worked-example ") and len(line.split()) > 3 for line in lines)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    glassformer.load("worked-example").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


def test_a_folder_translates_as_the_model_it_was_saved_from(call: Call, saved: Path) -> None:
    assert call("translate", *SENTENCES, "--model", str(saved)).out.splitlines() == list(SENTENCES.values())


def test_a_truncated_file(call: Call, saved: Path) -> None:
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert_refused(call("translate", "I love data", "--model", str(saved)), "model.safetensors")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file(call: Call, saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert_refused(call("translate", "I love data", "--model", str(saved)), name)


def test_a_wrong_shape(call: Call, saved: Path) -> None:
    change(saved / "config.json", d_ff=5)
    assert_refused(call("translate", "I love data", "--model", str(saved)), "feed_forward")


def test_an_unknown_config_key(call: Call, saved: Path) -> None:
    change(saved / "config.json", d_modle=2)
    assert_refused(call("translate", "I love data", "--model", str(saved)), "d_modle", "d_model")


def test_a_text_longer_than_the_positions(call: Call, saved: Path) -> None:
    change(saved / "config.json", max_positions=4)
    result = call("translate", "I love data science", "--model", str(saved))
    assert_refused(result, "5 tokens", "4 positions", "shorten")


def test_a_file_in_place_of_a_folder(call: Call, saved: Path) -> None:
    result = call("translate", "I love data", "--model", str(saved / "config.json"))
    assert_refused(result, "is a file")


def test_a_model_that_does_not_translate_is_refused(call: Call, tmp_path: Path) -> None:
    config = {"model_type": "bert", "vocab_size": 9, "hidden_size": 4, "num_attention_heads": 2}
    assert_refused(
        call("translate", "I", "--model", str(bert(tmp_path, config))), "fills in hidden words", "translates"
    )


def bert(folder: Path, raw: dict[str, object]) -> Path:
    """A BERT of random numbers with nine words."""
    from glassformer.config import TransformerConfig
    from glassformer.families import family_of
    from glassformer.model import Transformer
    from glassformer.pretrained import save_transformer

    raw = {**raw, "intermediate_size": 8, "num_hidden_layers": 1, "architectures": ["BertForMaskedLM"]}
    config: TransformerConfig = family_of(raw).config(raw)
    save_transformer(folder, Transformer(config), raw=raw)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    return folder
