"""Trainings that the page starts: their records are the run's own, they are held, stopped and gone on with."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from glassformer.studio.app import STATIC, create_app
from glassformer.training.recipe import Recipe
from glassformer.training.run import checked

RECIPES = sorted((STATIC / "recipes").glob("*.toml"))
RECIPE = """
task = "classification"
seed = 1
[data]
train = "films.tsv"
held_out = 0.2
[tokenizer]
kind = "words"
[model]
d_model = 8
heads = 2
d_ff = 16
encoder_layers = 1
[training]
max_steps = 40
max_examples = 8
learning_rate = 0.01
warmup_steps = 4
log_every = 2
evaluate_every = 10
checkpoint_every = 10
threads = 1
"""
FILMS = "text\tlabel\n" + "".join(
    f"a {word} film number {number}\t{label}\n"
    for number in range(20)
    for word, label in (("good", "yes"), ("dull", "no"))
)
PROBE = "a good film"


@pytest.fixture
def studio() -> Iterator[TestClient]:
    with TestClient(create_app(), base_url="http://127.0.0.1:8000") as client:
        yield client


def begun(studio: TestClient, recipe: str = RECIPE, **more: Any) -> int:
    assert studio.put("/api/files/films.tsv", content=FILMS.encode()).json() == {"file": "films.tsv"}
    asked = {"recipe": recipe, "data": ["train=films.tsv"], "probe": PROBE, **more}
    response = studio.post("/api/trainings", json=asked)
    assert response.status_code == 200, response.text
    number: int = response.json()["training"]
    return number


def events(studio: TestClient, number: int, start: int = 0) -> list[dict[str, Any]]:
    """All that comes until the training is over."""
    text = studio.get(f"/api/trainings/{number}/events", params={"start": start}).text
    found = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    return [each for each in found if each and each["kind"] != "waiting"]


def until(studio: TestClient, number: int, state: str) -> dict[str, Any]:
    for _ in range(600):
        described: dict[str, Any] = studio.get(f"/api/trainings/{number}").json()
        if described["state"] == state:
            return described
        time.sleep(0.02)
    raise AssertionError(f"never {state}: {described}")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_pages_recipes_can_be_run(path: Path) -> None:
    recipe = Recipe.read(path)
    assert recipe.training.metric in checked(recipe).figures
    assert recipe.task == path.stem


def test_its_records_are_the_runs_own(studio: TestClient) -> None:
    number = begun(studio)
    told = events(studio, number)
    described = until(studio, number, "finished")
    assert described["sizes"]["train examples"] == 32
    log = Path(described["model"]).parent / "log.jsonl"
    written = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    records = [each for each in told if each["kind"] != "state"]
    assert [{k: v for k, v in each.items() if k != "probe"} for each in records] == written
    probes = [each["probe"] for each in records]
    for probe in probes:
        for head in probe["weights"]["encoder.layers.0.self_attention.weights"]:
            assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in head)
    assert probes[0]["weights"] != probes[-1]["weights"]
    run = studio.post("/api/runs", json={"model": str(Path(described["model"]).parent / "last"), "text": PROBE})
    assert run.json()["answer"]["probabilities"] == pytest.approx(probes[-1]["probabilities"], abs=1e-6)


def test_it_is_held_goes_on_is_stopped_and_goes_on_from_its_checkpoint(studio: TestClient) -> None:
    number = begun(studio, RECIPE.replace("max_steps = 40", "max_steps = 2000"))
    assert "not over yet" in studio.post(
        "/api/trainings", json={"recipe": RECIPE, "data": ["train=films.tsv"]}
    ).json()["error"]
    studio.post(f"/api/trainings/{number}/hold")
    held = until(studio, number, "held")
    time.sleep(0.2)
    assert studio.get(f"/api/trainings/{number}").json()["events"] == held["events"]
    studio.post(f"/api/trainings/{number}/run")
    until(studio, number, "running")
    studio.post(f"/api/trainings/{number}/stop")
    stopped = until(studio, number, "stopped")
    assert "nothing to hold" in studio.post(f"/api/trainings/{number}/hold").json()["error"]
    studio.post(f"/api/trainings/{number}/run")
    until(studio, number, "running")
    studio.post(f"/api/trainings/{number}/stop")
    until(studio, number, "stopped")
    later = events(studio, number, stopped["events"])
    assert [each["state"] for each in later if each["kind"] == "state"] == ["running", "stopped"]


@pytest.mark.parametrize(
    ("recipe", "data", "sentence"),
    [
        ("task = 'classification'", ["train=films.tsv"], "data"),
        ("task =", ["train=films.tsv"], "TOML"),
        (RECIPE, [], "data"),
    ],
)
def test_what_cannot_begin_is_refused(studio: TestClient, recipe: str, data: list[str], sentence: str) -> None:
    studio.put("/api/files/films.tsv", content=FILMS.encode())
    response = studio.post("/api/trainings", json={"recipe": recipe, "data": data})
    assert response.status_code == 400
    assert sentence in response.json()["error"]


def test_a_file_without_examples_is_told_where_the_training_stands(studio: TestClient) -> None:
    studio.put("/api/files/empty.tsv", content=b"")
    number = studio.post("/api/trainings", json={"recipe": RECIPE, "data": ["train=empty.tsv"]}).json()["training"]
    assert len(until(studio, number, "refused")["refusal"]) > 20


@pytest.mark.parametrize("name", ["weights.bin", "a.pkl", "..", "..%2Fa.tsv", "a%2Fb.tsv", ".tsv"])
def test_only_files_of_examples_are_taken(studio: TestClient, name: str) -> None:
    assert studio.put(f"/api/files/{name}", content=b"x").status_code in (400, 404, 405)


def test_a_file_that_is_too_large_leaves_nothing(studio: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassformer.studio.uploads.MOST", 2**20)
    response = studio.put("/api/files/a.tsv", content=b"x" * (2**20 + 1))
    assert response.status_code == 400
    assert "more than 1 MiB" in response.json()["error"]


def test_others_may_not_read_this_machines_files(tmp_path: Path) -> None:
    (tmp_path / "films.tsv").write_text(FILMS, "utf-8")
    with TestClient(create_app(own_files=False)) as client:
        asked = {"recipe": RECIPE, "data": [str(tmp_path)]}
        assert "was not sent" in client.post("/api/trainings", json=asked).json()["error"]
