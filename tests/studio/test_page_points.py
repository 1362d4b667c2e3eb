"""Every view of every model that ships, in a real browser: what the page says is what the trace holds."""

import json
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import openpyxl
import pytest
import torch
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tests.studio.chromium import NEEDED, REDRAWN, WAIT, Open, numbers_in, pointed, press, reads, seen
from tests.studio.test_server import SEEN, TEXTS, WANTED, loaded, trace_of

from glassformer import inspection
from glassformer.glass.edits import patch, replace, steer, zero
from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW

pytestmark = NEEDED

OTHER = {
    "worked-example": "I love science",
    "answers": "Where did she move?",
    "tatoeba-en-fr": "Where is the car?",
    "shakespeare": "JULIET:",
}
WRITERS = ("worked-example", "tatoeba-en-fr", "shakespeare", "summaries")
TRAINED = ("tatoeba-en-fr", "shakespeare")  # the others are learnt on in test_page_learning and test_server
ROWS = "return [...document.querySelectorAll(arguments[0])].map((row) => [...row.cells].map((cell) => cell.title))"


def state_of(name: str) -> dict[str, Any]:
    text, context = TEXTS[name]
    return {"model": name, "text": text, **({} if context is None else {"context": context})}


def goes(browser: Any, name: str, **more: Any) -> None:
    """Another view of the same run, by its address."""
    browser.execute_script("location.hash = arguments[0]", urlencode({**state_of(name), **more}))


def given(name: str) -> tuple[str, ...]:
    return tuple(each for each in TEXTS[name] if each is not None)


def figures(browser: Any, rows: str) -> list[list[float]]:
    """The exact numbers of a table's rows."""
    found = browser.execute_script(ROWS, rows)
    return [[float(title.replace("−", "-")) for title in row if title] for row in found]


def same(shown: list[float], own: torch.Tensor) -> bool:
    """Whether what is shown are these very numbers, to the last digit of their kind."""
    return torch.equal(torch.tensor(shown, dtype=own.dtype), own.flatten())


def number_of(share: float) -> str:
    return f"{share * 100:.1f} %"


def visible(token: str) -> str:
    """A token as the page writes it."""
    return "␣" if token == " " else token.replace("\n", "↵")


def weights_of(name: str) -> str:
    """The attention that is looked at: the last one."""
    return trace_of(name).select("*_attention.weights")[-1].name


def rows_of(browser: Any, selector: str) -> list[float]:
    return [float(each.get_attribute("value")) for each in browser.find_elements(By.CSS_SELECTOR, selector)]


def check_answer(browser: Any, name: str) -> None:
    """The answer above every view: words with their shares and what else was likely, bars, names, a marked span."""
    answer = loaded(name)(*given(name), **SEEN.get(name, {}))
    if name in WRITERS:
        reads(browser, "#answer .whole", str(answer).strip())
        words = browser.find_elements(By.CSS_SELECTOR, "#answer .tokens .token")
        rows = trace_of(name)["head.probabilities"].value[0][-len(words) :]
        vocabulary = loaded(name).tokenizer
        for word, row, token in zip(words, rows, answer.tokens, strict=True):
            best = row.topk(5)
            told = [each.get_attribute("textContent") for each in word.find_elements(By.TAG_NAME, "li")]
            likely = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            assert told == [f"{visible(vocabulary.token(id))} {number_of(share)}" for id, share in likely]
            assert word.get_attribute("textContent").startswith(visible(token))
    elif name == "sentiment":
        assert rows_of(browser, "#answer meter") == sorted(answer.probabilities.values(), reverse=True)
    elif name == "entities":
        marks = browser.find_elements(By.CSS_SELECTOR, "#answer mark")
        assert [each.text for each in marks] == [f"{each.text}{each.type}" for each in answer.entities]
        shares = [number_of(each.probability) for each in answer.entities]
        assert [each.get_attribute("title") for each in marks] == shares
    elif name == "answers":
        assert browser.find_element(By.CSS_SELECTOR, "#answer mark").text == answer.text
        assert browser.find_element(By.CSS_SELECTOR, "#answer .whole").text == TEXTS[name][1]


def check_map(browser: Any, name: str) -> None:
    """The whole run as boxes; a search; one step, with the numbers of the trace."""
    trace = trace_of(name)
    seen(browser, ".flow .part")
    boxes = browser.find_elements(By.CSS_SELECTOR, ".flow .part a")
    assert sorted(each.get_attribute("title") for each in boxes) == sorted(trace)
    scores = trace.select("*_attention.scores")
    box = browser.find_element(By.CSS_SELECTOR, ".map input")
    box.send_keys("_attention.scores")
    listed = browser.execute_script("return [...document.querySelectorAll('.map li a')].map((each) => each.title)")
    assert sorted(listed) == sorted(each.name for each in scores)
    browser.find_element(By.CSS_SELECTOR, f".flow a[title='{scores[0].name}']").click()
    reads(browser, "#main h2", scores[0].name)
    own = scores[0].value[0, 0]
    if browser.find_elements(By.CSS_SELECTOR, "#main table.numbers"):
        assert same(sum(numbers_in(browser), []), own)
    else:
        assert same([pointed(browser, 2, 1)], own[2, 1])


def check_attention(browser: Any, name: str) -> None:
    """Every head of every layer, and one of them in numbers."""
    layers = trace_of(name).select("*_attention.weights")
    head = layers[-1].value.shape[1] - 1
    goes(browser, name, view="attention", step=layers[-1].name, head=head)
    reads(browser, "#main .one h2", f"{layers[-1].name}, head {head}")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".grids .thumb")) == sum(each.value.shape[1] for each in layers)
    own = layers[-1].value[0, head]
    if browser.find_elements(By.CSS_SELECTOR, "#main table.numbers"):
        assert same(sum(numbers_in(browser), []), own)
    else:
        assert same([pointed(browser, len(own) - 1, 1)], own[-1, 1])


def check_touch(browser: Any, name: str) -> None:
    """A head switched off: the answers before and after side by side, and it is taken back."""
    step = weights_of(name)
    goes(browser, name, view="map", step=step, head=0)
    seen(browser, ".touch summary").click()
    many = trace_of(name)[step].value.shape[1] > 1
    press(browser, "switch head 0 off" if many else "switch this step off")
    model = loaded(name)
    with model.edit(zero(step, head=0) if many else zero(step)):
        after = model(*given(name), **SEEN.get(name, {}))
    if name == "sentiment":
        seen(browser, "#answer .after meter")
        assert rows_of(browser, "#answer .after meter") == sorted(after.probabilities.values(), reverse=True)
    elif name in WRITERS:
        reads(browser, "#answer .after .whole", str(after).strip())
        reads(browser, "#answer .before .whole", str(model(*given(name), **SEEN.get(name, {}))).strip())
    else:
        seen(browser, "#answer .after .whole")
        marks = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#answer .after mark")]
        assert marks == ([after.text] if name == "answers" else [f"{one.text}{one.type}" for one in after.entities])
    press(browser, "take all back")
    WebDriverWait(browser, WAIT).until(lambda driver: not driver.find_elements(By.CSS_SELECTOR, "#answer .after"))


def check_understand(browser: Any, name: str) -> None:
    """What the answer hangs on, each layer's guess, another text."""
    model, other = loaded(name), OTHER.get(name, "A wonderful evening in Paris.")
    goes(browser, name, view="understand", method="input-x-gradient", othermodel=name, othertext=other)
    seen(browser, "table.differences tbody td")
    own = inspection.attribute(model, *given(name), method="input-x-gradient").as_dict()
    words = browser.find_elements(By.CSS_SELECTOR, ".scored span")
    scores = [float(each.get_attribute("data-score")) for each in words]
    expected = [each["score"] for side in own["sides"] for each in side["tokens"]]
    assert scores == pytest.approx(expected, rel=1e-4, abs=1e-7)
    guesses = inspection.lens(model, *given(name)).as_dict()["guesses"]
    shown = figures(browser, "table.lens tbody tr")
    assert sum(shown, []) == pytest.approx([each["probability"] for row in guesses for each in row], rel=1e-5)
    second = model.trace(other, *given(name)[1:], **SEEN.get(name, {}))
    found = {each.step: each for each in inspection.compare(trace_of(name), second).differences}
    names = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "table.differences tbody th")]
    for step, row in zip(names, figures(browser, "table.differences tbody tr"), strict=True):
        assert row[:2] == pytest.approx([found[step].relative, found[step].largest], rel=1e-4)


def check_learn(browser: Any, name: str) -> None:
    """A step of training on a wanted answer."""
    settings = AdamW(learning_rate=0.01)
    trace = loaded(name).trace_training_step(*given(name), target=WANTED[name], optimizer=settings)
    goes(browser, name, view="learn", target=WANTED[name], rate=0.01)
    reads(browser, ".figures", f"{trace['loss.mean'].value:.4f}")
    shown = [float(each.get_attribute("title")) for each in browser.find_elements(By.CSS_SELECTOR, ".figures dd")]
    names = ("loss.mean", "update.gradient_norm", "update.clip_factor")
    assert shown == pytest.approx([trace[each].value.item() for each in names], rel=1e-5)


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "minilm-l6"])
def test_every_view_says_what_the_trace_holds(page: Open, name: str) -> None:
    browser = page(**state_of(name), view="map")
    check_map(browser, name)
    check_answer(browser, name)
    check_attention(browser, name)
    check_touch(browser, name)
    check_understand(browser, name)
    if name in TRAINED:
        check_learn(browser, name)


def test_rows_as_they_are_have_their_views_too(page: Open) -> None:
    browser = page(**state_of("minilm-l6"), view="map")
    check_map(browser, "minilm-l6")
    check_attention(browser, "minilm-l6")
    titles = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#views .tool")]
    assert "Learn" not in titles
    assert "Beams" not in titles


@pytest.mark.parametrize("name", ["tatoeba-en-fr", "shakespeare", "summaries"])
def test_every_writer_has_its_tree(page: Open, name: str) -> None:
    options = {key: value for key, value in SEEN.get(name, {}).items() if key == "max_new_tokens"}
    own = loaded(name).trace_generation(TEXTS[name][0], num_beams=2, do_sample=False, keep=(), **options).written.tree
    assert own is not None
    browser = page(**state_of(name), view="beams", beams=2)
    seen(browser, ".tree svg .node")
    shown = browser.find_elements(By.CSS_SELECTOR, ".tree svg .node")
    assert [each.get_attribute("textContent") for each in shown] == [visible(node.token) for node in own.nodes]


STEP = "encoder.layers.0.self_attention.output"


def changed(browser: Any, fields: dict[str, str], title: str) -> None:
    """Fill what is asked for in "Change it", and do it."""
    seen(browser, ".touch summary").click()
    for label, text in fields.items():
        field = browser.find_element(By.CSS_SELECTOR, f".touch input[aria-label='{label}']")
        field.clear()
        field.send_keys(text)
    press(browser, title)


def test_an_activation_is_replaced_patched_and_steered_one_after_the_other(page: Open) -> None:
    text, other = TEXTS["sentiment"][0], "A wonderful evening."
    model = loaded("sentiment")
    browser = page(**state_of("sentiment"), view="map", step=STEP)
    seen(browser, ".heat")
    pointed(browser, 1, 5)
    changed(browser, {"the number to put there": "2.5"}, "replace the number pointed at last")
    edits: list[Any] = [replace(STEP, 2.5, position=1, neuron=5)]
    for make, fields, title in (
        (lambda: patch(STEP, other), {"another text": other}, "take this step from"),
        (lambda: steer(STEP, other, strength=2.0), {"another text": other, "strength": "2"}, "push this step towards"),
    ):
        with model.edit(*edits):
            own = sorted(model(text).probabilities.values(), reverse=True)
        waiting = WebDriverWait(browser, WAIT, ignored_exceptions=REDRAWN)
        waiting.until(lambda driver, own=own: rows_of(driver, "#answer .after meter") == pytest.approx(own, rel=1e-5))
        changed(browser, fields, title)
        edits.append(make())
    with model.edit(*edits):
        own = sorted(model(text).probabilities.values(), reverse=True)
    waiting.until(lambda driver: rows_of(driver, "#answer .after meter") == pytest.approx(own, rel=1e-5))
    assert len(browser.find_elements(By.CSS_SELECTOR, ".edits .chip")) == 3
    browser.back()
    waiting.until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, ".edits .chip")) == 2)


@pytest.fixture
def downloads(browser: Any, tmp_path: Path) -> Iterator[Path]:
    """Where the browser puts what is taken."""
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    yield tmp_path
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "default"})


def took(browser: Any, downloads: Path, title: str, ending: str) -> Path:
    """Press one of the things to take; the file that comes."""
    place = seen(browser, ".take")
    if place.get_attribute("open") is None:
        place.find_element(By.TAG_NAME, "summary").click()
    press_take = f"//*[@id='takes']//button[contains(., '{title}')]"
    browser.find_element(By.XPATH, press_take).click()
    reads(browser, "#said", "is in your downloads")
    until = time.monotonic() + WAIT
    while not (found := list(downloads.glob(f"*{ending}"))) and time.monotonic() < until:
        time.sleep(0.05)
    return found[0]


def test_everything_is_taken_from_the_page(page: Open, downloads: Path) -> None:
    name, step = "worked-example", "encoder.layers.0.self_attention.weights"
    trace = trace_of(name)
    browser = page(**state_of(name), view="map", step=step)
    reads(browser, "#main h2", step)
    opened = Trace.load(took(browser, downloads, "trace file", ".safetensors"))
    assert list(opened) == list(trace)
    assert all(bool((opened[each].value == trace[each].value).all()) for each in trace)
    told = json.loads(took(browser, downloads, "JSON", ".json").read_text("utf-8"))
    assert told["answer"] == trace.answer
    assert "<svg" in took(browser, downloads, "figure", ".svg").read_text("utf-8")
    assert r"\documentclass" in took(browser, downloads, "LaTeX", ".tex").read_text("utf-8")
    assert escape(trace.answer) in took(browser, downloads, "web page", ".html").read_text("utf-8")
    assert len(openpyxl.load_workbook(took(browser, downloads, "workbook", ".xlsx")).sheetnames) > 1
    notebook = took(browser, downloads, "notebook", ".ipynb").read_text("utf-8")
    assert next(downloads.glob("*.safetensors")).name in notebook


@pytest.mark.parametrize("name", ["entities", "tatoeba-en-fr", "summaries"])
def test_a_figure_of_what_is_shown_is_taken(page: Open, downloads: Path, name: str) -> None:
    browser = page(**state_of(name), view="attention", step=weights_of(name), head=1)
    reads(browser, "#main .one h2", "head 1")
    assert "<svg" in took(browser, downloads, "figure", ".svg").read_text("utf-8")


def test_nothing_is_asked_of_another_place(page: Open, address: str) -> None:
    browser = page(**state_of("tatoeba-en-fr"), view="attention")
    seen(browser, ".grids .thumb")
    read = "return performance.getEntriesByType('resource').map((each) => each.name)"
    asked = browser.execute_script(read)
    assert len(asked) > 10
    assert all(each.startswith(address) for each in asked)
