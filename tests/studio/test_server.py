"""What the studio's server hands out is what the trace holds; what it is asked wrongly it says in a sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

import glassformer as gf
from glassformer.glass.trace import Trace
from glassformer.studio.values import numbers

KINDS = {"f8": np.float64, "f4": np.float32, "i4": np.int32}
TEXTS = {
    "worked-example": ("I love data science", None),
    "sentiment": ("What a waste of an evening.", None),
    "entities": ("Angela Merkel lives in Berlin.", None),
    "minilm-l6": ("I love data science", None),
    "tatoeba-en-fr": ("Where is the station?", None),
}


def made(client: TestClient, name: str) -> dict[str, Any]:
    text, context = TEXTS[name]
    response = client.post("/api/runs", json={"model": name, "text": text, "context": context})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def trace_of(name: str) -> Trace:
    text, context = TEXTS[name]
    model = gf.load(name)
    return model.trace(text) if context is None else model.trace(text, context)


def values(client: TestClient, run: int, name: str, part: str = "") -> np.ndarray[Any, Any]:
    response = client.get(f"/api/runs/{run}/values/{name}", params={"part": part})
    assert response.status_code == 200, response.text
    shape = [int(size) for size in response.headers["x-shape"].split(",") if size]
    return np.frombuffer(response.content, dtype=KINDS[response.headers["x-kind"]]).reshape(shape)


@pytest.mark.parametrize("name", TEXTS)
def test_every_number_is_the_traces(client: TestClient, name: str) -> None:
    run, trace = made(client, name), trace_of(name)
    assert [step["name"] for step in run["steps"]] == list(trace)
    assert run["answer"]["said"] == trace.answer
    told = [each for chapter in run["chapters"] for each in chapter["steps"]]
    assert sorted(told) == sorted(trace)
    for step in run["steps"]:
        own = trace[step["name"]]
        assert step["shape"] == list(own.value.shape)
        assert step["formula"] == own.written
        assert all(each in trace or each in run["parameters"] for each in step["inputs"])
        assert np.array_equal(values(client, run["run"], step["name"]), own.value.numpy())


def test_a_part_is_that_part(client: TestClient) -> None:
    run, trace = made(client, "sentiment"), trace_of("sentiment")
    name = "encoder.layers.2.self_attention.weights"
    whole = trace[name].value.numpy()
    assert np.array_equal(values(client, run["run"], name, "0,3"), whole[0, 3])
    assert np.array_equal(values(client, run["run"], name, "0,:,1:3,2"), whole[0, :, 1:3, 2])
    weight = values(client, run["run"], "tokens.weight", "100:104,:")
    assert np.array_equal(weight, trace.parameters["tokens.weight"].numpy()[100:104])
    for part in ("0,99", "0,0,0,0,0", "x", "-1"):
        refused = client.get(f"/api/runs/{run['run']}/values/{name}", params={"part": part})
        assert refused.status_code == 400
        assert len(refused.json()["error"]) > 20


def test_too_many_numbers_at_once_are_refused(client: TestClient) -> None:
    run = made(client, "sentiment")
    refused = client.get(f"/api/runs/{run['run']}/values/tokens.weight")
    assert refused.status_code == 400
    assert "ask for 4,000,000 at most" in refused.json()["error"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_numbers_keep_their_value(dtype: torch.dtype) -> None:
    value = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype)
    found = numbers(value)
    array = np.frombuffer(found.data, dtype=KINDS[found.kind]).reshape(found.shape)
    assert np.array_equal(array, value.double().numpy())


def test_how_a_number_came_about_and_what_is_likeliest(client: TestClient) -> None:
    run, trace = made(client, "worked-example"), trace_of("worked-example")
    name = "encoder.layers.0.self_attention.query"
    worked = client.get(f"/api/runs/{run['run']}/worked/{name}", params={"row": 0, "column": 0}).json()
    assert worked["worked"] == "1.87·(−0.93) + 1.09·(−0.26)"
    rows = client.get(f"/api/runs/{run['run']}/likeliest/head.probabilities", params={"top": 3}).json()
    shares = trace["head.probabilities"].value[0]
    for row, own in zip(rows, shares, strict=True):
        best = own.topk(3)
        assert [each["id"] for each in row] == best.indices.tolist()
        assert [each["probability"] for each in row] == best.values.tolist()
    assert rows[0][0]["name"] == "j'"


def test_a_search_is_the_whole_tree(client: TestClient) -> None:
    run = made(client, "tatoeba-en-fr")["run"]
    told = client.get(f"/api/runs/{run}/beams", params={"beams": 3}).json()
    own = gf.load("tatoeba-en-fr").trace_generation("Where is the station?", num_beams=3)
    tree = own.written.tree
    assert tree is not None
    assert told["answer"] == own.answer
    assert [node["id"] for node in told["nodes"]] == [node.id for node in tree.nodes]
    assert [node["score"] for node in told["nodes"]] == [node.score for node in tree.nodes]
    assert client.get(f"/api/runs/{run}/beams", params={"beams": 99}).status_code == 400
    labels = made(client, "sentiment")["run"]
    assert "writes no text" in client.get(f"/api/runs/{labels}/beams").json()["error"]


def test_a_run_is_taken_home(client: TestClient, tmp_path: Path) -> None:
    run, trace = made(client, "worked-example")["run"], trace_of("worked-example")
    for kind in [each["kind"] for each in client.get("/api/takes").json()]:
        found = client.get(f"/api/runs/{run}/take/{kind}")
        assert found.status_code == 200
        assert f'filename="worked-example-{run}.' in found.headers["content-disposition"]
        assert len(found.content) > 1000
    (tmp_path / "a.safetensors").write_bytes(client.get(f"/api/runs/{run}/take/trace").content)
    opened = Trace.load(tmp_path / "a.safetensors")
    assert list(opened) == list(trace)
    assert opened.answer == trace.answer
    assert "no 'zip' to take" in client.get(f"/api/runs/{run}/take/zip").json()["error"]


def test_it_adds_up(client: TestClient) -> None:
    run = made(client, "worked-example")
    verified = client.get(f"/api/runs/{run['run']}/verified").json()
    assert verified["error"] < 1e-12
    assert "recomputed in NumPy" in verified["said"]


def test_an_answer_comes_token_by_token(client: TestClient) -> None:
    asked = {"model": "tatoeba-en-fr", "text": "I am here."}
    response = client.post("/api/stream", json=asked)
    assert response.headers["content-type"].startswith("text/event-stream")
    pieces = response.text.split("\n\n")
    assert pieces[-2].startswith("event: end")
    told = [json.loads(each.removeprefix("data: ")) for each in pieces if each.startswith("data: ")]
    assert "".join(each["piece"] for each in told) == str(gf.load("tatoeba-en-fr")(asked["text"], num_beams=1))
    for each in told:
        if "alternatives" in each:
            assert max(other["probability"] for other in each["alternatives"]) <= 1
    refused = client.post("/api/stream", json={"model": "sentiment", "text": "a"}).text
    assert "writes no text" in refused


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"model": "nowhere", "text": "a"}, "is no folder and no model that ships"),
        ({"model": "sentiment", "text": "a" * 100_001}, "100,001 characters"),
        ({"model": "sentiment"}, "text: Field required"),
        ({"model": "sentiment", "text": "a", "txt": "b"}, "txt: Extra inputs"),
        ({"model": "sentiment", "text": "a " * 900}, "tokens"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(
    client: TestClient, asked: dict[str, Any], sentence: str
) -> None:
    response = client.post("/api/runs", json=asked)
    assert response.status_code == 400
    assert sentence in response.json()["error"]


def test_a_run_or_step_that_is_not_there(client: TestClient) -> None:
    assert "not kept any more" in client.get("/api/runs/9999").json()["error"]
    run = made(client, "worked-example")["run"]
    assert "no step 'nothing'" in client.get(f"/api/runs/{run}/values/nothing").json()["error"]
    assert client.get("/api/nothing").status_code == 404


def test_the_page_and_what_it_needs_is_there(client: TestClient) -> None:
    page = client.get("/").text
    for path in ("studio.css", "js/main.js", "shared/palette.css", "icon.svg"):
        assert path in page
        assert client.get(f"/{path}").status_code == 200
    for script in ("answer", "api", "beams", "dom", "look", "store", "tensor", "touch", "train", "understand", "views"):
        assert client.get(f"/js/{script}.js").status_code == 200
    assert client.get("/../pyproject.toml").status_code == 404
