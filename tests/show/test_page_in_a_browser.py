"""The page as a reader has it: what it shows is what was recorded, on any screen, by mouse and by keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.show.browser import Browser
from tests.show.conftest import CONFIGS, Make, Shown

from glassformer.glass.trace import Trace
from glassformer.show import page as page_module
from glassformer.show.page import write_page
from glassformer.tasks.model import load

WEIGHTS = "encoder.layers.0.self_attention.weights"
ARROW_DOWN, ARROW_RIGHT = "\ue015", "\ue014"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.size(1300, 900)
    yield browser
    browser.driver.quit()


@pytest.fixture(scope="module")
def worked_page(worked: Shown, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(worked.trace, path, worked.names)
    return path


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def held(browser: Browser, name: str) -> list[float]:
    """The numbers of a step, told as words: an infinity has no other name outside the page."""
    return [float(word) for word in browser.ask(f"Array.from(numbers(steps.get('{name}').numbers), String)")]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_numbers_in_the_page_are_the_traces(
    browser: Browser, make: Make, tmp_path: Path, name: str
) -> None:
    trace = make(name).trace
    write_page(trace, tmp_path / "page.html", make(name).names)
    browser.open(tmp_path / "page.html")
    for step in trace.values():
        assert held(browser, step.name) == step.value.flatten().tolist(), step.name
    for state in ("view=all", f"step={list(trace)[-1]}", "attention=", "token=1"):
        browser.ask(f"void (location.hash = '{state}')")
        browser.wait("document.querySelector('h2')")
    assert browser.errors() == []


def test_rounded_numbers_are_read_as_the_page_says(
    browser: Browser, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "WORKED", 0)
    monkeypatch.setattr(page_module, "SMALL", 0)
    monkeypatch.setattr(page_module, "SMALL_SHARE", 0.0)
    shown = make("masked")
    write_page(shown.trace, tmp_path / "page.html")
    write_page(shown.trace, tmp_path / "page.html", largest=(tmp_path / "page.html").stat().st_size - 4_000)
    browser.open(tmp_path / "page.html", "step=encoder.layers.0.self_attention.query")
    digit, places = browser.ask("steps.get('encoder.layers.0.self_attention.query').numbers.unit")
    unit = digit * 10.0**-places
    assert f"Rounded to the nearest {unit:.{max(places, 0)}f}," in browser.texts(".note")[0]
    found = torch.tensor(held(browser, "encoder.layers.0.self_attention.query"), dtype=torch.float64)
    recorded = shown.trace["encoder.layers.0.self_attention.query"].value.flatten()
    assert 0 < float((found - recorded).abs().max()) <= unit / 2 * (1 + 1e-9)


def test_cells_hold_the_exact_number(browser: Browser, worked_page: Path, worked: Shown) -> None:
    browser.open(worked_page, f"step={WEIGHTS}")
    cells = browser.ask("[...document.querySelectorAll('table.numbers td')].map((cell) => cell.title)")
    assert [number(cell) for cell in cells] == worked.trace[WEIGHTS].value.flatten().tolist()
    assert browser.ask("document.querySelector('math') !== null")
    assert "encoder.layers.0.self_attention.scores" in browser.texts(".links .chip")


def test_arrow_keys_walk_through_the_numbers(browser: Browser, worked_page: Path, worked: Shown) -> None:
    browser.open(worked_page, f"step={WEIGHTS}")
    browser.driver.find_element("css selector", "table.numbers").send_keys(ARROW_DOWN, ARROW_RIGHT, ARROW_RIGHT)
    assert number(browser.texts(".readout .exact")[0]) == worked.trace[WEIGHTS].value[0, 0, 1, 2].item()
    assert "at=1%2C2" in browser.ask("location.hash")


def test_keys_lead_from_view_to_view(browser: Browser, worked_page: Path) -> None:
    browser.open(worked_page, f"step={WEIGHTS}")
    body = browser.driver.find_element("css selector", "body")
    for key, heading in (
        ("n", "encoder.layers.0.self_attention.mixed"),
        ("p", WEIGHTS),
        ("a", "Who looks at whom"),
        ("t", "What “<bos>” becomes"),
        ("o", "Every number, in the order it is made"),
    ):
        body.send_keys(key)
        browser.wait(f"document.querySelector('h2').textContent === {heading!r}")


def test_a_step_is_found_by_its_name(browser: Browser, worked_page: Path) -> None:
    browser.open(worked_page)
    browser.driver.find_element("css selector", "body").send_keys("/")
    box = browser.driver.find_element("css selector", "#map input")
    box.send_keys("cross_attention.scores")
    assert browser.ask("[...document.querySelectorAll('#map li a')].map((a) => a.dataset.step)") == [
        "decoder.layers.0.cross_attention.scores"
    ]
    box.send_keys("\n")
    browser.wait("document.querySelector('h2').textContent.endsWith('cross_attention.scores')")


def test_lines_are_the_weights(browser: Browser, worked_page: Path, worked: Shown) -> None:
    browser.open(worked_page, f"attention={WEIGHTS}&at=1")
    row = worked.trace[WEIGHTS].value[0, 0, 1]
    drawn = browser.ask(
        "[...document.querySelectorAll('.lines line')].map((l) => Number(l.getAttribute('stroke-opacity')))"
    )
    assert drawn == pytest.approx([weight for weight in row.tolist() if weight >= 0.01], abs=5e-4)
    assert [number(text) for text in browser.texts(".lines em")] == pytest.approx(row.tolist(), abs=5e-5)


def test_all_heads_can_be_seen_as_lines(browser: Browser, make: Make, tmp_path: Path) -> None:
    shown = make("masked")
    write_page(shown.trace, tmp_path / "page.html")
    browser.open(tmp_path / "page.html", f"attention={WEIGHTS}&heads=all")
    assert len(browser.texts(".thumb canvas")) == 2
    colours = set(browser.ask("[...document.querySelectorAll('.lines line')].map((l) => l.getAttribute('stroke'))"))
    assert len(colours) == 2
    assert len(browser.texts(".lines line")) == int((shown.trace[WEIGHTS].value >= 0.01).sum())


def test_a_token_is_followed_through_the_layers(browser: Browser, worked_page: Path, worked: Shown) -> None:
    browser.open(worked_page, "token=2&side=decoder")
    titles = browser.texts(".becomes .title")
    assert titles[0] == "embedding.output"
    assert titles[-1] == "output"
    assert "0.cross_attention.weights" in titles
    browser.ask("document.querySelector('.becomes canvas').focus()")
    browser.driver.switch_to.active_element.send_keys(ARROW_RIGHT)
    recorded = worked.trace["decoder.embedding.output"].value[0, 2, 1].item()
    assert number(browser.texts(".readout .exact")[0]) == recorded
    assert browser.texts(".outcome b")[0] == "la"


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_a_phone(browser: Browser, worked_page: Path, dark: bool) -> None:
    browser.size(390, 844, dark)
    try:
        for state in ("", f"step={WEIGHTS}", f"attention={WEIGHTS}", "token=1&side=encoder"):
            browser.open(worked_page, state)
            assert browser.ask("document.documentElement.scrollWidth") <= 390, state
            assert browser.ask("document.documentElement.classList.contains('dark')") is dark
        assert not browser.driver.find_element("css selector", "#map").is_displayed()
        browser.driver.find_element("css selector", ".menu").click()
        assert browser.driver.find_element("css selector", "#map").is_displayed()
    finally:
        browser.size(1300, 900)


def test_a_page_opens_where_it_was_told_to(browser: Browser, worked: Shown, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page_module.page(worked.trace, start=f"step={WEIGHTS}"), "utf-8")
    browser.open(tmp_path / "page.html")
    assert browser.texts("h2") == [WEIGHTS]


def test_a_text_is_never_markup(browser: Browser, tmp_path: Path) -> None:
    trace = Trace()
    trace.add("encoder.ids", "B T", torch.tensor([[1]]), "given", (), {})
    trace.tokens, trace.answer = {"encoder": [["<img src=x onerror=document.title='broken'>"]]}, "<b>&"
    write_page(trace, tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    assert browser.ask("document.querySelectorAll('img, b').length") == 0
    assert browser.ask("document.title") == "<b>& · glassformer"


def test_how_it_was_written_is_a_view_of_its_own(browser: Browser, tmp_path: Path) -> None:
    model = load("tatoeba-en-fr")
    writing = model.trace_generation("Where is it?", num_beams=2, keep="head.logits")
    model.trace("Where is it?").to_html(tmp_path / "page.html", writing=writing)
    browser.open(tmp_path / "page.html", "writing=")
    assert browser.texts(".glassformer .token") == [token.token for token in writing.tokens]
    assert writing.tree is not None
    assert len(browser.texts(".glassformer svg title")) == len(writing.tree.nodes)
    assert browser.errors() == []
