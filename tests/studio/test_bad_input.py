"""Whatever is sent, the studio answers in one sentence, and the page keeps what it shows."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from selenium.webdriver.common.by import By
from tests.studio.chromium import NEEDED, Open, reads, seen

from glassformer.shipped import shipped
from glassformer.studio.app import create_app
from glassformer.studio.safety import MOST, Guard

HALF = "\ud83d"  # of a character that has two
HERE = {"model": "worked-example", "text": "I love data science"}


def refused(response: Any) -> str:
    """The sentence of a request that was not let through."""
    assert response.status_code == 400, response.text
    found: str = response.json()["error"]
    assert "\n" not in found
    assert 20 < len(found) < 1_500
    return found


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"text": HALF}, "half of one"),
        ({"text": "a", "context": HALF}, "half of one"),
        ({"target": HALF}, "half of one"),
        ({"text": "\0"}, "is not in the vocabulary"),
        ({"text": ""}, "the text is empty"),
        ({"text": "a" * 100_000}, "is not in the vocabulary"),
        ({"model": "tatoeba-en-fr", "text": "a" * 100_000}, "tokens, but this model has 512 positions"),
        ({"model": "a" * 100_000}, "characters at most"),
        ({"model": "\0"}, "is no folder"),
        ({"model": "/etc/passwd"}, "is a file"),
        ({"model": ""}, "has no name"),
        ({"options": {"max_new_tokens": "many"}}, "many"),
        ({"edits": [{"kind": "zero", "name": "nothing"}]}, "nothing"),
        ({"edits": [{"kind": "patch", "name": "encoder.output", "text": HALF}]}, "half of one"),
        ({"edits": [{"kind": "weight", "name": "source_tokens.weight", "row": 99, "to": 1}]}, "99"),
        ({"edits": [{"kind": "zero", "name": "encoder.output"}] * 65}, "at most 64"),
    ],
)
def test_a_request_that_cannot_be_met(client: TestClient, asked: Mapping[str, Any], sentence: str) -> None:
    body = json.dumps({**HERE, **asked})
    response = client.post("/api/runs", content=body, headers={"content-type": "application/json"})
    assert sentence in refused(response)


@pytest.mark.parametrize("body", [b"{nope", b"\xff\xfe", b"[1]", b""])
def test_what_is_no_request_at_all(client: TestClient, body: bytes) -> None:
    assert client.post("/api/runs", content=body, headers={"content-type": "application/json"}).status_code == 400


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (("config.json", b"{nope"), "is not readable JSON"),
        (("model.safetensors", b"\x10\0\0"), "is not a whole safetensors file"),
        (("tokenizer.json", b"{}"), "is not a readable tokenizer"),
    ],
)
def test_a_model_that_fails_to_load(
    client: TestClient, tmp_path: Path, broken: tuple[str, bytes], sentence: str
) -> None:
    folder = shutil.copytree(shipped()["shakespeare"], tmp_path / "broken")
    name, content = broken
    (folder / name).write_bytes(content)
    assert sentence in refused(client.post("/api/runs", json={"model": str(folder), "text": "ROMEO:"}))


def test_pickled_weights_are_never_opened(client: TestClient, tmp_path: Path) -> None:
    shutil.copy(shipped()["shakespeare"] / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")
    response = client.post("/api/runs", json={"model": str(tmp_path), "text": "ROMEO:"})
    assert "is never opened" in refused(response)


@pytest.mark.parametrize("name", ["a.pkl", "a.pt", "a.csv.exe", ".csv", "..%2Fa.csv", "x" * 99 + ".csv"])
def test_files_of_other_kinds_are_not_taken(client: TestClient, name: str) -> None:
    assert client.put(f"/api/files/{name}", content=b"x").status_code in (400, 404)


def test_a_file_that_is_too_large_is_not_kept(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassformer.studio.uploads.MOST", 1000)
    assert "has more than" in refused(client.put("/api/files/a.csv", content=b"x" * 1001))
    assert client.put("/api/files/a.csv", content=b"x" * 1000).json() == {"file": "a.csv"}


def test_a_request_that_is_too_long_is_not_read() -> None:
    guarded = TestClient(Guard(create_app(), 8420), base_url="http://127.0.0.1:8420")
    long = guarded.post("/api/runs", content=b" " * (MOST + 1))
    assert (long.status_code, "MiB" in long.text) == (413, True)
    parts = guarded.post("/api/runs", content=iter([b"{", b"}"]))
    assert (parts.status_code, "content-length" in parts.text) == (411, True)


def test_what_nobody_foresaw_is_a_sentence_too() -> None:
    app: FastAPI = create_app()

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    app.router.routes.insert(0, app.router.routes.pop())  # before the page, which takes every path
    response = TestClient(app, raise_server_exceptions=False).get("/broken")
    assert response.status_code == 500
    assert "the studio failed at this (ZeroDivisionError)" in response.json()["error"]


class TestPage:
    """The same on the page."""

    pytestmark = NEEDED

    @pytest.mark.parametrize(
        ("model", "text", "sentence"),
        [
            ("tatoeba-en-fr", "a" * 100_000, "tokens, but this model has 512 positions"),
            ("tatoeba-en-fr", "a" * 100_001, "100,000 at most"),
            ("worked-example", "pizza", "is not in the vocabulary"),
            ("/nowhere/at/all", "a", "there is no folder"),
        ],
    )
    def test_a_refusal_keeps_the_screen(self, page: Open, model: str, text: str, sentence: str) -> None:
        browser = page(**HERE, view="walk", at=12)
        reads(browser, ".turn", "step 13 of")
        before = browser.find_element(By.ID, "main").text
        fill = "for (const [id, value] of arguments[0]) document.getElementById(id).value = value"
        browser.execute_script(fill, [["model", model], ["text", text]])
        browser.find_element(By.CSS_SELECTOR, "#ask button").click()
        reads(browser, "#said", sentence)
        assert browser.find_element(By.ID, "main").text == before
        assert "j' aime" in browser.find_element(By.ID, "answer").text

    @pytest.mark.parametrize(
        ("state", "shown"),
        [
            ({"view": "walk", "at": "many"}, "The text is cut into words"),
            ({"view": "walk", "at": "-5"}, "The text is cut into words"),
            ({"view": "nothing"}, "The text is cut into words"),
            ({"view": "map", "step": "encoder.output", "head": "x", "row": "-1", "of": "9e99"}, "encoder.output"),
            ({"view": "attention", "head": "99", "step": "nothing"}, "cross_attention.weights, head 0"),
        ],
    )
    def test_an_address_that_was_changed_by_hand(self, page: Open, state: dict[str, str], shown: str) -> None:
        browser = page(**HERE, **state)
        reads(browser, "#main h2", shown)

    @pytest.mark.parametrize(
        ("state", "sentence"),
        [
            ({"edits": "{nope"}, "the changes that this address names cannot be read"),
            ({"edits": '[{"kind": "melt", "name": "encoder.output"}]'}, "kind"),
            ({"view": "beams", "beams": "x"}, "beams"),
        ],
    )
    def test_an_address_that_means_nothing(self, page: Open, state: dict[str, str], sentence: str) -> None:
        browser = page(**HERE, **state)
        reads(browser, "#said", sentence)
        assert "refused" in browser.find_element(By.ID, "said").get_attribute("class")
        assert not browser.find_elements(By.CSS_SELECTOR, "[aria-busy]")

    def test_a_text_is_never_read_as_markup(self, page: Open) -> None:
        text = "<img src=x onerror=document.title='taken'> was <b>bad</b>"
        browser = page(model="sentiment", text=text, view="walk")
        assert seen(browser, ".way .whole").text == text
        assert not browser.find_elements(By.CSS_SELECTOR, "#main img, #main b")
        assert "taken" not in browser.title
        assert quote("<img") in browser.current_url
