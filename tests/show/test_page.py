import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.show.conftest import CONFIGS, Make, Shown

from glassformer.config import TransformerConfig
from glassformer.glass.formulas import FORMULAS
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.show import page as page_module
from glassformer.show.labels import Names
from glassformer.show.mathml import mathml
from glassformer.show.page import cut_shape, page, write_page

FORBIDDEN = (
    "Math.random",
    "Math.exp",
    "Math.pow",
    "softmax(",
    "fetch(",
    "XMLHttpRequest",
    "http",
    "import ",
)


class Parts(HTMLParser):
    """The page's elements, and what stands in its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text: dict[str, str] = {}
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        self.inside = given.get("id") or tag

    def handle_data(self, data: str) -> None:
        self.text[self.inside] = self.text.get(self.inside, "") + data


def parsed(text: str) -> tuple[Parts, dict[str, Any]]:
    parts = Parts()
    parts.feed(text)
    return parts, json.loads(parts.text["trace"])


def values(holder: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(holder["data"]), "<" + holder["kind"])


@pytest.fixture(scope="module")
def text(worked: Shown) -> str:
    return page(worked.trace, worked.names)


def test_the_page_stands_alone(text: str) -> None:
    parts, _ = parsed(text)
    assert parts.tags.count("script") == 2
    assert not {"link", "img", "iframe"} & set(parts.tags)
    assert parts.sources == ["#main"]


def test_the_page_computes_nothing(text: str) -> None:
    parts, _ = parsed(text)
    for word in FORBIDDEN:
        assert word not in parts.text["script"], word
        assert word not in parts.text["style"], word
    assert "http" not in text


def test_the_page_holds_every_number_of_the_worked_example(text: str, worked: Shown) -> None:
    _, data = parsed(text)
    assert [step["name"] for step in data["steps"]] == list(worked.trace)
    for step in data["steps"]:
        recorded = worked.trace[step["name"]].value
        assert step["kept"] == [None] * recorded.ndim
        assert (values(step) == recorded.numpy().ravel()).all()
    assert values(data["parameters"]["source_tokens.weight"])[:2].tolist() == [1.87, 0.09]
    assert data["answer"] == worked.trace.answer


def test_every_number_of_the_worked_example_is_worked_out(text: str) -> None:
    _, data = parsed(text)
    query = next(step for step in data["steps"] if step["name"] == "encoder.layers.0.self_attention.query")
    assert query["worked"][0][0] == "1.87·(−0.93) + 1.09·(−0.26)"
    assert [term if isinstance(term, str) else term["symbol"] for term in query["equation"]] == [
        "X",
        "·",
        "W_Q",
    ]


def test_chapters_lead_to_every_step(text: str, worked: Shown) -> None:
    _, data = parsed(text)
    assert sorted(name for chapter in data["chapters"] for name in chapter["steps"]) == sorted(worked.trace)


def test_a_text_cannot_end_the_script(worked: Shown) -> None:
    trace = Trace()
    trace.add("encoder.ids", "B T", torch.tensor([[1]]), "given", (), {})
    trace.tokens, trace.answer = {"encoder": [["</script><script>alert(1)"]]}, "<b>&"
    parts, data = parsed(page(trace))
    assert parts.tags.count("script") == 2
    assert data["tokens"]["encoder"][0][0] == "</script><script>alert(1)"


def test_what_does_not_fit_is_left_out_and_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "WORKED", 0)
    monkeypatch.setattr(page_module, "ROOM", 12_000)
    for name in CONFIGS:
        shown = make(name)
        _, data = parsed(page(shown.trace, shown.names))
        for step in data["steps"]:
            recorded = shown.trace[step["name"]].value
            for axis, kept in enumerate(step["kept"]):
                if kept is not None:
                    places = list(range(kept)) if isinstance(kept, int) else kept
                    assert len(places) < recorded.shape[axis]
                    recorded = recorded.index_select(axis, torch.tensor(places))
            assert (values(step) == recorded.numpy().ravel()).all()


def test_the_likeliest_words_are_kept(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "ROOM", 20_000)
    shown = make("halves")
    _, data = parsed(page(shown.trace, shown.names))
    step = next(step for step in data["steps"] if step["name"] == "head.probabilities")
    assert isinstance(step["kept"][-1], list)
    assert step["ranks"] >= 1
    best = shown.trace["head.probabilities"].value.topk(step["ranks"]).indices.flatten().tolist()
    assert set(best) <= set(step["kept"][-1])


def test_a_page_grows_no_larger_than_it_may(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "WORKED", 0)
    shown = make("halves")
    whole = len(page(shown.trace, shown.names).encode())
    monkeypatch.setattr(page_module, "LARGEST", whole - 2_000)
    assert len(page(shown.trace, shown.names).encode()) <= whole - 2_000


def test_a_shape_is_cut_from_its_last_axis_on() -> None:
    assert cut_shape((1, 12, 768), 1200) == (1, 12, 100)
    assert cut_shape((1, 4, 200, 200), 4000) == (1, 4, 125, 8)
    assert cut_shape((1, 5, 2), 100) == (1, 5, 2)


def test_every_formula_can_be_set() -> None:
    constants = {
        "d_model": 4,
        "offset": 2,
        "eps": 1e-5,
        "base": 1e4,
        "head_size": 2,
        "activation": "gelu-tanh",
        "never": -1.0,
        "smoothing": 0.1,
        "count": 3,
    }
    for formula in FORMULAS.values():
        for inputs in (1, 3):
            found = mathml(formula.typeset(inputs, constants))
            assert found.startswith("<math")
            assert sorted(re.findall(r"<(\w+)", found)) == sorted(re.findall(r"</(\w+)", found))


def test_a_file_is_written(worked: Shown, tmp_path: Path) -> None:
    write_page(worked.trace, tmp_path / "page.html", worked.names)
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.nightly
def test_twelve_tokens_of_a_bert_fit_in_two_megabytes() -> None:
    config = TransformerConfig(
        stack="encoder",
        vocab_size=30522,
        d_model=768,
        heads=12,
        d_ff=3072,
        encoder_layers=12,
        embedding_norm=True,
        segments=2,
        head="masked-language-model",
        output_transform=True,
        output_bias=True,
    )
    trace = Trace()
    with torch.no_grad():
        Transformer(config).eval()(torch.arange(12)[None], trace=trace)
    trace.tokens = {"encoder": [[f"word{place}" for place in range(12)]]}
    text = page(trace, Names(word=lambda place: f"word{place}"))
    assert len(text.encode()) < 2_000_000
    assert [step["name"] for step in parsed(text)[1]["steps"]] == list(trace)
