"""The page in a real browser: what it shows is what the trace holds. Left out where there is no Chromium."""

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from tests.studio.chromium import NEEDED, WAIT, Open, numbers_in, reads, screen, seen
from tests.studio.test_training import FILMS, RECIPE

import glassformer as gf
from glassformer.inspection import weight

pytestmark = NEEDED


def test_the_shelf_opens_a_model(page: Open) -> None:
    browser: Any = page()
    seen(browser, ".shelf a[href*='worked-example']").click()
    reads(browser, "#answer .whole", "j' aime la science des données")


def test_the_walk_goes_step_by_step_and_shows_the_traces_numbers(page: Open) -> None:
    trace = gf.load("worked-example").trace("I love data science")
    browser = page(model="worked-example", text="I love data science", view="walk", at=10)
    reads(browser, ".turn", "step 11 of")
    name = browser.find_element(By.CSS_SELECTOR, "h2").text
    assert numbers_in(browser) == trace[name].value.reshape(-1, trace[name].value.shape[-1]).tolist()
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
    reads(browser, ".turn", "step 12 of")
    after = browser.find_element(By.CSS_SELECTOR, "h2").text
    assert after != name
    assert numbers_in(browser) == trace[after].value.reshape(-1, trace[after].value.shape[-1]).tolist()
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_LEFT)
    reads(browser, ".turn", "step 11 of")


def test_a_number_says_how_it_came_about(page: Open) -> None:
    name = "encoder.layers.0.self_attention.query"
    browser = page(model="worked-example", text="I love data science", view="map", step=name)
    cell = seen(browser, "table.numbers td[data-row='0'][data-column='0']")
    browser.execute_script("arguments[0].focus()", cell)
    reads(browser, ".readout", "1.87·(−0.93) + 1.09·(−0.26)")


def test_labels_are_bars_with_the_models_shares(page: Open) -> None:
    answer = gf.load("sentiment")("What a waste of an evening.")
    browser = page(model="sentiment", text="What a waste of an evening.", view="map")
    reads(browser, "#answer", answer.label)
    meters = browser.find_elements(By.CSS_SELECTOR, "#answer meter")
    shown = {each.get_attribute("aria-label"): float(each.get_attribute("value")) for each in meters}
    assert shown == pytest.approx(dict(answer.probabilities), rel=1e-6)


def test_names_stand_in_colour_in_their_text(page: Open) -> None:
    browser = page(model="entities", text="Angela Merkel lives in Berlin.", view="map")
    seen(browser, "#answer mark")
    assert [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#answer mark")] == [
        "Angela MerkelPER",
        "BerlinLOC",
    ]


def test_attention_has_every_head_of_every_layer(page: Open) -> None:
    trace = gf.load("tatoeba-en-fr").trace("Where is the station?")
    layers = trace.select("*.weights")
    browser = page(
        model="tatoeba-en-fr", text="Where is the station?", view="attention", step=layers[-1].name, head=2
    )
    seen(browser, ".attention .lines svg")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".grids .thumb")) == sum(
        each.value.shape[1] for each in layers
    )
    flat = [value for row in numbers_in(browser) for value in row]
    assert flat == pytest.approx(layers[-1].value[0, 2].flatten().tolist(), rel=1e-6)


def test_the_tree_of_a_beam_search(page: Open) -> None:
    own = gf.load("tatoeba-en-fr").trace_generation("Where is the station?", num_beams=3).written.tree
    assert own is not None
    browser = page(model="tatoeba-en-fr", text="Where is the station?", view="beams", beams=3)
    seen(browser, ".tree svg .node")
    shown = browser.find_elements(By.CSS_SELECTOR, ".tree svg .node")
    assert [each.get_attribute("textContent") for each in shown] == [node.token for node in own.nodes]
    chosen = browser.find_elements(By.CSS_SELECTOR, ".tree svg .node.chosen")
    assert [each.get_attribute("textContent") for each in chosen] == [node.token for node in own.answer]


def test_the_tree_of_a_contrastive_search(page: Open) -> None:
    searched = {"num_beams": 1, "penalty_alpha": 0.6, "top_k": 3}
    own = gf.load("tatoeba-en-fr").trace_generation("Where is the station?", **searched).tree
    assert own is not None
    browser = page(model="tatoeba-en-fr", text="Where is the station?", view="beams", beams=3, search="contrastive")
    seen(browser, ".tree svg .node")
    shown = browser.find_elements(By.CSS_SELECTOR, ".tree svg .node")
    assert [each.get_attribute("textContent") for each in shown] == [node.token for node in own.nodes]
    browser.execute_script("arguments[0].dispatchEvent(new Event('focus'))", shown[0])
    assert own.nodes[0].reason in browser.find_element(By.CSS_SELECTOR, ".tree .readout").text
    assert own.says in browser.find_element(By.CSS_SELECTOR, ".tree .lead").text


def test_a_change_stands_beside_what_was_and_is_taken_back(page: Open) -> None:
    name = "encoder.layers.0.self_attention.query.weight"
    model = gf.load("worked-example")
    browser = page(model="worked-example", text="I love data science", view="map", step=name)
    cell = seen(browser, "table.numbers td[data-row='0'][data-column='1']")
    browser.execute_script("arguments[0].focus()", cell)
    browser.find_element(By.CSS_SELECTOR, ".touch summary").click()
    number = browser.find_element(By.CSS_SELECTOR, ".touch input[type='number']")
    number.clear()
    number.send_keys("3")
    browser.find_element(By.CSS_SELECTOR, ".touch button").click()
    with model.edit(weight(name, 3, row=0, column=1)):
        after = str(model("I love data science"))
    reads(browser, "#answer .after", after)
    assert str(model("I love data science")) in browser.find_element(By.CSS_SELECTOR, "#answer .before").text
    browser.back()
    WebDriverWait(browser, WAIT).until(lambda driver: not driver.find_elements(By.CSS_SELECTOR, ".edits"))
    assert not browser.find_elements(By.CSS_SELECTOR, "#answer .after")


def test_a_file_that_cannot_be_made_is_refused_in_a_sentence(page: Open) -> None:
    browser = page(model="tatoeba-en-fr", text="Where is the station?", view="walk")
    seen(browser, ".take summary").click()
    for button in browser.find_elements(By.CSS_SELECTOR, ".take button"):
        if "workbook" in button.text:
            button.click()
    reads(browser, "#said", "numbers")
    assert "refused" in browser.find_element(By.ID, "said").get_attribute("class")


def test_a_refusal_is_a_sentence_and_loses_nothing(page: Open) -> None:
    browser = page(model="worked-example", text="I love data science", view="walk")
    reads(browser, "#answer .whole", "j' aime")
    before = browser.find_element(By.ID, "main").text
    field = browser.find_element(By.ID, "model")
    field.clear()
    field.send_keys("no such model")
    browser.find_element(By.CSS_SELECTOR, "#ask button").click()
    reads(browser, "#said", "is no folder and no model that ships")
    assert browser.find_element(By.ID, "main").text == before
    assert "j' aime" in browser.find_element(By.ID, "answer").text


def test_a_training_is_watched_from_the_page(page: Open, tmp_path: Path) -> None:
    (tmp_path / "films.tsv").write_text(FILMS, "utf-8")
    browser = page(train=0)
    recipe = seen(browser, ".train textarea")
    browser.execute_script("arguments[0].value = arguments[1]", recipe, RECIPE)
    folder, probe = browser.find_elements(By.CSS_SELECTOR, ".train input[type='text']")
    folder.send_keys(str(tmp_path))
    probe.send_keys("a good film")
    browser.find_element(By.CSS_SELECTOR, ".train .go").click()
    reads(browser, ".train .lead", "classification, finished")
    reads(browser, ".figures", "step\n40")
    line = browser.find_element(By.CSS_SELECTOR, ".chart polyline")
    assert len(line.get_attribute("points").split()) == 20  # a point for each record of the training loss
    assert browser.find_elements(By.CSS_SELECTOR, ".train .thumb")
    browser.find_element(By.LINK_TEXT, "look into it").click()
    reads(browser, "#answer", "yes")


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("view", ["walk", "map", "attention", "understand", "learn"])
def test_nothing_is_wider_than_the_window(page: Open, width: int, view: str, tmp_path: Path) -> None:
    browser = page(model="sentiment", text="What a waste of an evening.", view=view)
    screen(browser, width, 950)
    seen(browser, "#main h2")
    wide = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
    browser.save_screenshot(str(tmp_path / f"{view}-{width}.png"))
    screen(browser, 1300, 950)
    assert wide <= 0
