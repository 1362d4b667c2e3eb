"""`glassformer attribute` and `compare`: every task, every output, and what is refused."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from glassformer.cli.attribute import attribute
from glassformer.cli.compare import compare
from glassformer.cli.main import run
from glassformer.inspection import attribute as attributed
from glassformer.inspection.attribution import Attribution
from glassformer.show.attributions import page, pieces, shown
from glassformer.tasks.model import Model, load

from ..inspection.models import READERS, WRITERS, shared, text_of

TEXT = "A charming and often affecting journey."


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model that ships is read once, whatever its commands are asked."""
    monkeypatch.setattr("glassformer.tasks.model.load", once)


@cache
def once(name: str, task: str | None = None) -> Model:
    return load(name, task=task)


def told(command: Any, *words: str) -> str:
    result = CliRunner().invoke(command, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_label_of_the_model_that_ships() -> None:
    found = json.loads(told(attribute, TEXT, "--baseline", "[MASK]", "--target", "positive", "--json", "-"))
    assert found["about"] == "the logit of positive"
    assert found["completeness_error"] < 0.01
    words = found["sides"][0]["words"]
    assert max(words, key=lambda word: word["score"])["text"] == "charming"
    assert TEXT[words[2]["start"] : words[2]["end"]] == words[2]["text"] == "charming"
    assert "charming" in told(attribute, TEXT, "--method", "saliency")


def test_the_zero_baseline_is_complete_on_the_model_that_ships() -> None:
    found = json.loads(told(attribute, TEXT, "--json", "-"))
    assert found["completeness_error"] < 0.01


@pytest.mark.parametrize("method", ["direct", "lens", "layers", "rollout", "occlusion"])
def test_every_method_prints_and_draws(method: str, tmp_path: Path) -> None:
    out, figure = tmp_path / "found.json", tmp_path / "found.png"
    told(attribute, TEXT, "--method", method, "--steps", "4", "--json", str(out), "--plot", str(figure))
    assert json.loads(out.read_text("utf-8"))
    assert figure.read_bytes()[:4] == b"\x89PNG"
    assert told(attribute, TEXT, "--method", method, "--steps", "4").strip()


def test_a_token_of_a_translation() -> None:
    words = ["My friends had a big house.", "--model", "tatoeba-en-fr", "--written", "Mes amis", "--target", "avaient",
             "--against", "avait", "--method", "input-x-gradient", "--float64", "--json", "-"]  # fmt: skip
    found = json.loads(told(attribute, *words))
    assert [side["side"] for side in found["sides"]] == ["encoder", "decoder"]
    assert found["number"] == pytest.approx(5.5268, abs=1e-3)


@pytest.mark.parametrize("kind", [*READERS, *WRITERS])
def test_the_text_is_shown_whole_in_colour_and_on_a_page(kind: str) -> None:
    found = attributed(shared(kind), text_of(kind), method="saliency")
    for scores in found.scores:
        said = "".join(piece for piece, _ in pieces(scores))
        for text in scores.texts:
            assert "".join(text.split()) in "".join(said.split())
    lines = [line.plain for line in shown(found)]
    assert found.about in lines[0]
    html = page(found)
    assert "<!--" not in html.replace("<!doctype html>", "")
    assert "http" not in html
    assert all(f"{word.score:+.4f}" in html for word in found.words)


def test_a_page_and_its_escapes(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    told(attribute, "a <b>bold</b> & charming film", "--method", "saliency", "--html", str(out))
    written = out.read_text("utf-8")
    assert "<b>" not in written
    assert "&lt;" in written
    assert isinstance(attributed(shared("classification"), "a cat", method="saliency"), Attribution)


def test_two_texts_and_two_models(tmp_path: Path) -> None:
    assert "head.logits" in told(compare, "A charming journey.", "A dull journey.")
    out = tmp_path / "found.json"
    figure = tmp_path / "c.svg"
    told(compare, TEXT, "--other-model", "sentiment", "--keep", "head.*", "--json", str(out), "--plot", str(figure))
    found = json.loads(out.read_text("utf-8"))
    assert all(each["largest"] == 0.0 for each in found["differences"])
    assert figure.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["attribute", TEXT, "--target", "good"], "there is no label 'good'"),
        (["attribute", TEXT, "--method", "direct", "--html", "x.html"], "--plot or --json"),
        (["attribute", TEXT, "--method", "conductance"], "name one, such as"),
        (["attribute", TEXT, "--step", "encoder.layer.0", "--method", "conductance"], "near it are"),
        (["compare", TEXT], "give another text"),
        (["attribute", TEXT, "--method", "rollout", "--plot", "x.txt"], "ends in"),
    ],
)
def test_refusals(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
