import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.show.conftest import CONFIGS, Make, Shown

from glassformer.config import TransformerConfig
from glassformer.glass.formulas import FORMULAS
from glassformer.glass.names import Names
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.show import page as page_module
from glassformer.show.mathml import mathml
from glassformer.show.packing import numbers, unpacked
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


@dataclass(frozen=True)
class Opened:
    """A page taken apart: its elements, what it knows, its arrays."""

    parts: Parts
    data: dict[str, Any]
    arrays: bytes

    def values(self, holder: dict[str, Any]) -> np.ndarray:
        return numbers(holder["numbers"], self.arrays)

    def step(self, name: str) -> dict[str, Any]:
        return next(step for step in self.data["steps"] if step["name"] == name)


def opened(text: str) -> Opened:
    parts = Parts()
    parts.feed(text)
    size = re.search(r'data-bytes="(\d+)"', text)
    assert size is not None
    return Opened(parts, *unpacked(parts.text["trace"].strip(), int(size[1])))


def cut(value: torch.Tensor, kept: list[Any]) -> np.ndarray:
    for axis, places in enumerate(kept):
        if places is not None:
            places = list(range(places)) if isinstance(places, int) else places
            assert len(places) < value.shape[axis]
            value = value.index_select(axis, torch.tensor(places))
    return value.numpy().ravel()


def assert_held(page: Opened, trace: Trace) -> set[str]:
    """Every number of every step is the trace's, or within half of the unit that the page tells; the rounded steps."""
    rounded = set()
    assert [step["name"] for step in page.data["steps"]] == list(trace)
    for step in page.data["steps"]:
        held, recorded = page.values(step), cut(trace[step["name"]].value, step["kept"])
        if step["numbers"]["kind"] == "u":
            rounded.add(step["name"])
            digit, places = step["numbers"]["unit"]
            assert np.abs(held - recorded).max() <= digit * 10.0**-places / 2 * (1 + 1e-9)
        else:
            assert (held == recorded).all()
    return rounded


@pytest.fixture(scope="module")
def text(worked: Shown) -> str:
    return page(worked.trace, worked.names)


def test_the_page_stands_alone(text: str) -> None:
    parts = opened(text).parts
    assert parts.tags.count("script") == 2
    assert not {"link", "img", "iframe"} & set(parts.tags)
    assert parts.sources == ["#main"]


def test_the_page_computes_nothing(text: str) -> None:
    parts = opened(text).parts
    for word in FORBIDDEN:
        assert word not in parts.text["script"], word
        assert word not in parts.text["style"], word
    assert "http" not in text


def test_the_page_holds_every_number_of_the_worked_example(text: str, worked: Shown) -> None:
    page = opened(text)
    assert assert_held(page, worked.trace) == set()
    assert all(place is None for step in page.data["steps"] for place in step["kept"])
    parameter = page.data["parameters"]["source_tokens.weight"]
    assert page.values(parameter)[:2].tolist() == [1.87, 0.09]
    assert page.data["answer"] == worked.trace.answer


def test_every_number_of_the_worked_example_is_worked_out(text: str) -> None:
    query = opened(text).step("encoder.layers.0.self_attention.query")
    assert query["worked"][0][0] == "1.87·(−0.93) + 1.09·(−0.26)"
    assert [term if isinstance(term, str) else term["symbol"] for term in query["equation"]] == [
        "X",
        "·",
        "W_Q",
    ]


def test_chapters_lead_to_every_step(text: str, worked: Shown) -> None:
    data = opened(text).data
    assert sorted(name for chapter in data["chapters"] for name in chapter["steps"]) == sorted(worked.trace)


def test_a_text_cannot_end_the_script() -> None:
    trace = Trace()
    trace.add("encoder.ids", "B T", torch.tensor([[1]]), "given", (), {})
    trace.tokens, trace.answer = {"encoder": [["</script><script>alert(1)"]]}, "<b>&"
    page_of = opened(page(trace, start='"><script>alert(2)'))
    assert page_of.parts.tags.count("script") == 2
    assert page_of.data["tokens"]["encoder"][0][0] == "</script><script>alert(1)"


@pytest.mark.parametrize("name", CONFIGS)
def test_what_does_not_fit_is_rounded_and_said(
    make: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(page_module, "WORKED", 0)
    monkeypatch.setattr(page_module, "SMALL", 50)
    shown = make(name)
    whole = len(page(shown.trace, shown.names))
    text = page(shown.trace, shown.names, largest=whole - 500)
    assert len(text.encode()) <= whole - 500
    assert assert_held(opened(text), shown.trace)


def test_attention_keeps_its_digits_where_it_is_small(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "WORKED", 0)
    monkeypatch.setattr(page_module, "SMALL", 0)
    monkeypatch.setattr(page_module, "SMALL_SHARE", 1.0)
    shown = make("halves")
    whole = len(page(shown.trace, shown.names))
    rounded = assert_held(opened(page(shown.trace, shown.names, largest=whole - 2_000)), shown.trace)
    assert rounded
    assert not {name for name in rounded if name.endswith((".weights", ".scores"))}


def test_what_does_not_fit_even_so_is_left_out_and_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "WORKED", 0)
    monkeypatch.setattr(page_module, "SMALL", 0)
    monkeypatch.setattr(page_module, "SMALL_SHARE", 0.0)
    shown = make("halves")
    least = len(page(shown.trace, shown.names, largest=0))
    text = page(shown.trace, shown.names, largest=least + 400)
    assert len(text.encode()) <= least + 400
    held = opened(text)
    assert_held(held, shown.trace)
    assert any(place is not None for step in held.data["steps"] for place in step["kept"])


def test_the_likeliest_words_are_kept(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "VOCABULARY", 20)
    shown = make("halves")
    step = opened(page(shown.trace, shown.names)).step("head.probabilities")
    assert isinstance(step["kept"][-1], list)
    assert step["labels"][-1][0].startswith("word")
    assert step["ranks"] >= 1
    best = shown.trace["head.probabilities"].value.topk(step["ranks"]).indices.flatten().tolist()
    assert set(best) <= set(step["kept"][-1])


def test_an_alias_takes_no_room(make: Make) -> None:
    page_of = opened(page(make("masked").trace))
    norm, output = (page_of.step(f"encoder.embedding.{name}") for name in ("norm.output", "output"))
    assert norm["numbers"] == output["numbers"]


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
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
        model(torch.arange(12)[None], trace=trace)
    trace.tokens = {"encoder": [[f"word{place}" for place in range(12)]]}
    text = page(trace, Names(word=lambda place: f"word{place}"))
    assert len(text.encode()) < 2_000_000
    held = opened(text)
    rounded = assert_held(held, trace)
    assert rounded
    assert not {name for name in rounded if name.endswith((".weights", ".scores"))}
    left_out = {step["name"] for step in held.data["steps"] if any(place is not None for place in step["kept"])}
    assert left_out == {"head.logits", "head.probabilities"}
