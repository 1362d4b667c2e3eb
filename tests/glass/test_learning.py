"""A step of training as steps: gradients are autograd's, the update is torch.optim.AdamW's, every rule is verified."""

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import torch

import glassformer as gf
from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW
from glassformer.inspection import zero
from glassformer.tasks.model import Model
from glassformer.tasks.wanted import wanted_of

from .learning import autograd, furthest, gapless, learnt, torch_updates

TEXT, TARGET = "I love data science", "j' aime la science des données"
SETTINGS = AdamW(learning_rate=0.05, betas=(0.8, 0.95), weight_decay=0.1, clip_norm=0.3)


@pytest.fixture
def model() -> Model:
    return gf.load("worked-example")


def run_of(model: Model, smoothing: float = 0.0) -> Any:
    wanted = wanted_of(model.task, model.transformer, TEXT, TARGET)
    return lambda trace: model.loss(wanted, smoothing, trace)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_worked_example_s_gradients_are_autograd_s(model: Model, smoothing: float) -> None:
    trace = model.trace_training_step(TEXT, target=TARGET, label_smoothing=smoothing)
    assert furthest(trace, model.transformer, run_of(model, smoothing)) <= 1e-12
    verified = trace.verify()
    assert verified.max_error <= 1e-12
    assert not verified.unchecked
    assert gapless(trace)


@pytest.mark.parametrize("clip", [None, 0.3, 1e9])
def test_three_updates_in_a_row_are_torch_s(model: Model, clip: float | None) -> None:
    settings = replace(SETTINGS, clip_norm=clip)
    for number in (1, 2, 3):
        settings = replace(settings, step=number)
        trace = model.trace_training_step(TEXT, target=TARGET, optimizer=settings)
        assert trace.verify().max_error <= 1e-12
        assert gapless(trace)
        model.transformer.zero_grad()
        autograd(run_of(model), [])
        expected = torch_updates(model.transformer, settings)
        for name, value in expected.items():
            assert float((trace[f"update.{name}"].value - value).abs().max()) <= 1e-12, name
        settings = replace(
            settings,
            moments={
                name: (trace[f"update.{name}.first_moment"].value, trace[f"update.{name}.second_moment"].value)
                for name, _ in model.transformer.named_parameters()
            },
        )


def test_looking_moves_nothing(model: Model) -> None:
    before = {name: value.clone() for name, value in model.transformer.state_dict().items()}
    plain = model.trace(TEXT, target=TARGET)
    trace = model.trace_training_step(TEXT, target=TARGET)
    assert all(torch.equal(value, before[name]) for name, value in model.transformer.state_dict().items())
    assert all(parameter.grad is None for parameter in model.transformer.parameters())
    assert all(torch.equal(trace[name].value, plain[name].value) for name in plain)


def test_the_update_makes_the_loss_smaller(model: Model) -> None:
    trace = model.trace_training_step(TEXT, target=TARGET, optimizer=AdamW(learning_rate=1e-3))
    with torch.no_grad():
        for name, parameter in model.transformer.named_parameters():
            parameter.copy_(trace[f"update.{name}.new"].value)
    after = model.trace(TEXT, target=TARGET)["loss.mean"].value
    assert float(after) < float(trace["loss.mean"].value)


def test_only_what_is_kept_is_held_and_verified(model: Model) -> None:
    kept = ("gradient.decoder.*.scores", "gradient.decoder.*.weights", "decoder.*.weights", "update.tokens.*")
    trace = model.trace_training_step(TEXT, target=TARGET, keep=kept)
    whole = model.trace_training_step(TEXT, target=TARGET)
    assert set(trace) == {name for name in whole if any(fnmatchcase(name, pattern) for pattern in kept)}
    verified = trace.verify()
    checked = {check.name for check in verified.checks}
    assert {"gradient.decoder.layers.0.cross_attention.scores", "update.tokens.weight.new"} <= checked
    assert "gradient.decoder.layers.0.cross_attention.weights" in verified.unchecked
    assert verified.max_error <= 1e-12
    with pytest.raises(InputError, match=r"no step fits the pattern 'gradient\.x\*'"):
        model.trace_training_step(TEXT, target=TARGET, keep="gradient.x*")


def test_it_is_saved_and_loaded(model: Model, tmp_path: Path) -> None:
    trace = model.trace_training_step(TEXT, target=TARGET)
    trace.save(tmp_path / "step.safetensors")
    again = Trace.load(tmp_path / "step.safetensors")
    assert list(again) == list(trace)
    assert again.verify().max_error == trace.verify().max_error
    assert again["update.tokens.weight.new"].written == trace["update.tokens.weight.new"].written


def test_what_does_not_learn_has_no_gradient(model: Model) -> None:
    model.transformer.tokens.requires_grad_(False)
    trace = model.trace_training_step(TEXT, target=TARGET)
    assert "gradient.tokens.weight" not in trace
    assert "gradient.source_tokens.weight" in trace
    model.transformer.requires_grad_(False)
    with pytest.raises(InputError, match="no parameter of this model learns"):
        model.trace_training_step(TEXT, target=TARGET)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"betas": (0.9, 1.0)}, r"betas are \(0.9, 1.0\)"),
        ({"step": 0}, "step is 0; the first update is 1"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        AdamW(**given)


def test_a_run_alone_is_enough(model: Model) -> None:
    """What a task wraps is a function that ends in a loss."""
    trace = learnt(run_of(model), SETTINGS, keep="gradient.*")
    assert all(name.startswith("gradient.") for name in trace)


def test_edits_have_no_way_back(model: Model) -> None:
    with (
        model.edit(zero("encoder.layers.0.self_attention.weights")),
        pytest.raises(InputError, match="leave the edit first"),
    ):
        model.trace_training_step(TEXT, target=TARGET)
