"""Killed at any moment and resumed, a run gives the same bits as one that was left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from glassformer.training.checkpoint import weights
from glassformer.training.run_folder import RunFolder

from . import toy
from .toy import run, toy_model, toy_recipe

WHEN = ("seconds", "tokens_per_second", "utilization", "time_left")


def finished(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor that a finished run left: weights, moments, random state, published folders."""
    files = sorted(each for each in path.rglob("*.safetensors"))
    return {
        f"{file.relative_to(path)}/{name}": each for file in files for name, each in load_file(file).items()
    }


def figures(folder: RunFolder) -> list[dict[str, object]]:
    return [{key: value for key, value in each.items() if key not in WHEN} for each in folder.records()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    run(toy_model(), RunFolder.create(path, toy_recipe(), tensorboard=False))
    return path


def assert_same(path: Path, undisturbed: Path) -> None:
    one, other = finished(path), finished(undisturbed)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert figures(RunFolder(path)) == figures(RunFolder(undisturbed))


def test_two_runs_are_the_same(undisturbed: Path, tmp_path: Path) -> None:
    run(toy_model(), RunFolder.create(tmp_path / "run", toy_recipe(), tensorboard=False))
    assert_same(tmp_path / "run", undisturbed)


class PowerCutError(Exception):
    """The power fails."""


@pytest.mark.parametrize("name", ["fsync", "replace", "unlink"])
def test_cut_off_before_any_write_it_resumes_to_the_same_bits(
    name: str, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each life of the run ends one write later than the one before: every kind of write is interrupted."""
    genuine, left = getattr(os, name), [0]

    def failing(*arguments: Any, **options: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise PowerCutError
        genuine(*arguments, **options)

    RunFolder.create(tmp_path / "run", toy_recipe(), tensorboard=False)
    monkeypatch.setattr(os, name, failing)
    for life in range(1, 60):
        left[0] = life
        try:
            torch.rand(life)  # another life starts with other random numbers
            run(toy_model(), RunFolder.resume(tmp_path / "run", tensorboard=False))
            break
        except PowerCutError:
            continue
    assert life > 4
    assert_same(tmp_path / "run", undisturbed)


def test_killed_it_resumes_to_the_same_bits(undisturbed: Path, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", toy_recipe(), tensorboard=False)
    process = subprocess.Popen([sys.executable, toy.__file__, str(folder.path)])
    while not any(step >= 8 for step in folder.steps()) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert folder.steps()[-1] < 23, "it had ended before it was killed"
    run(toy_model(), RunFolder.resume(tmp_path / "run", tensorboard=False))
    assert_same(tmp_path / "run", undisturbed)


def test_a_finished_run_has_nothing_left_to_do(undisturbed: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    run(toy_model(), RunFolder.create(path, toy_recipe(), tensorboard=False))
    model = toy_model()
    records = run(model, RunFolder.resume(path, toy_recipe(), tensorboard=False))
    assert [each["kind"] for each in records] == ["average"]
    assert_same(path, undisturbed)
    last = load_file(path / "last" / "model.safetensors")
    assert all(torch.equal(value, last[name]) for name, value in weights(model).items())


def test_a_stopped_run_stays_stopped(tmp_path: Path) -> None:
    scores = iter([1.0, 2.0, 3.0])
    folder = RunFolder.create(tmp_path / "run", toy_recipe(patience=2, average_last=0), tensorboard=False)
    run(toy_model(), folder, evaluate=lambda model: {"loss": next(scores)})
    assert folder.records()[-1]["step"] == 15
    assert run(toy_model(), RunFolder.resume(tmp_path / "run", tensorboard=False)) == []
