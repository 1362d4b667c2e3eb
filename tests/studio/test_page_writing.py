"""The page with models that write: the generator that ships, one of GPT-2's size, and a server that is gone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import torch
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tests.studio.chromium import NEEDED, WAIT, Open, numbers_in, pointed, press, reads, seen

import glassformer as gf
from glassformer.families import FAMILIES
from glassformer.glass.edits import zero
from glassformer.model import Transformer
from glassformer.pretrained import save_transformer
from glassformer.text.tokenizer import Tokenizer

pytestmark = NEEDED

GPT2 = {"n_layer": 12, "n_embd": 768, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}


def test_a_text_goes_on_as_it_is_traced(page: Open) -> None:
    model = gf.load("shakespeare")
    options = {"max_new_tokens": 8, "seed": 3}
    trace, answer = model.trace("ROMEO:", **options), model("ROMEO:", **options)
    browser = page(model="shakespeare", text="ROMEO:", view="map", step="head.logits", new=8, seed=3)
    reads(browser, "#answer .whole", str(answer).strip())
    words = browser.find_elements(By.CSS_SELECTOR, "#answer .token")
    chances = [float(each.get_attribute("data-probability")) for each in words]
    assert chances == pytest.approx(torch.tensor(answer.log_probabilities).exp().tolist(), rel=1e-6)
    assert browser.find_element(By.ID, "writing").is_displayed()
    assert browser.find_element(By.ID, "new").get_attribute("value") == "8"
    name = "decoder.layers.0.self_attention.weights"
    browser = page(model="shakespeare", text="ROMEO:", view="map", step=name, new=2, seed=3, head=1)
    reads(browser, "#main h2", name)
    own = model.trace("ROMEO:", max_new_tokens=2, seed=3)[name].value[0, 1]
    assert sum(numbers_in(browser), []) == pytest.approx(own.flatten().tolist(), rel=1e-6)
    assert trace.answer == str(answer)


def test_another_draw_is_another_text(page: Open) -> None:
    browser = page(model="shakespeare", text="ROMEO:", view="walk")
    first = seen(browser, "#answer .whole").text
    field = browser.find_element(By.ID, "seed")
    field.clear()
    field.send_keys("5")
    browser.find_element(By.CSS_SELECTOR, "#ask button").click()
    own = str(gf.load("shakespeare")("ROMEO:", max_new_tokens=16, seed=5))
    assert own.strip() != first
    reads(browser, "#answer .whole", own.strip())


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """124 million random parameters, a token for each byte and numbered ones."""
    folder = tmp_path_factory.mktemp("large")
    raw = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **GPT2}
    torch.manual_seed(0)
    save_transformer(folder, Transformer(FAMILIES["gpt2"].config(raw)), raw=raw)
    tokenizer = Tokenizer.train("byte-bpe", ["a"], vocab_size=257)
    tokenizer.add([f"<{number}>" for number in range(tokenizer.vocab_size, GPT2["vocab_size"])])
    tokenizer.save(folder)
    return folder


def test_a_model_of_gpt2s_size_is_looked_into(page: Open, large: Path) -> None:
    text, options = "x" * 48, {"max_new_tokens": 4, "seed": 0}
    trace = gf.load(large).trace(text, **options)
    name = "decoder.layers.7.self_attention.weights"
    state = {"model": str(large), "text": text, "new": 4, "view": "map"}
    browser = page(**state, step=name, head=11)
    reads(browser, "#main h2", name)
    listed = browser.execute_script("return [...document.querySelectorAll('.map li a')].map((each) => each.title)")
    assert sorted(listed) == sorted(trace)
    own = trace[name].value[0, 11]
    told = pointed(browser, own.shape[0] - 1, 3)
    assert told == pytest.approx(own[-1, 3].item(), rel=1e-6)
    browser = page(**state, step="decoder.layers.11.feed_forward.up")
    reads(browser, "#main h2", "decoder.layers.11.feed_forward.up")
    assert pointed(browser, 5, 900) == pytest.approx(
        trace["decoder.layers.11.feed_forward.up"].value[0, 5, 900].item(), rel=1e-6
    )
    browser = page(**state, step="head.probabilities")
    best = seen(browser, "table.likeliest tbody tr td b").text
    assert best == gf.load(large).tokenizer.token(int(trace["head.probabilities"].value[0, 0].argmax()))


def test_the_heads_and_the_end_of_a_model_of_gpt2s_size(page: Open, large: Path) -> None:
    text, options = "x" * 48, {"max_new_tokens": 4, "seed": 0}
    model = gf.load(large)
    trace, answer = model.trace(text, **options), model(text, **options)
    state = {"model": str(large), "text": text, "new": 4}
    name = "decoder.layers.11.self_attention.weights"
    browser = page(**state, view="attention", step=name, head=3)
    reads(browser, "#main .one h2", f"{name}, head 3")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".grids .thumb")) == 144
    own = trace[name].value[0, 3]
    assert pointed(browser, len(own) - 1, 7) == pytest.approx(own[-1, 7].item(), rel=1e-6)
    away = "location.hash = location.hash.replace('view=attention', 'view=map').replace(/&step=[^&]*/, '')"
    browser.execute_script(away)
    seen(browser, ".flow .part")
    boxes = browser.find_elements(By.CSS_SELECTOR, ".flow .part a")
    assert sorted(each.get_attribute("title") for each in boxes) == sorted(trace)
    browser.execute_script("location.hash = location.hash.replace('view=map', 'view=walk') + '&at=9999'")
    seen(browser, ".end table.ends")
    cells = browser.find_elements(By.CSS_SELECTOR, "table.ends tbody tr td:nth-child(3)")
    shown = [float(each.get_attribute("title").replace("−", "-")) for each in cells]
    assert shown == pytest.approx(list(answer.log_probabilities), rel=1e-6)
    browser = page(**state, view="map", step=name, head=3)
    seen(browser, ".touch summary").click()
    press(browser, "switch head 3 off")
    with model.edit(zero(name, head=3)):
        after = str(model(text, **options))
    reads(browser, "#answer .after .whole", after.strip())


@pytest.fixture
def killable() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A studio in a process of its own."""
    command = [sys.executable, "-m", "glassformer", "studio", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().split(" at ")[1].split()[0]
        process.kill()


def test_a_server_that_is_gone_is_said_and_nothing_is_lost(
    browser: Any, killable: tuple[subprocess.Popen[str], str]
) -> None:
    process, address = killable
    browser.get(f"{address}#{urlencode({'model': 'shakespeare', 'text': 'ROMEO:', 'view': 'walk', 'at': 6})}")
    reads(browser, ".turn", "step 7 of")
    shown, title = browser.find_element(By.ID, "main").text, browser.find_element(By.CSS_SELECTOR, "h2").text
    browser.execute_script("document.getElementById('new').value = 1000")
    browser.find_element(By.CSS_SELECTOR, "#ask button").click()
    letters = "#answer .token"
    WebDriverWait(browser, WAIT).until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, letters)) > 20)
    process.kill()  # while it writes
    process.wait()
    reads(browser, "#said", "does not answer")
    written = browser.find_elements(By.CSS_SELECTOR, letters)
    assert len(written) > 20
    assert browser.find_element(By.CSS_SELECTOR, "h2").text
    browser.find_element(By.CSS_SELECTOR, ".turn a[rel=next]").click()
    reads(browser, "#said", "does not answer")
    assert len(browser.find_elements(By.CSS_SELECTOR, letters)) == len(written)
    assert browser.find_element(By.ID, "main").text
    assert shown
    assert title
    browser.get_log("browser")  # of the connection that is gone it complains as well
