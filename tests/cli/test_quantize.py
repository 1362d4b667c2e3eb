"""`glassformer quantize`: what a precision costs, said, drawn, written, and what is refused."""

import json
from pathlib import Path

import pytest

import glassformer as gf
from glassformer.native.library import native

from .conftest import Call, assert_refused

needs_native = pytest.mark.skipif(
    native() is None, reason="the native engine is not built, or this processor is of another kind"
)
PAIRS = "I love data science\tj' aime la science des données\nI love data\tj' aime les données\n"


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    path = tmp_path / "pairs.tsv"
    path.write_text(PAIRS, "utf-8")
    return str(path)


def test_a_text_alone_shows_what_moves(call: Call) -> None:
    result = call("quantize", "worked-example", "I love data science", "--precision", "bfloat16")
    assert result.code == 0, result.err
    assert result.out.startswith("worked-example at bfloat16: ")
    assert "one part alone" in result.out
    assert "head.logits" in result.out
    assert "equal answers" not in result.out


@needs_native
def test_with_data_the_figures_stand_side_by_side(call: Call, pairs: str) -> None:
    result = call("quantize", "worked-example", "--data", pairs, "--bootstrap", "10", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["precision"] == "int8"
    assert found["texts"] == 2
    assert found["counts"]["sentences"] == 2
    assert found["scores"]["bleu"]["before"]["value"] == pytest.approx(100.0)
    assert found["equal_answers"] == 100.0


@needs_native
@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_what_is_written_opens_and_is_smaller(call: Call, tmp_path: Path, precision: str) -> None:
    folder = tmp_path / "small"
    told = call("quantize", "sentiment", "A dull film.", "--precision", precision, "--out", str(folder))
    assert told.code == 0, told.err
    assert f"wrote {folder}" in told.err
    size = (folder / "model.safetensors").stat().st_size
    own = sum(each.numel() for each in gf.load("sentiment").transformer.parameters())
    assert size < {"int8": 1.1, "int4": 0.9}[precision] * own  # bytes a weight; tables keep eight bits, positions all
    assert gf.load(folder)("A charming film.").label == gf.load("sentiment")("A charming film.").label


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "neither a text nor --data was given"),
        (("I love data", "--precision", "bfloat16", "--out", "folder"), "--out writes whole numbers"),
    ],
)
def test_refused(call: Call, words: tuple[str, ...], said: str) -> None:
    result = call("quantize", "worked-example", *words)
    assert_refused(result, said)
