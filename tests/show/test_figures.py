"""Figures show the trace's own numbers, under their names, in colours that most eyes can tell apart."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.show.conftest import CONFIGS, Make, Shown

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from glassformer.config import TransformerConfig  # noqa: E402
from glassformer.errors import InputError  # noqa: E402
from glassformer.glass.sizes import residual_lengths  # noqa: E402
from glassformer.glass.trace import Trace  # noqa: E402
from glassformer.show import figures  # noqa: E402
from glassformer.show.numbers import HIDDEN  # noqa: E402

WEIGHTS = "encoder.layers.0.self_attention.weights"


def drawn(axes: "matplotlib.axes.Axes") -> np.ma.MaskedArray:
    return axes.images[0].get_array()


def texts(labels: list["matplotlib.text.Text"]) -> list[str]:
    return [label.get_text() for label in labels]


def test_a_heat_map_is_the_step(worked: Shown) -> None:
    figure = worked.trace.plot(WEIGHTS)
    axes = figure.axes[0]
    assert (drawn(axes) == worked.trace[WEIGHTS].value[0, 0].numpy()).all()
    assert texts(axes.get_xticklabels()) == ["I", "love", "data", "science", "<eos>"]
    assert axes.get_ylabel() == "query position"
    assert "0.77" in texts(axes.texts)
    assert figure.axes[1].get_ylabel() == "share, from 0 to 1"


def test_all_heads_stand_beside_one_another(make: Make) -> None:
    shown = make("masked")
    figure = shown.trace.plot(WEIGHTS)
    grids = [axes for axes in figure.axes if axes.images and axes.get_title().startswith("head")]
    assert [axes.get_title() for axes in grids] == ["head 0", "head 1"]
    for head, axes in enumerate(grids):
        assert (drawn(axes) == shown.trace[WEIGHTS].value[0, head].numpy()).all()
    assert (drawn(shown.trace.plot(WEIGHTS, head=1).axes[0]) == shown.trace[WEIGHTS].value[0, 1].numpy()).all()


def test_what_is_hidden_has_a_colour_of_its_own(worked: Shown) -> None:
    found = drawn(worked.trace.plot("decoder.mask").axes[0])
    assert (found.mask == (worked.trace["decoder.mask"].value[0, 0].numpy() <= HIDDEN)).all()


@pytest.mark.parametrize("name", ["masked", "relative", "rotary", "span"])
def test_every_kind_of_step_can_be_drawn(make: Make, tmp_path: Path, name: str) -> None:
    trace = make(name).trace
    for step in {step.key: step for step in trace.values()}.values():
        trace.plot(step.name)
    trace.plot(list(trace)[-1], tmp_path / "step.png")
    trace.plot("residual", tmp_path / "residual.svg")
    assert "<svg" in (tmp_path / "residual.svg").read_text("utf-8")
    assert (tmp_path / "step.png").read_bytes().startswith(b"\x89PNG")


def test_the_residual_stream_is_as_long_as_its_rows(worked: Shown) -> None:
    lengths = residual_lengths(worked.trace, "encoder")
    assert lengths.names[0] == "encoder.embedding.output"
    assert lengths.names[-1] == "encoder.output"
    for name, found in zip(lengths.names, lengths.values, strict=True):
        assert np.allclose(found, torch.linalg.vector_norm(worked.trace[name].value[0], dim=-1).numpy(), atol=1e-12)
    axes = worked.trace.plot("residual").axes[0]
    assert [line.get_label() for line in axes.lines] == ["I", "love", "data", "science", "<eos>"]
    assert (axes.lines[1].get_ydata() == lengths.values[:, 1]).all()


def test_the_likeliest_are_bars(worked: Shown) -> None:
    axes = worked.trace.plot("likeliest").axes[0]
    row = worked.trace["head.probabilities"].value[0, -1]
    assert [bar.get_width() for bar in axes.patches] == sorted(row.tolist(), reverse=True)[: len(axes.patches)]
    assert texts(axes.get_yticklabels())[0] == "<eos>"
    assert "données" in axes.get_title(loc="left")


def test_labels_are_named(make: Make) -> None:
    axes = make("label").trace.plot("likeliest").axes[0]
    assert set(texts(axes.get_yticklabels())) == {"A", "B", "C"} or set(texts(axes.get_yticklabels())) == {
        "label 0",
        "label 1",
        "label 2",
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_has_a_map(name: str) -> None:
    config = TransformerConfig(**CONFIGS[name])
    figure = figures.model_map(config)
    said = " ".join(texts(figure.axes[0].texts))
    assert ("cross-attention" in said) is (config.stack == "encoder-decoder")
    assert f"× {config.encoder_layers or config.decoder_layers}" in said
    assert "self-attention" in said


def test_a_colour_scale_survives_colour_blindness() -> None:
    """Lightness alone tells shares apart, and sign from sign at equal strength is blue against orange."""
    shares = matplotlib.colormaps[figures.SHARE](np.linspace(0, 1, 64))[:, :3]
    lightness = shares @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lightness) > 0).all()
    minus, zero, plus = figures.SIGNED([0.0, 0.5, 1.0])[:, :3]
    assert zero.min() > 0.99
    assert minus[2] > minus[0] + 0.3
    assert plus[0] > plus[2] + 0.3


def test_dollars_are_no_formula(tmp_path: Path) -> None:
    trace = Trace()
    trace.add("encoder.embedding.tokens", "B T C", torch.randn(1, 2, 3), "given", (), {})
    trace.tokens = {"encoder": [["$x^", "$_"]]}
    trace.plot("encoder.embedding.tokens", tmp_path / "a.png")


@pytest.mark.parametrize(
    ("step", "file", "options", "said"),
    [
        ("encoder.layers.0.self_attention.weigths", "a.png", {}, WEIGHTS),
        (WEIGHTS, "a.gif", {}, "ends in .png, .svg, .pdf"),
        (WEIGHTS, "nowhere/a.png", {}, "nowhere/a.png cannot be written"),
        (WEIGHTS, "a.png", {"head": 3}, "head 3"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    worked: Shown, tmp_path: Path, step: str, file: str, options: dict[str, int], said: str
) -> None:
    with pytest.raises(InputError) as refused:
        worked.trace.plot(step, tmp_path / file, **options)
    assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_one_sentence_says_what_to_install(
    worked: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "glassformer.show.figures")
    with pytest.raises(InputError, match=r"pip install 'glassformer\[plot\]'"):
        worked.trace.plot(WEIGHTS)
