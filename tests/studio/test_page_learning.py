"""Learning on the page: one step of training on an answer, and the worked example from random numbers."""

from typing import Any

import pytest
from selenium.webdriver.common.by import By
from tests.studio.chromium import NEEDED, Open, numbers_in, press, reads, seen

import glassformer as gf
from glassformer import inspection
from glassformer.glass.update import AdamW

pytestmark = NEEDED

TEXT, WANTED = "I love data science", "j' aime les données"


def test_a_step_of_training_is_walked_from_the_loss_to_the_new_weights(page: Open) -> None:
    browser = page(model="worked-example", text=TEXT, view="learn")
    field = seen(browser, ".learn input[type='text']")
    assert field.get_attribute("value") == "j' aime la science des données"
    field.clear()
    field.send_keys(WANTED)
    rate = browser.find_element(By.CSS_SELECTOR, ".learn input[type='number']")
    rate.clear()
    rate.send_keys("0.01")
    press(browser, "one step of training")
    trace = gf.load("worked-example").trace_training_step(TEXT, target=WANTED, optimizer=AdamW(learning_rate=0.01))
    reads(browser, ".figures", f"{trace['loss.mean'].value:.4f}")
    shown = [each.get_attribute("title") for each in browser.find_elements(By.CSS_SELECTOR, ".figures dd")]
    names = ("loss.mean", "update.gradient_norm", "update.clip_factor")
    assert [float(each) for each in shown] == [trace[name].value.item() for name in names]
    rows = browser.find_elements(By.CSS_SELECTOR, "table.differences tbody th")
    assert {each.text for each in rows} == set(trace.parameters)
    browser.find_element(By.CSS_SELECTOR, ".door[href*='at=']").click()
    reads(browser, ".chapter", "How far that is from what is wanted")
    for name in ("gradient.encoder.layers.0.self_attention.query", "update.source_tokens.weight.new"):
        there = "location.hash = location.hash.replace(/view=\\w+/, 'view=map') + arguments[0]"
        browser.execute_script(there, f"&step={name}")
        reads(browser, "#main h2", name)
        own = trace[name].value
        assert numbers_in(browser) == own.reshape(-1, own.shape[-1]).tolist()
        browser.back()
        reads(browser, ".chapter", "How far")


def test_what_cannot_be_learnt_is_said(page: Open) -> None:
    browser = page(model="worked-example", text=TEXT, view="learn")
    field = seen(browser, ".learn input[type='text']")
    field.clear()
    field.send_keys("un autre mot")
    press(browser, "one step of training")
    reads(browser, "#said", "autre")
    assert "refused" in browser.find_element(By.ID, "said").get_attribute("class")
    assert browser.find_elements(By.CSS_SELECTOR, ".learn form")


def test_the_worked_example_learns_in_front_of_the_reader(page: Open) -> None:
    browser: Any = page()
    seen(browser, ".door[href*='train=worked-example']").click()
    press(browser, "Begin")
    reads(browser, ".train .lead", "held")
    reads(browser, ".samples", "step 0")
    press(browser, "look at its next step")
    reads(browser, ".figures", "loss")
    loss = float(browser.find_element(By.CSS_SELECTOR, ".figures dd").get_attribute("title"))
    browser.back()
    reads(browser, ".train .lead", "held")
    press(browser, "one step")
    reads(browser, ".figures", "step\n1")
    assert f"{loss:.4f}" in browser.find_element(By.CSS_SELECTOR, ".figures").text
    press(browser, "go on")
    reads(browser, ".train .lead", "finished")
    reads(browser, ".samples", "j' aime la science des données")
    assert len(browser.find_element(By.CSS_SELECTOR, ".chart polyline").get_attribute("points").split()) == 300
    press(browser, "look into it")
    reads(browser, "#answer .whole", "j' aime la science des données")


def test_an_embedding_is_changed_by_its_word(page: Open) -> None:
    name = "source_tokens.weight"
    model = gf.load("worked-example")
    browser = page(model="worked-example", text=TEXT, view="map", step=name)
    field = seen(browser, ".find input")
    field.send_keys("data")
    browser.find_element(By.CSS_SELECTOR, ".find button").click()
    reads(browser, "tr.here th", "data")
    row = browser.find_element(By.CSS_SELECTOR, "tr.here")
    shown = [float(cell.get_attribute("title").replace("−", "-")) for cell in row.find_elements(By.TAG_NAME, "td")]
    assert shown == model.transformer.get_parameter(name)[2].tolist()
    browser.find_element(By.CSS_SELECTOR, ".touch summary").click()
    browser.find_element(By.CSS_SELECTOR, "[aria-label='the word whose row is taken']").send_keys("science")
    press(browser, "take its row")
    reads(browser, ".edits", "the row of “science” for “data”")
    table = model.transformer.get_parameter(name).detach()
    with model.edit(inspection.weight(name, table[3].clone(), row=2)):
        after = str(model(TEXT))
    reads(browser, "#answer .after", after)


@pytest.mark.parametrize("method", ["input-x-gradient", "integrated-gradients"])
def test_words_are_coloured_by_what_the_answer_hangs_on(page: Open, method: str) -> None:

    text = "What a waste of an evening."
    own = inspection.attribute(gf.load("sentiment"), text, method=method).as_dict()  # type: ignore[arg-type]
    browser = page(model="sentiment", text=text, view="understand", method=method)
    seen(browser, ".scored span")
    strips = browser.find_elements(By.CSS_SELECTOR, ".scored")
    for side, strip in zip(own["sides"], strips, strict=True):
        words = strip.find_elements(By.TAG_NAME, "span")
        assert [each.text for each in words] == [each["text"] for each in side["tokens"]]
        scores = [float(each.get_attribute("data-score")) for each in words]
        assert scores == pytest.approx([each["score"] for each in side["tokens"]], rel=1e-5, abs=1e-9)
