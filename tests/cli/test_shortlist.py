"""`glassformer shortlist` writes what `translate --shortlist` keeps to, and both refuse what does not fit."""

import json
from pathlib import Path

import pytest

import glassformer as gf
from glassformer.decoding.shortlist import FILE, Shortlist

from .conftest import Call, assert_refused

PAIRS = "I love data science\tj' aime la science des données\nI love science\tj' aime la science\n"


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "pairs.tsv"
    path.write_text(PAIRS, "utf-8")
    return str(path)


def test_it_is_learnt_into_the_folder_and_translate_keeps_to_it(call: Call, tmp_path: Path, data: str) -> None:
    folder = tmp_path / "model"
    gf.load("worked-example").save_pretrained(folder)
    made = call("shortlist", str(folder), "--data", data, "--each", "1", "--frequent", "2")
    assert made.code == 0, made.err
    start = f"wrote {folder / FILE}: up to 1 tokens for each of 4 source tokens and the 2 most frequent"
    assert made.out == f"{start}, learnt from 2 pairs\n"
    own = gf.load(folder)
    expected = str(own("I love data", shortlist="own"))
    assert expected != str(own("I love data"))
    for precision in ("open", "float32"):
        found = call("translate", "I love data", "--model", str(folder), "--shortlist", "own", "--precision", precision)
        assert found.out == f"{expected}\n", found.err
    assert call("translate", "I love data", "--model", str(folder)).out == "j' aime les données\n"


def test_for_a_model_that_ships_it_goes_into_a_file(call: Call, tmp_path: Path, data: str) -> None:
    assert_refused(call("shortlist", "worked-example", "--data", data), "is no folder of yours", "--out FILE")
    out = tmp_path / "new" / "list.safetensors"
    assert call("shortlist", "worked-example", "--data", data, "--out", str(out), "--limit", "1").code == 0
    made = Shortlist.load(out)
    assert len(made.frequent) == 6  # the words of the first pair alone
    found = call("translate", "I love data science", "--model", "worked-example", "--shortlist", str(out))
    assert found.out == "j' aime la science des données\n"


def test_what_does_not_fit_is_refused(call: Call, tmp_path: Path, data: str) -> None:
    words = ("translate", "I love data", "--shortlist")
    assert_refused(call(*words, "own"), "has no shortlist.safetensors in its folder")
    assert_refused(call(*words, str(tmp_path / "none")), "there is no file")
    out = tmp_path / "list.safetensors"
    assert call("shortlist", "worked-example", "--data", data, "--out", str(out)).code == 0
    other = call(*words, str(out), "--model", "tatoeba-en-fr")
    assert_refused(other, "source tokens to", "vocabularies have 5,000 and 5,000")
    assert_refused(call("shortlist", "sentiment", "--data", data, "--out", str(out)), "sentiment does not translate")
    assert_refused(call("shortlist", "worked-example", "--data", str(tmp_path / "x.tsv"), "--out", str(out)), "x.tsv")


def test_it_goes_along_and_evaluate_keeps_to_it(call: Call, tmp_path: Path, data: str) -> None:
    first, second = tmp_path / "model", tmp_path / "copy"
    gf.load("worked-example").save_pretrained(first)
    assert call("shortlist", str(first), "--data", data, "--each", "1", "--frequent", "2").code == 0
    gf.load(first).save_pretrained(second)
    assert (second / FILE).read_bytes() == (first / FILE).read_bytes()
    asked = ("evaluate", str(second), "--data", data, "--bootstrap", "0", "--json")
    whole, short = (json.loads(call(*asked, *more).out) for more in ((), ("--shortlist", "own")))
    assert whole["scores"]["bleu"]["value"] == pytest.approx(100)
    assert short["scores"]["bleu"]["value"] < 99
    assert "up to 1 each, 2" in short["settings"]["shortlist"]
    assert "shortlist" not in whole["settings"]
    assert_refused(call("evaluate", "sentiment", "--data", data, "--shortlist", "own"), "does not translate")
