"""What the page is told of an answer's reasons is what `inspection` finds."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

import glassformer as gf
from glassformer import inspection
from glassformer.studio.understand import OVER_TOKENS

TEXT = "What a waste of an evening."


@pytest.fixture(scope="module")
def run(client: TestClient) -> int:
    number: int = client.post("/api/runs", json={"model": "sentiment", "text": TEXT}).json()["run"]
    return number


@pytest.mark.parametrize("method", OVER_TOKENS)
def test_attribution_is_inspections(client: TestClient, run: int, method: str) -> None:
    asked = {"method": method, "target": "positive", "against": "negative"}
    if method == "rollout":
        asked = {"method": method}
    told = client.get(f"/api/runs/{run}/attribution", params=asked).json()
    own = inspection.attribute(gf.load("sentiment"), TEXT, **asked).as_dict()  # type: ignore[arg-type]
    assert told["sides"] == own["sides"]
    assert told["number"] == own["number"]


def test_each_layers_guess_is_the_lenss(client: TestClient, run: int) -> None:
    assert client.get(f"/api/runs/{run}/lens").json() == inspection.lens(gf.load("sentiment"), TEXT).as_dict()


def test_two_runs_are_held_against_each_other(client: TestClient, run: int) -> None:
    other = client.post("/api/runs", json={"model": "sentiment", "text": "What a lovely evening."}).json()["run"]
    told = client.get(f"/api/runs/{run}/differences/{other}").json()
    model = gf.load("sentiment")
    own: dict[str, Any] = inspection.compare(model.trace(TEXT), model.trace("What a lovely evening.")).as_dict()
    assert told["differences"] == own["differences"]
    assert told["answers"] == own["answers"]
    assert told["differences"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [({"method": "magic"}, "no method 'magic'"), ({"target": "lukewarm"}, "lukewarm")],
)
def test_what_cannot_be_asked_is_refused(
    client: TestClient, run: int, asked: dict[str, str], sentence: str
) -> None:
    response = client.get(f"/api/runs/{run}/attribution", params=asked)
    assert response.status_code == 400
    assert sentence in response.json()["error"]
