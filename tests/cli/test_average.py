"""`glassformer average` writes a folder that opens, and refuses what has no mean."""

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
    out = tmp_path / "mean"
    assert call("average", "sentiment", "sentiment", "--out", str(out)).code == 0
    text = "A charming journey."
    mean, own = gf.load(out)(text), gf.load("sentiment")(text)
    assert mean.probabilities == pytest.approx(own.probabilities, abs=1e-5)
    assert not (out / "adapter_config.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["worked-example"], "give at least two to average"),
        (["worked-example", "worked-example", "--shares", "1,x"], "expected numbers parted by commas"),
        (["worked-example", "worked-example", "--shares", "1"], "2 models came with 1 shares"),
        (["worked-example", "summaries"], "has other weights than the first"),
    ],
)
def test_what_has_no_mean_is_refused(call: Call, tmp_path: Path, words: list[str], said: str) -> None:
    assert_refused(call("average", *words, "--out", str(tmp_path / "mean")), said)
    assert not (tmp_path / "mean").exists()


def test_nothing_is_written_over(call: Call, tmp_path: Path) -> None:
    assert_refused(call("average", "summaries", "summaries", "--out", str(tmp_path)), "is there already")
