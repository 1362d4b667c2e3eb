"""What a notebook draws: runs, steps and answers, each as elements that stand alone."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.show.browser import Browser
from tests.show.conftest import CONFIGS, Make, Shown

from glassformer.errors import InputError
from glassformer.glass.generation import GenerationTrace
from glassformer.glass.trace import Trace
from glassformer.inspection.attribution import Attribution, Piece, Scores
from glassformer.show.fragments import Fragment, step_html, style
from glassformer.show.packing import unpacked
from glassformer.show.page import page
from glassformer.show.writing_html import tree_svg
from glassformer.tasks.answering import Span
from glassformer.tasks.classification import Label, Labels, Values
from glassformer.tasks.filling import Filled
from glassformer.tasks.generation import GeneratedText
from glassformer.tasks.model import load
from glassformer.tasks.tagging import Entities, Entity
from glassformer.tasks.translation import TranslationAnswer

WEIGHTS = "encoder.layers.0.self_attention.weights"
VOID = {"br", "hr", "img", "meta", "link", "input"}


class Balanced(HTMLParser):
    """Whether every element that is opened is closed, and what is inside the cells."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "td" and dict(attrs).get("title"):
            self.titles.append(dict(attrs)["title"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(html: str) -> Balanced:
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    assert "<script" not in html
    return parser


def numbers(html: str) -> list[float]:
    return [float(title.rpartition(": ")[2]) for title in parsed(html).titles]


def test_a_steps_cells_hold_its_exact_numbers(worked: Shown) -> None:
    step = worked.trace[WEIGHTS]
    html = step._repr_html_()
    assert numbers(html) == step.value.flatten().tolist()
    assert "love → data: " in html
    assert "A = softmax(S + M)" in html


@pytest.mark.parametrize("name", CONFIGS)
def test_every_step_of_every_model_is_drawn(make: Make, name: str) -> None:
    trace = make(name).trace
    parsed(trace._repr_html_())
    for step in trace.values():
        parsed(step._repr_html_())


def test_all_heads_are_drawn(make: Make) -> None:
    step = make("masked").trace[WEIGHTS]
    html = step._repr_html_()
    assert re.findall(r"<figcaption>(head \d)", html) == ["head 0", "head 1"]
    assert numbers(html) == step.value.flatten().tolist()


def test_a_large_step_is_drawn_in_part_and_says_so() -> None:
    trace = Trace()
    trace.add("encoder.embedding.tokens", "B T C", torch.randn(1, 40, 60), "given", (), {})
    html = trace["encoder.embedding.tokens"]._repr_html_()
    assert "32 of 40 rows and 48 of 60 columns" in html
    assert len(numbers(html)) == 32 * 48


def test_a_step_outlives_its_run(worked: Shown) -> None:
    step = load("worked-example").trace("I love data science")[WEIGHTS]
    assert step.trace is None
    assert numbers(step_html(step)) == worked.trace[WEIGHTS].value.flatten().tolist()


def test_a_run_lists_every_step(worked: Shown) -> None:
    html = worked.trace._repr_html_()
    parsed(html)
    for name in worked.trace:
        assert f"<code>{name}</code>" in html
    assert "I love data science &lt;eos&gt;" in html


def test_answers_are_drawn() -> None:
    written = {"score": -0.1, "ids": (1, 2), "tokens": ("<a>", "b"), "log_probabilities": (-0.5, 0.0)}
    entity = Entity(type="PER", text="Ada", start=0, end=3, probability=0.9)
    for answer, said in (
        (Label(label="good", probability=0.75, probabilities={"bad": 0.25, "good": 0.75}), "75.0%"),
        (Labels(labels=("a",), probabilities={"a": 0.9, "b": 0.1}), "<b>a</b>"),
        (Values(values={"likeness": 0.5}), "0.5"),
        (Span(text="in <Paris>", start=0, end=8, probability=0.5, margin=0.0), "in &lt;Paris&gt;"),
        (Filled(text="a cat", candidates=((("cat", 0.5), ("dog", 0.25)),)), "dog"),
        (Entities(text="Ada & I", entities=(entity,), tags=()), "<mark>Ada<sub>PER</sub></mark> &amp; I"),
        (TranslationAnswer(text="<a> b", complete=True, **written), "0.6065306597126334"),
        (GeneratedText(text="<a> b", new="b", complete=True, **written), "&lt;a&gt;"),
    ):
        html = answer._repr_html_()
        parsed(html)
        assert said in html


def test_the_colours_are_the_pages() -> None:
    assert "--share: 11, 110, 117" in style()
    assert 'data-jp-theme-light="false"' in style()
    assert style().count("{") == style().count("}")


def test_a_frame_holds_only_what_is_shown(worked: Shown) -> None:
    shown = worked.trace.show("cross_attention.scores")
    assert isinstance(shown, Fragment)
    assert set(shown.part()) == {
        "decoder.layers.0.cross_attention.query",
        "decoder.layers.0.cross_attention.key",
        "decoder.layers.0.cross_attention.scores",
    }
    inside = unescape(re.search(r'srcdoc="([^"]*)"', shown._repr_html_())[1])  # type: ignore[index]
    assert inside == shown.page()
    assert 'data-start="step=decoder.layers.0.cross_attention.scores"' in inside


def test_a_frame_of_attention_has_all_layers(make: Make) -> None:
    assert [name for name in make("masked").trace.show(WEIGHTS).part() if name.endswith("weights")] == [
        WEIGHTS,
        WEIGHTS.replace(".0.", ".1."),
    ]


def test_an_unknown_step_is_refused_with_the_nearest_names(worked: Shown) -> None:
    with pytest.raises(InputError, match=WEIGHTS):
        worked.trace.show("encoder.layers.0.self_attention.weihgts")


def test_ipython_finds_the_drawings(worked: Shown) -> None:
    formatters = pytest.importorskip("IPython.core.formatters", reason="IPython is not installed")
    for shown in (worked.trace, worked.trace[WEIGHTS], worked.trace.show(WEIGHTS)):
        data, _ = formatters.DisplayFormatter().format(shown)
        assert set(data) == {"text/html", "text/plain"}


def test_a_frame_can_be_walked_through(make: Make, tmp_path: Path) -> None:
    html = make("masked").trace.show(WEIGHTS)._repr_html_()
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8><body>{html}", "utf-8")
    browser = Browser(tmp_path / "profile")
    try:
        browser.size(1000, 800)
        browser.driver.get((tmp_path / "notebook.html").as_uri())
        browser.driver.switch_to.frame(0)
        browser.wait("document.documentElement.dataset.ready")
        assert browser.texts("h2") == ["Who looks at whom: encoder, self-attention, layer 0"]
        browser.ask("[...document.querySelectorAll('.links .tool')].find((one) => one.textContent === '1').click()")
        browser.wait("document.querySelector('h2').textContent.endsWith('layer 1')")
        browser.ask("document.querySelectorAll('table.numbers td')[3].click()")
        assert browser.texts(".readout .exact")
        assert browser.errors() == []
    finally:
        browser.driver.quit()


@pytest.fixture(scope="module")
def written() -> GenerationTrace:
    return load("tatoeba-en-fr").trace_generation("Where is the station?", num_beams=3, keep="head.logits")


def test_a_generation_shows_each_token_with_its_alternatives(written: GenerationTrace) -> None:
    html = written._repr_html_()
    Balanced().feed(html)
    assert html.count('class="token"') == len(written.tokens)
    for token in written.tokens:
        assert repr(token.probability) in html
        for other in token.alternatives:
            assert f"{other.probability:.1%}" in html


def test_a_beam_search_is_a_tree(written: GenerationTrace) -> None:
    tree = written.tree
    assert tree is not None
    html = tree._repr_html_()
    assert html.count("<title>") == len(tree.nodes)
    assert html.count("<path ") == sum(node.parent is not None for node in tree.nodes)
    assert html.count('stroke-width="2.5"') == len(tree.answer) - 1
    assert html.count('opacity=".45"') == sum(node.fate == "dropped" for node in tree.nodes)
    assert f"sum {tree.answer[-1].score:.4f}" in html


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}, "4 beams in 2 groups, diversity"),
        ({"penalty_alpha": 0.6, "top_k": 4}, "Contrastive search among the 4 likeliest, penalty alpha 0.6"),
    ],
)
def test_other_searches_are_drawn_alike(options: dict[str, Any], says: str) -> None:
    tree = load("worked-example").trace_generation("I love data", keep="head.logits", **options).tree
    assert tree is not None
    html = tree._repr_html_()
    assert html.count("<title>") == len(tree.nodes)
    assert says in html
    assert ("group by group" in html) == ("groups" in says)
    corners = {(node.position, node.rank) for node in tree.nodes}
    assert len(corners) == len(tree.nodes)  # no box covers another
    assert f"penalty {tree.answer[-1].penalty:.4f}" in html


def test_an_attribution_is_a_strip_of_words() -> None:
    pieces = [Piece(text=text, score=score, start=0, end=1) for text, score in (("<good>", 2.0), ("bad", -1.0))]
    scores = Scores(side="encoder", texts=("<good> bad",), tokens=tuple(pieces))
    html = Attribution(method="saliency", about="label good", number=0.5, scores=(scores,))._repr_html_()
    parsed(html)
    assert "rgba(var(--plus),0.850)" in html
    assert "rgba(var(--minus),0.425)" in html
    assert "&lt;good&gt;" in html


def test_a_page_tells_how_its_answer_was_written(written: GenerationTrace) -> None:
    text = page(load("tatoeba-en-fr").trace("Where is the station?"), writing=written, largest=600_000)
    size = int(re.search(r'data-bytes="(\d+)"', text)[1])  # type: ignore[index]
    packed = re.search(r"<script[^>]*id=\"trace\"[^>]*>([^<]*)</script>", text)[1]  # type: ignore[index]
    data, _ = unpacked(packed, size)
    assert written.tree is not None
    assert tree_svg(written.tree) in data["writing"]
