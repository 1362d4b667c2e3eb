"""What the studio's server hands out is what the trace holds; what it is asked wrongly it says in a sentence."""

import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

import glassformer as gf
from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW
from glassformer.show.page import peak
from glassformer.studio.front import STATIC
from glassformer.studio.kept import thinned
from glassformer.studio.values import numbers
from glassformer.tasks.model import Model

KINDS = {"f8": np.float64, "f4": np.float32, "i4": np.int32}
TEXTS = {
    "worked-example": ("I love data science", None),
    "sentiment": ("What a waste of an evening.", None),
    "entities": ("Angela Merkel lives in Berlin.", None),
    "minilm-l6": ("I love data science", None),
    "tatoeba-en-fr": ("Where is the station?", None),
    "answers": ("Where was Marie Curie born?", "Marie Curie was born in Warsaw in 1867."),
    "shakespeare": ("ROMEO:", None),
    "summaries": ("Tidyfolder is a command line program that sorts files by type.", None),
}
SEEN = {"shakespeare": {"seed": 0, "max_new_tokens": 16}}  # how a text is gone on with on the page


def made(client: TestClient, name: str) -> dict[str, Any]:
    text, context = TEXTS[name]
    response = client.post("/api/runs", json={"model": name, "text": text, "context": context})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@cache
def loaded(name: str) -> Model:
    """A model that ships, opened once: whoever edits it puts it back."""
    return gf.load(name)


@cache
def trace_of(name: str) -> Trace:
    """The run of its text, as the page has it."""
    text, context = TEXTS[name]
    return loaded(name).trace(text, context, **SEEN.get(name, {}))


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
    assert np.array_equal(values(client, run["run"], name, "0,:,::2,1::3"), whole[0, :, ::2, 1::3])
    for part in ("0,99", "0,0,0,0,0", "x", "-1", "::0"):
        refused = client.get(f"/api/runs/{run['run']}/values/{name}", params={"part": part})
        assert refused.status_code == 400
        assert len(refused.json()["error"]) > 20


def test_full_colour_of_a_large_step_is_found_by_some_of_its_numbers() -> None:
    table = torch.randn(2000, 1000, generator=torch.Generator().manual_seed(0))
    few = thinned(table)
    assert 100_000 < few.numel() <= 200_000
    assert peak(few) == pytest.approx(peak(table), rel=0.02)
    columns = torch.arange(1000).expand(2000, 1000)
    assert thinned(columns).unique().tolist() == list(range(1000))
    assert torch.equal(thinned(table[:100]), table[:100].reshape(-1))


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


def test_a_step_stands_between_what_it_was_made_of(client: TestClient) -> None:
    run, trace = made(client, "worked-example"), trace_of("worked-example")
    name = "encoder.layers.0.self_attention.query"
    x, sign, weight = client.get(f"/api/runs/{run['run']}/equation/{name}").json()
    assert (sign["sign"], x["symbol"], weight["symbol"]) == ("·", "X", "W_Q")
    assert x["values"] == trace["encoder.embedding.output"].value[0].tolist()
    assert weight["values"] == trace.parameters[f"{name}.weight"].T.tolist()
    assert x["rows"] == trace.tokens["encoder"][0]
    one_hot = client.get(f"/api/runs/{run['run']}/equation/encoder.embedding.tokens").json()[0]
    assert one_hot["whole"]
    assert [sum(row) for row in one_hot["values"]] == [1] * len(x["rows"])
    large = made(client, "sentiment")["run"]
    assert client.get(f"/api/runs/{large}/equation/{name}").json() == []


def test_what_was_written_says_how_sure_the_model_was(client: TestClient) -> None:
    for name in ("tatoeba-en-fr", "shakespeare"):
        run, trace = made(client, name), trace_of(name)
        answer = loaded(name)(TEXTS[name][0], **SEEN.get(name, {}))
        assert [each["id"] for each in run["written"]] == list(answer.ids)
        chances = [math.exp(value) for value in answer.log_probabilities]
        assert [each["probability"] for each in run["written"]] == pytest.approx(chances, rel=1e-12)
        rows = trace["head.probabilities"].value[0][-len(answer.ids) :]
        for each, row in zip(run["written"], rows, strict=True):
            assert [other["probability"] for other in each["alternatives"]] == row.topk(5).values.tolist()
            assert row[each["id"]].item() == pytest.approx(each["probability"], rel=1e-4)


def test_a_text_that_goes_on_is_one_and_the_same_everywhere(client: TestClient) -> None:
    asked = {"model": "shakespeare", "text": "ROMEO:", "options": {"max_new_tokens": 9, "seed": 4}}
    first = client.post("/api/runs", json={**asked, "first": True}).json()
    whole = client.post("/api/runs", json=asked).json()
    stream = client.post("/api/stream", json=asked).text.split("\n\n")
    told = [json.loads(each.removeprefix("data: ")) for each in stream if each.startswith("data: ")]
    ids = [each["id"] for each in told if "id" in each]
    assert (first["partial"], whole["partial"]) == (True, False)
    assert [each["id"] for each in whole["written"]] == ids
    assert [each["id"] for each in first["written"]] == ids[:1]
    assert len(ids) == 9
    own = gf.load("shakespeare")("ROMEO:", max_new_tokens=9, seed=4)
    assert whole["answer"]["said"] == whole["answer"]["text"] == str(own)
    assert not client.post("/api/runs", json={"model": "sentiment", "text": "a", "first": True}).json()["partial"]


def test_the_rows_of_an_embedding_go_by_their_words(client: TestClient) -> None:
    run = made(client, "worked-example")["run"]
    model = gf.load("worked-example")
    assert model.source_tokenizer is not None
    words = client.get(f"/api/runs/{run}/words/source_tokens.weight").json()
    assert words == [model.source_tokenizer.token(number) for number in range(model.source_tokenizer.vocab_size)]
    found = client.get(f"/api/runs/{run}/word/source_tokens.weight", params={"word": "data"}).json()
    assert found == {"row": words.index("data"), "word": "data"}
    assert client.get(f"/api/runs/{run}/words/encoder.layers.0.feed_forward.up.weight").json() == []
    other = made(client, "tatoeba-en-fr")["run"]
    cut = client.get(f"/api/runs/{other}/word/tokens.weight", params={"word": "antidisestablishmentarianism"})
    assert "is cut into" in cut.json()["error"]
    unknown = client.get(f"/api/runs/{run}/word/source_tokens.weight", params={"word": "pizza"})
    assert unknown.status_code == 400
    nowhere = client.get(f"/api/runs/{run}/word/head.output.bias", params={"word": "data"})
    assert "no words" in nowhere.json()["error"]


WANTED = {
    "worked-example": "j' aime les données",
    "sentiment": "positive",
    "entities": "B-PER, I-PER, O, O, B-LOC",
    "answers": "1867",
    "shakespeare": " What light",
    "tatoeba-en-fr": "Où est la gare ?",
}


@pytest.mark.parametrize("name", WANTED)
def test_a_step_of_training_is_the_models_own(client: TestClient, name: str) -> None:
    text, context = TEXTS[name]
    asked = {"model": name, "text": text, "context": context, "target": WANTED[name], "learning_rate": 0.01}
    run = client.post("/api/runs", json=asked).json()
    target = [each.strip() for each in WANTED[name].split(",")] if name == "entities" else WANTED[name]
    settings = AdamW(learning_rate=0.01)
    trace = loaded(name).trace_training_step(text, context, target=target, optimizer=settings)
    assert [step["name"] for step in run["steps"]] == list(trace)
    assert run["wanted"] == trace.wanted
    assert {"loss", "gradient", "update"} <= {chapter["side"] for chapter in run["chapters"]}
    updates = [each for each in trace if each.startswith("update.")]
    for each in (*trace.select("loss.*"), *trace.select("gradient.head.*"), *map(trace.__getitem__, updates[-6:])):
        if each.value.numel() < 1_000_000:
            assert np.allclose(values(client, run["run"], each.name), each.value.numpy(), rtol=1e-5, atol=1e-7)


def test_a_search_is_the_whole_tree(client: TestClient) -> None:
    run = made(client, "tatoeba-en-fr")["run"]
    told = client.get(f"/api/runs/{run}/beams", params={"beams": 3}).json()
    own = gf.load("tatoeba-en-fr").trace_generation("Where is the station?", num_beams=3)
    tree = own.written.tree
    assert tree is not None
    assert told["answer"] == own.answer
    assert [node["id"] for node in told["nodes"]] == [node.id for node in tree.nodes]
    assert [node["score"] for node in told["nodes"]] == [node.score for node in tree.nodes]
    assert told["says"] == "3 beams"
    assert told["nodes"][0]["figures"] == f"sum {tree.nodes[0].score:.4f}"
    assert client.get(f"/api/runs/{run}/beams", params={"beams": 99}).status_code == 400
    assert client.get(f"/api/runs/{run}/beams", params={"search": "greedy"}).status_code == 400
    labels = made(client, "sentiment")["run"]
    assert "writes no text" in client.get(f"/api/runs/{labels}/beams").json()["error"]


def test_what_the_beams_agree_on_is_told(client: TestClient) -> None:
    seen = made(client, "summaries")
    told = client.get(f"/api/runs/{seen['run']}/beams", params={"beams": 4}).json()
    assert told["says"].startswith("4 beams, answered with what they agree on most")
    first, second, *_ = told["finished"]
    assert 1 >= first["agreement"] >= second["agreement"]
    assert first["figures"] == f"score {first['score']:.4f}, agreement {first['agreement']:.4f}"


@pytest.mark.parametrize(
    ("search", "options"),
    [
        ("groups", {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 0.5}),
        ("contrastive", {"num_beams": 1, "penalty_alpha": 0.6, "top_k": 3}),
    ],
)
def test_other_searches_are_trees_too(client: TestClient, search: str, options: dict[str, Any]) -> None:
    run = made(client, "tatoeba-en-fr")["run"]
    told = client.get(f"/api/runs/{run}/beams", params={"beams": 3, "search": search}).json()
    own = gf.load("tatoeba-en-fr").trace_generation("Where is the station?", **options)
    assert own.tree is not None
    assert told["answer"] == own.answer
    assert told["says"] == own.tree.says
    for name in ("id", "score", "penalty", "fate", "reason", "group"):
        assert [node[name] for node in told["nodes"]] == [getattr(node, name) for node in own.tree.nodes]


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
    loaded = set(re.findall(r"js/(\w+)\.js", page))
    assert loaded == {path.stem for path in (STATIC / "js").glob("*.js")}  # none is waited for one after the other
    for script in loaded:
        assert client.get(f"/js/{script}.js").status_code == 200
    assert client.get("/../pyproject.toml").status_code == 404
