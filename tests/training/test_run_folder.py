"""The run folder: never overwritten, and whole whatever happens."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from glassformer.errors import InputError
from glassformer.training.checkpoint import average_weights, load_weights, weights, write_tensors
from glassformer.training.record import Record
from glassformer.training.run_folder import Checkpoint, RunFolder

from .toy import run, toy_model, toy_recipe


def make(path: Path) -> RunFolder:
    return RunFolder.create(path, toy_recipe(), tensorboard=False)


def test_a_run_folder_is_never_overwritten(tmp_path: Path) -> None:
    make(tmp_path / "run")
    with pytest.raises(InputError, match="never overwritten; go on with --resume or choose another name"):
        make(tmp_path / "run")


def test_an_empty_folder_may_be_used_and_a_file_may_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert make(tmp_path / "empty").recipe() == toy_recipe()
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".0a1b.partial.recipe.toml").write_text("task", encoding="utf-8")
    folder = make(tmp_path / "killed")
    assert folder.recipe() == toy_recipe()
    folder.discard()
    assert not (tmp_path / "killed").exists()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="is a file"):
        make(tmp_path / "file")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        make(tmp_path / "file" / "run")


def test_resuming_needs_a_run_and_its_own_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe.toml"):
        RunFolder.resume(tmp_path)
    make(tmp_path / "run")
    RunFolder.resume(tmp_path / "run", toy_recipe())
    with pytest.raises(InputError, match=r"\[training\] learning_rate = 0.005, the given recipe says 0.1"):
        RunFolder.resume(tmp_path / "run", toy_recipe(learning_rate=0.1))
    with pytest.raises(InputError, match="seed = 5, the given recipe says 6"):
        RunFolder.resume(tmp_path / "run", replace(toy_recipe(), seed=6))


def test_a_cut_line_of_the_log_and_half_a_checkpoint_are_cleared_away(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    for step, kind in ((1, "train"), (2, "train"), (2, "checkpoint"), (2, "evaluation"), (3, "train")):
        folder.log(Record(kind=kind, step=step, epoch=1, seconds=1.0))
    folder.write_checkpoint(
        2, Checkpoint(model={"a": torch.ones(2)}, optimizer={}, state={"step": 2}), keep=3
    )
    with folder.log_file.open("a", encoding="utf-8") as file:
        file.write('{"kind": "tr')
    (tmp_path / "run" / "checkpoints" / "step-3.partial").mkdir()
    (tmp_path / "run" / "best.partial").mkdir()
    (tmp_path / "run" / ".0a1b.partial.log.jsonl").write_text("{", encoding="utf-8")
    resumed = RunFolder.resume(tmp_path / "run", tensorboard=False)
    assert [each["kind"] for each in resumed.records()] == ["train", "train", "checkpoint"]
    assert resumed.steps() == [2]
    assert not list((tmp_path / "run").rglob("*.partial*"))
    assert torch.equal(resumed.read_checkpoint(2).model["a"], torch.ones(2))


def test_the_oldest_checkpoints_go(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    for step in (5, 50, 100, 200):
        folder.write_checkpoint(step, Checkpoint(model={}, optimizer={}, state={}), keep=2)
    assert folder.steps() == [100, 200]


def test_a_torn_checkpoint_is_refused_with_its_name(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    folder.write_checkpoint(1, Checkpoint(model={"a": torch.ones(9)}, optimizer={}, state={}), keep=1)
    file = folder.checkpoint_folder(1) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        folder.read_checkpoint(1)


def test_what_a_finished_run_leaves(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    records = run(toy_model(), folder)
    assert folder.records() == json.loads(json.dumps(records))
    assert folder.recipe() == toy_recipe()
    assert folder.steps() == [20, 23]
    for name in ("best", "last", "averaged"):
        names = {each.name for each in (tmp_path / "run" / name).iterdir()}
        assert names == {"config.json", "model.safetensors"}


def test_tensorboard_reads_the_same_figures(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = RunFolder.create(tmp_path / "run", toy_recipe())
    folder.log(Record(kind="train", step=7, epoch=1, seconds=1.0, loss=2.5, nll=0.0))
    folder.log(Record(kind="evaluation", step=8, epoch=1, seconds=1.0, metrics={"bleu": 41.5}, best=True))
    folder.close()
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "train/nll", "train/perplexity", "evaluation/bleu"}
    assert [(each.step, each.value) for each in events.Scalars("evaluation/bleu")] == [(8, 41.5)]


def test_the_average_is_the_mean_and_a_tied_weight_is_kept_once(tmp_path: Path) -> None:
    model = toy_model()
    assert "head.output.weight" not in weights(model)
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.safetensors")
        write_tensors(
            files[-1], {name: torch.full_like(each, number) for name, each in weights(model).items()}
        )
    mean = average_weights(files)
    load_weights(model, mean)
    assert all(torch.equal(each, torch.ones_like(each)) for each in model.parameters())
    with pytest.raises(InputError, match="no checkpoint"):
        average_weights([])
    write_tensors(files[1], {"other": torch.ones(1)})
    with pytest.raises(InputError, match="one run only"):
        average_weights(files)


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(InputError, match="differ in"):
        load_weights(toy_model(), weights(toy_model(decoder_layers=2)))
    with pytest.raises(
        InputError, match=r"tokens.weight is \[13, 16\] in the checkpoint, \[12, 16\] in the model"
    ):
        load_weights(toy_model(), weights(toy_model(vocab_size=13)))
