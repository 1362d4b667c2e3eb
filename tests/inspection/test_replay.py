"""A run seen again: every checkpoint gives what a model with its weights gives."""

import json
from pathlib import Path

import pytest
import torch

from glassformer import inspection, load
from glassformer.errors import InputError
from glassformer.inspection.replay import Replay
from glassformer.training.checkpoint import load_weights
from glassformer.training.recipe import Recipe
from glassformer.training.run import run_recipe
from glassformer.training.run_folder import RunFolder

RECIPE = """
task = "translation"
seed = 1
[data]
train = "train.tsv"
dev = "train.tsv"
[tokenizer]
vocab_size = 60
[model]
d_model = 16
heads = 2
d_ff = 32
encoder_layers = 1
decoder_layers = 1
positions = "sinusoidal"
[training]
max_tokens = 60
max_steps = 6
warmup_steps = 1
learning_rate = 0.01
checkpoint_every = 2
evaluate_every = 6
keep_last = 3
metric = "loss"
"""
PAIRS = [("one two", "un deux"), ("two three", "deux trois"), ("three one", "trois un"), ("one", "un")] * 6
TEXTS, TARGETS = ["one two", "three one"], ["un deux", "trois un"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay")
    (folder / "train.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in PAIRS), "utf-8")
    (folder / "recipe.toml").write_text(RECIPE, "utf-8")
    list(run_recipe(Recipe.read(folder / "recipe.toml"), [str(folder)], folder / "run"))
    return folder / "run"


@pytest.fixture(scope="module")
def seen(run: Path) -> Replay:
    return inspection.replay(run, TEXTS, targets=TARGETS)


def test_each_checkpoint_is_a_model_with_its_weights(run: Path, seen: Replay) -> None:
    assert [moment.step for moment in seen.moments] == [2, 4, 6]
    folder, model = RunFolder(run, tensorboard=False), load(run / "last")
    before = None
    for moment in seen.moments:
        load_weights(model.transformer, folder.read_checkpoint(moment.step).model)
        for place, text in enumerate(TEXTS):
            trace = model.trace(text)
            assert moment.answers[place] == trace.answer
            for name, step in moment.traces[place].items():
                assert torch.equal(step.value, trace[name].value)
            loss = model.trace(text, target=TARGETS[place])["loss.mean"].value
            assert moment.losses[place] == float(loss)
        name = "encoder.layers.0.self_attention.weights"
        after = [trace[name].value.double() for trace in moment.traces]
        if before is not None:
            far = [float((b - a).norm() / a.norm()) for a, b in zip(before, after, strict=True)]
            assert moment.moved[name] == pytest.approx(sum(far) / 2, abs=1e-12)
        before = after
    assert seen.moments[0].moved == {}
    assert seen.moments[-1].losses < seen.moments[0].losses
    assert len(seen.value("encoder.layers.0.self_attention.weights", 1)) == 3


def test_it_is_printed_told_and_drawn(seen: Replay, tmp_path: Path) -> None:
    assert "3 checkpoints" in str(seen)
    assert "one two  ->  " in str(seen)
    told = json.loads(json.dumps(seen.as_dict()))
    assert [moment["step"] for moment in told["moments"]] == [2, 4, 6]
    assert told["texts"] == TEXTS
    seen.plot(tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 1000


def test_one_text_without_a_target(run: Path) -> None:
    seen = inspection.replay(run, "one two", keep="encoder.output")
    assert seen.moments[0].losses == ()
    assert list(seen.moments[0].traces[0]) == ["encoder.output"]
    seen.plot()


def test_what_is_no_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no recipe.toml"):
        inspection.replay(tmp_path, "one")
    with pytest.raises(InputError, match="1 targets were given for 2 texts"):
        inspection.replay(run, TEXTS, targets=["un deux"])
    (tmp_path / "recipe.toml").write_text("", "utf-8")
    with pytest.raises(InputError, match="keeps no checkpoint"):
        inspection.replay(tmp_path, "one")
