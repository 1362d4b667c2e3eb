"""The guided walk in a real browser, from the text's pieces to the answer: what it shows is what the model holds."""

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.studio.chromium import NEEDED, Open, reads, seen
from tests.studio.test_ends import CUT, KINDS, writer
from tests.studio.test_server import TEXTS, trace_of

import glassformer as gf
from glassformer.glass.conclusion.entities import Tagged
from glassformer.glass.conclusion.label import Labelled
from glassformer.glass.conclusion.span import SHOWN, Answered
from glassformer.glass.conclusion.words import Written

pytestmark = NEEDED

CUTS = """
return [...document.querySelectorAll(".word")].map((word) => [...word.querySelectorAll("li")].map((line) => [
  [...line.querySelectorAll(".piece")].map((piece) => piece.textContent), line.dataset.rank, line.dataset.score]));
"""
FIGURES = """
return [...document.querySelectorAll("table.ends tbody tr")].map((row) => [
  row.querySelector("th").textContent, ...[...row.querySelectorAll(".figure")].map((cell) => cell.title)]);
"""


def rows_of(browser: Any) -> list[tuple[str, list[float]]]:
    """The tables of a walk's last screen: what each row is called, and its numbers as they are."""
    return [
        (name, [float(each.replace("−", "-")) for each in figures])
        for name, *figures in browser.execute_script(FIGURES)
    ]


def state_of(name: str) -> dict[str, Any]:
    text, context = TEXTS[name]
    return {"model": name, "text": text, **({} if context is None else {"context": context}), "view": "walk"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_is_cut_merge_by_merge(page: Open, kind: str, tmp_path: Path) -> None:
    tokenizer = gf.load(writer(tmp_path, kind)).tokenizer
    browser = page(model=str(tmp_path), text=CUT, new=1, view="walk", at=1)
    seen(browser, ".cuts")
    own = [
        [
            [list(step.pieces), *(None if each is None else str(each) for each in (step.rank, step.score))]
            for step in word.steps
        ]
        for word in tokenizer.steps(CUT).words
    ]
    shown = browser.execute_script(CUTS)
    assert [[step[:2] for step in word] for word in shown] == [[step[:2] for step in word] for word in own]
    scores = [step[2] and float(step[2]) for word in shown for step in word]
    assert scores == [step[2] and float(step[2]) for word in own for step in word]


def test_the_walk_begins_with_the_text_and_goes_by_key(page: Open) -> None:
    browser = page(**state_of("tatoeba-en-fr"))
    reads(browser, "#main h2", "The text is cut into words")
    assert browser.find_element(By.CSS_SELECTOR, ".way .whole").text == "Where is the station?"
    body = browser.find_element(By.TAG_NAME, "body")
    for title in ("Each word is cut into pieces", "Each piece has a number", "encoder.ids"):
        body.send_keys(Keys.ARROW_RIGHT)
        reads(browser, "#main h2", title)
    body.send_keys(Keys.ARROW_LEFT)
    reads(browser, "#main h2", "Each piece has a number")
    ids = [int(each.get_attribute("data-id")) for each in browser.find_elements(By.CSS_SELECTOR, ".ids.read li")]
    assert ids == trace_of("tatoeba-en-fr")["encoder.ids"].value[0].tolist()


def test_a_question_and_its_context_are_both_cut(page: Open) -> None:
    browser = page(**state_of("answers"), at=3)
    reads(browser, ".chapter", "The context becomes pieces")
    assert browser.find_element(By.CSS_SELECTOR, ".way .whole").text == TEXTS["answers"][1]
    browser = page(**state_of("answers"), at=6)
    reads(browser, "#main h2", "encoder.ids")


def told_by(name: str) -> list[tuple[str, list[float]]]:
    """The rows that a walk's last screen has to have, from the trace's conclusion."""
    own = trace_of(name).conclusion
    match own:
        case Written():
            logs = [each.log_probability for each in own.tokens]
            return [("", [pytest.approx(2.718281828459045**log, rel=1e-9), log]) for log in logs]
        case Labelled():
            return [(each.label, [each.logit, each.probability or 0.0]) for each in own.scores]
        case Tagged():
            words = [(each.text, [each.probability]) for each in own.words]
            return [*words, *((each.text, [each.probability]) for each in own.names)]
    assert isinstance(own, Answered)
    likely = [(each.text, each.log_probability) for each in own.candidates[:SHOWN]]
    return [
        (text, [log, pytest.approx(2.718281828459045**log, rel=1e-9)])
        for text, log in [*likely, ("(no answer)", own.no_answer)]
    ]


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "minilm-l6"])
def test_the_walk_ends_with_the_answer(page: Open, name: str) -> None:
    browser = page(**state_of(name), at=9999)
    seen(browser, ".end table.ends")
    for (shown, figures), (named, own) in zip(rows_of(browser), told_by(name), strict=True):
        assert named in ("", shown)
        assert figures == own
    told = browser.find_elements(By.CSS_SELECTOR, ".end .whole")[-1].get_attribute("textContent")
    if name == "answers":
        assert browser.find_element(By.CSS_SELECTOR, ".end mark").text == trace_of(name).answer
    elif name == "entities":
        assert told == "Angela MerkelPER lives in BerlinLOC."
    else:
        assert told == trace_of(name).answer
    assert not browser.find_elements(By.CSS_SELECTOR, ".turn a[href][rel=next]")
