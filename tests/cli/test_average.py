"""`glassformer average` writes a folder that opens, and refuses what has no mean."""

import json
from pathlib import Path

import pytest

import glassformer as gf

from .conftest import Call, assert_refused

ANSWER = "j' aime la science des données"


def test_the_mean_of_a_model_and_itself_answers_as_it_does(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "mean"
    made = call("average", "worked-example", "worked-example", "--shares", "1,2", "--out", str(out))
    assert made.code == 0
    assert made.out == f"wrote {out}: the mean of 2 models\n"
    assert str(gf.load(out)("I love data science")) == ANSWER


def test_an_adapter_is_added_into_its_base(call: Call, tmp_path: Path) -> None:
    """Beside a model that is whole: here what the adapter becomes in its base."""
    whole, out, text = tmp_path / "whole", tmp_path / "mean", "A charming journey."
    assert call("convert", "sentiment", str(whole), "--to", "huggingface").code == 0
    assert call("average", "sentiment", str(whole), "--out", str(out)).code == 0
    mean, own = gf.load(out)(text), gf.load("sentiment")(text)
    assert mean.probabilities == pytest.approx(own.probabilities, abs=1e-5)
    assert not (out / "adapter_config.json").exists()
    refused = call("average", "sentiment", str(whole), "--rank", "4", "--out", str(tmp_path / "other"))
    assert_refused(refused, "--rank is for adapters beside one model")


def test_the_mean_of_adapters_is_an_adapter(call: Call, tmp_path: Path) -> None:
    text = "A charming journey."
    own = gf.load("sentiment")(text)
    width = json.loads((Path(gf.__file__).parent / "models" / "sentiment" / "adapter_config.json").read_text())["r"]
    for name, words, wide in (("whole", [], 2 * width), ("narrow", ["--rank", str(width)], width)):
        out = tmp_path / name
        made = call("average", "sentiment", "sentiment", "--shares", "1,3", *words, "--out", str(out))
        assert made.out == f"wrote {out}: the mean of 2 adapters, as an adapter\n"
        said = json.loads((out / "adapter_config.json").read_text())
        assert (said["r"], said["base_model_name_or_path"]) == (wide, "minilm-l6")
        assert gf.load(out)(text).probabilities == pytest.approx(own.probabilities, abs=2e-3), "rounded to float16 anew"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["worked-example"], "give at least two to average"),
        (["worked-example", "worked-example", "--shares", "1,x"], "expected numbers parted by commas"),
        (["worked-example", "worked-example", "--shares", "1"], "2 models came with 1 shares"),
        (["worked-example", "summaries"], "has other weights than the first"),
        (["sentiment", "entities"], "have not learnt the same head"),
        (["worked-example", "worked-example", "--rank", "8"], "--rank is for adapters beside one model"),
    ],
)
def test_what_has_no_mean_is_refused(call: Call, tmp_path: Path, words: list[str], said: str) -> None:
    assert_refused(call("average", *words, "--out", str(tmp_path / "mean")), said)
    assert not (tmp_path / "mean").exists()


def test_nothing_is_written_over(call: Call, tmp_path: Path) -> None:
    assert_refused(call("average", "summaries", "summaries", "--out", str(tmp_path)), "is there already")
