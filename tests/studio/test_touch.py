"""Changes made on the page are those that `model.edit` makes."""

from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

import glassformer as gf
from glassformer import inspection
from glassformer.glass.edits import AnyEdit

QUERY = "encoder.layers.0.self_attention.query"
TEXT = "I love data science"
EDITS: dict[str, tuple[dict[str, Any], AnyEdit]] = {
    "a head off": (
        {"kind": "zero", "name": "encoder.layers.0.self_attention.mixed", "head": 0},
        inspection.zero("encoder.layers.0.self_attention.mixed", head=0),
    ),
    "a mean": ({"kind": "mean", "name": "encoder.output"}, inspection.mean("encoder.output")),
    "one number": (
        {"kind": "replace", "name": QUERY, "head": 0, "position": 1, "neuron": 1, "to": -2.5},
        inspection.replace(QUERY, -2.5, head=0, position=1, neuron=1),
    ),
    "one weight": (
        {"kind": "weight", "name": f"{QUERY}.weight", "row": 0, "column": 1, "to": 3},
        inspection.weight(f"{QUERY}.weight", 3, row=0, column=1),
    ),
    "a number by its word": (
        {"kind": "weight", "name": "source_tokens.weight", "word": "data", "column": 1, "to": 2},
        inspection.weight("source_tokens.weight", 2, row=2, column=1),
    ),
    "another word": (
        {"kind": "word", "name": "source_tokens.weight", "word": "data", "text": "love"},
        inspection.weight("source_tokens.weight", torch.tensor([-1.78, 0.43], dtype=torch.float64), row=2),
    ),
    "another text": (
        {"kind": "patch", "name": "encoder.embedding.output", "text": "I love science"},
        inspection.patch("encoder.embedding.output", "I love science"),
    ),
    "a direction": (
        {"kind": "steer", "name": "encoder.output", "text": "data", "away": "science", "strength": 0.5},
        inspection.steer("encoder.output", "data", "science", strength=0.5),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_change_is_the_models_own(client: TestClient, name: str) -> None:
    asked, edit = EDITS[name]
    run = client.post("/api/runs", json={"model": "worked-example", "text": TEXT, "edits": [asked]}).json()
    model = gf.load("worked-example")
    before = model.trace(TEXT)["encoder.output"].value
    with model.edit(edit):
        trace = model.trace(TEXT)
    assert run["answer"]["said"] == trace.answer
    assert [step["edited"] for step in run["steps"]] == [trace[each].edited for each in trace]
    found = client.get(f"/api/runs/{run['run']}/values/encoder.output").content
    own = trace["encoder.output"].value
    assert np.array_equal(np.frombuffer(found, np.float64), own.numpy().ravel())
    assert not np.array_equal(own, before)
    again = client.post("/api/runs", json={"model": "worked-example", "text": TEXT}).json()
    assert again["answer"]["said"] == model.trace(TEXT).answer


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"kind": "zero", "name": "encoder.layers.0.self_attention.mixd"}, "mixed"),
        ({"kind": "zero", "name": QUERY, "head": 7}, "head"),
        ({"kind": "replace", "name": QUERY}, "a number is needed"),
        ({"kind": "patch", "name": QUERY}, "a text is needed"),
        ({"kind": "weight", "name": f"{QUERY}.weight", "row": 99, "column": 0, "to": 1}, "row"),
        ({"kind": "run", "name": QUERY}, "kind"),
        ({"kind": "word", "name": "source_tokens.weight", "word": "data"}, "a word is needed"),
        ({"kind": "word", "name": f"{QUERY}.weight", "word": "data", "text": "love"}, "are no words"),
        ({"kind": "weight", "name": "source_tokens.weight", "word": "pizza", "column": 0, "to": 1}, "pizza"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(
    client: TestClient, asked: dict[str, Any], sentence: str
) -> None:
    response = client.post("/api/runs", json={"model": "worked-example", "text": TEXT, "edits": [asked]})
    assert response.status_code == 400
    assert sentence in response.json()["error"]
