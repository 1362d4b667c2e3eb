"""Trainings that the page starts: their records are the run's own, they are held, stopped and gone on with."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from glassformer.shipped import shipped_recipes
from glassformer.studio.app import create_app
from glassformer.studio.front import STATIC
from glassformer.training.recipe import Recipe
from glassformer.training.run import checked

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


def test_the_pages_recipes_can_be_run(studio: TestClient) -> None:
    told = studio.get("/api/recipes").json()
    assert told == {task: path.read_text("utf-8") for task, path in shipped_recipes().items()}
    assert len(told) > 4
    for task, text in told.items():
        recipe = Recipe.parse(text)
        assert recipe.training.metric in checked(recipe).figures
        assert recipe.task == task


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


LESSON = (STATIC / "lessons" / "worked-example.toml").read_text("utf-8")
SENTENCE, TRANSLATION = "I love data science", "j' aime la science des données"


def lesson(studio: TestClient) -> int:
    """The worked example from random numbers, held before its first step."""
    studio.put("/api/files/worked-example.tsv", content=f"source\ttarget\n{SENTENCE}\t{TRANSLATION}\n".encode())
    asked = {"recipe": LESSON, "data": ["train=worked-example.tsv"], "probe": SENTENCE, "target": TRANSLATION}
    number: int = studio.post("/api/trainings", json={**asked, "held": True}).json()["training"]
    until(studio, number, "held")
    return number


def stepped(studio: TestClient, number: int) -> int:
    """One step further; how many there were."""
    before = studio.get(f"/api/trainings/{number}").json()
    studio.post(f"/api/trainings/{number}/step")
    for _ in range(600):
        now = studio.get(f"/api/trainings/{number}").json()
        if now["state"] == "held" and now["step"] > before["step"]:
            return int(now["step"])
        time.sleep(0.02)
    raise AssertionError(f"no step: {now}")


def looked_into(studio: TestClient, number: int) -> tuple[int, dict[str, Any]]:
    """The next step of a training as a run."""
    model = studio.post(f"/api/trainings/{number}/moment").json()
    run = studio.post("/api/runs", json={"model": model["name"], "text": SENTENCE, "target": TRANSLATION}).json()
    return run["run"], run


def number_of(studio: TestClient, run: int, name: str) -> np.ndarray[Any, Any]:
    response = studio.get(f"/api/runs/{run}/values/{name}")
    shape = [int(size) for size in response.headers["x-shape"].split(",") if size]
    return np.frombuffer(response.content, np.float64).reshape(shape)


def test_one_step_at_a_time_is_the_step_that_was_shown(studio: TestClient) -> None:
    """What the page shows of the next AdamW step is what the training then does, moments and all."""
    number = lesson(studio)
    for step in (1, 2, 3):
        run, manifest = looked_into(studio, number)
        parameters = [name for name in manifest["parameters"] if f"update.{name}.new" in trace_names(manifest)]
        assert len(parameters) == len(manifest["parameters"])
        wanted = {name: number_of(studio, run, f"update.{name}.new") for name in parameters}
        loss = float(number_of(studio, run, "loss.mean"))
        assert stepped(studio, number) == step
        told = [each for each in events_so_far(studio, number) if each["kind"] == "train"][-1]
        assert told["loss"] == pytest.approx(loss, rel=1e-6)  # the log sums in float32
        after, _ = looked_into(studio, number)
        for name, value in wanted.items():
            np.testing.assert_allclose(number_of(studio, after, name), value, rtol=0, atol=1e-12)


def trace_names(manifest: dict[str, Any]) -> set[str]:
    return {step["name"] for step in manifest["steps"]}


def events_so_far(studio: TestClient, number: int) -> list[dict[str, Any]]:
    """What was told until now of a training that is held; the rest of its events will never be waited for."""
    studio.post(f"/api/trainings/{number}/hold")
    found = []
    with studio.stream("GET", f"/api/trainings/{number}/events") as response:
        count = studio.get(f"/api/trainings/{number}").json()["events"]
        for line in response.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line[6:]))
            if len(found) == count:
                break
    return found


def test_the_worked_example_is_learnt_in_less_than_a_minute(studio: TestClient) -> None:
    number = lesson(studio)
    begun = time.monotonic()
    studio.post(f"/api/trainings/{number}/run")
    told = events(studio, number)
    assert time.monotonic() - begun < 60
    said = [each["probe"]["said"] for each in told if "probe" in each]
    assert said[0] != TRANSLATION
    assert said[-1] == TRANSLATION
    assert told[0]["kind"] == "begun" or told[1]["kind"] == "begun"
    run = looked_into(studio, number)[0]
    assert float(number_of(studio, run, "loss.mean")) < 0.01


def test_a_training_that_runs_is_not_looked_into(studio: TestClient) -> None:
    number = begun(studio, RECIPE.replace("max_steps = 40", "max_steps = 5000"))
    until(studio, number, "running")
    assert "hold it to look into it" in studio.post(f"/api/trainings/{number}/moment").json()["error"]
    studio.post(f"/api/trainings/{number}/hold")
    until(studio, number, "held")
    model = studio.post(f"/api/trainings/{number}/moment").json()
    run = studio.post("/api/runs", json={"model": model["name"], "text": PROBE}).json()
    assert sum(run["answer"]["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert [each["training"] for each in studio.get("/api/trainings").json()] == [number]


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_a_training_is_told(studio: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise MemoryError("no room for this")

    monkeypatch.setattr("glassformer.studio.trainings.prepare", failing)
    assert until(studio, begun(studio), "refused")["refusal"] == "MemoryError: no room for this"


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
