import json
from pathlib import Path

import pytest
from tests.cli.conftest import Call, assert_refused

from glassformer.glass.trace import Trace
from glassformer.tasks.model import load

WORDS = ("explain", "I love data science", "--model", "worked-example")


def test_the_walk_is_printed(call: Call) -> None:
    result = call(*WORDS)
    assert result.code == 0, result.err
    assert "Q[I, 0] = 1.87·(−0.93) + 1.09·(−0.26) = −2.0225" in result.out
    assert "j' aime la science des données" in result.out
    assert "\x1b" not in result.out


def test_json_is_all_that_is_printed(call: Call) -> None:
    found = json.loads(call(*WORDS, "--json", "-").out)
    assert found["answer"] == "j' aime la science des données"
    assert found["steps"][3]["name"] == "encoder.embedding.tokens"
    assert found["steps"][3]["value"][0][0] == [1.87, 0.09]


def test_one_step(call: Call) -> None:
    result = call(*WORDS, "--step", "decoder.layers.0.cross_attention.weights")
    assert result.out.startswith("decoder.layers.0.cross_attention.weights")
    assert "A = softmax(S + M)" in result.out
    assert "recomputed in NumPy float64" in result.out


def test_one_step_as_json(call: Call) -> None:
    found = json.loads(call(*WORDS, "--step", "encoder.embedding.output", "--json", "-").out)
    assert [step["name"] for step in found["steps"]] == ["encoder.embedding.output"]


def test_more_digits(call: Call) -> None:
    assert "sin(1) = 0.8414709848" in call(
        *WORDS, "--step", "encoder.embedding.positions", "--precision", "10"
    ).out or (
        "0.8414709848" in call(*WORDS, "--step", "encoder.embedding.positions", "--precision", "10").out
    )


def test_files_are_written(call: Call, tmp_path: Path) -> None:
    page, record = tmp_path / "page.html", tmp_path / "trace.json"
    result = call(*WORDS, "--html", str(page), "--json", str(record))
    assert result.code == 0
    assert result.out == ""
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert json.loads(record.read_text("utf-8"))["steps"]


def test_every_kind_of_file_is_written(call: Call, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    kinds = {
        "latex": (("--latex", "walk.tex"), rb"\documentclass"),
        "notebook": (("--notebook", "walk.ipynb"), b"{"),
        "trace": (("--trace", "run.safetensors"), b""),
        "step": (("--figure", "decoder.layers.0.cross_attention.weights", "step.png"), b"\x89PNG"),
        "map": (("--figure", "map", "map.svg"), b"<?xml"),
        "residual": (("--figure", "residual", "residual.pdf"), b"%PDF"),
    }
    words = [(*options[:-1], str(tmp_path / options[-1])) for options, _ in kinds.values()]
    result = call(*WORDS, *(word for option in words for word in option))
    assert result.code == 0, result.err
    assert result.out == ""
    assert result.err == "".join(f"wrote {option[-1]}\n" for option in words)
    for option, (_, start) in zip(words, kinds.values(), strict=True):
        assert Path(option[-1]).read_bytes().startswith(start)
    saved = Trace.load(tmp_path / "run.safetensors")
    assert saved.answer == "j' aime la science des données"
    assert set(Trace.load(tmp_path / "walk.safetensors")) == set(saved)


SEARCHES = {
    "beams": ("--beams", "3"),
    "groups": ("--beams", "2", "--num-beam-groups", "2", "--diversity-penalty", "0.6"),
    "contrastive": ("--penalty-alpha", "0.6", "--top-k", "4"),
}


@pytest.mark.parametrize("search", SEARCHES)
def test_how_an_answer_was_written(call: Call, search: str, tmp_path: Path) -> None:
    options = {"beams": {"num_beams": 3}, "groups": {"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 0.6},
               "contrastive": {"penalty_alpha": 0.6, "top_k": 4}}[search]  # fmt: skip
    seen = load("worked-example").trace_generation(WORDS[1], **options)
    tree = seen.tree
    assert tree is not None
    printed = call(*WORDS, "--writing", *SEARCHES[search])
    assert printed.code == 0, printed.err
    lines = printed.out.splitlines()
    assert lines[: len(seen.tokens)] == list(seen.lines())
    assert lines[len(seen.tokens) :][: len(str(tree).splitlines())] == str(tree).splitlines()
    assert seen.answer in lines
    found = json.loads(call(*WORDS, "--writing", *SEARCHES[search], "--json", "-").out)
    assert found["answer"] == seen.answer
    assert found["writing"]["tree"] == tree.as_dict()
    call(*WORDS, *SEARCHES[search], "--html", str(tmp_path / "page.html"))
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_how_a_text_is_cut(call: Call) -> None:
    model = load("tatoeba-en-fr")
    found = call("explain", "Unbelievably good!", "--tokenization")
    assert found.out.rstrip("\n") == str(model.tokenization("Unbelievably good!"))
    assert model.tokenization("Where?") == model.tokenizer.steps("Where?")
    closed = call(*WORDS, "--tokenization")
    assert closed.code == 0, closed.err
    assert "love" in closed.out


def test_a_larger_page_may_be_asked_for(call: Call, tmp_path: Path) -> None:
    words = ("explain", "Angela Merkel met Emmanuel Macron in Paris.", "--model", "entities", "--html")
    sizes = []
    for size in ("0.5", "1"):
        assert call(*words, str(tmp_path / "page.html"), "--page-size", size).code == 0
        sizes.append((tmp_path / "page.html").stat().st_size)
    assert sizes[0] <= 500_000 < sizes[1] <= 1_000_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            (*WORDS, "--step", "encoder.layers.0.self_attention.weight"),
            "encoder.layers.0.self_attention.weights",
        ),
        ((*WORDS, "--step", "weights"), "3 steps"),
        ((*WORDS, "--step", "nothing at all"), "near it"),
        ((*WORDS, "--html", "nowhere/page.html"), "nowhere/page.html"),
        ((*WORDS, "--latex", "nowhere/walk.tex"), "nowhere/walk.tex"),
        ((*WORDS, "--notebook", "nowhere/walk.ipynb"), "nowhere/walk"),
        ((*WORDS, "--notebook", "walk.txt"), ".ipynb"),
        ((*WORDS, "--trace", "nowhere/run.safetensors"), "nowhere/run.safetensors"),
        ((*WORDS, "--figure", "residual", "nowhere/a.png"), "nowhere/a.png"),
        ((*WORDS, "--figure", "residual", "a.gif"), ".png"),
        ((*WORDS, "--figure", "cross_attention.wieghts", "a.png"), "decoder.layers.0.cross_attention.weights"),
        ((*WORDS, "--figure", "residual"), "--figure"),
        ((*WORDS, "--page-size", "0.1"), "--page-size"),
        ((*WORDS, "--precision", "0"), "--precision"),
        ((*WORDS, "--step", "weights", "--head", "0"), "--head says what a workbook holds, and none is asked for"),
        ((*WORDS, "--keep", "encoder.*"), "--keep says what a workbook holds"),
        (("explain", "", "--model", "worked-example"), "empty"),
        (("explain", "I love penguins", "--model", "worked-example"), "penguins"),
        (("explain", "I love science", "--model", "worked-exampel"), "worked-exampel"),
    ],
)
def test_what_cannot_be_shown_is_refused(call: Call, words: tuple[str, ...], said: str) -> None:
    assert_refused(call(*words), said)
