"""Sweeps of patches against edits one at a time; answers side by side; what is refused; what is drawn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.inspection import attribute, compare, direct, lens, patch, patching, side_by_side, zero
from glassformer.inspection.asking import Asked, question_of
from glassformer.tasks.model import Model

from .models import TEXT, shared, text_of

OTHER = "the dog saw the small cat"
SAME = {"answering": (("what sat", "the cat sat on the mat"), ("what sat", "the dog sat on the mat"))}
KINDS = ("classification", "tagging", "filling", "generation", "rewriting", "t5", "last")


def texts(kind: str) -> tuple[Any, Any]:
    if kind in SAME:
        return SAME[kind]
    return (text_of(kind), text_of(kind).replace("sat", "saw")) if kind == "filling" else (TEXT, OTHER)


def measured(model: Model, text: Any, column: int, **asked: Any) -> float:
    """The number by a fused run, whatever edits are in force."""
    return attribute(model, text, method="rollout", target=column, **asked).number


@pytest.mark.parametrize("kind", KINDS)
def test_each_cell_is_one_edit(kind: str) -> None:
    model = shared(kind)
    clean, corrupt = texts(kind)
    asked: dict[str, Any] = {"written": " the"} if kind in ("generation", "rewriting", "t5") else {}
    if kind == "tagging":
        asked["position"] = 1
    question = question_of(model, clean, Asked(**asked))
    column, side = question.terms[0].column, question.read
    found = patching(model, clean, corrupt, measure="number", **asked)
    assert found.axes == ("layer", "position")
    trace = trace_of(model, question)
    for layer, position in ((0, 1), (1, 3)):
        name = layer_name(model, side, layer)
        with model.edit(patch(name, trace, position=position)):
            number = measured(model, corrupt, column, **asked)
        assert number == pytest.approx(found.values[layer + 1, position], abs=1e-10)
    heads = patching(model, clean, corrupt, over="heads", measure="number", **asked)
    for layer, head in ((0, 3), (1, 0)):
        with model.edit(patch(f"{side}.layers.{layer}.self_attention", trace, head=head)):
            assert measured(model, corrupt, column, **asked) == pytest.approx(heads.values[layer, head], abs=1e-10)
    steps = patching(model, clean, corrupt, over="steps", measure="number", **asked)
    name = f"{side}.layers.1.feed_forward.output"
    with model.edit(patch(name, trace)):
        assert measured(model, corrupt, column, **asked) == pytest.approx(steps.at(name), abs=1e-10)
    assert found.facts["clean"] == pytest.approx(measured(model, clean, column, **asked), abs=1e-10)


def test_both_texts_are_asked_about_the_same_new_token() -> None:
    model, (clean, corrupt) = shared("t5"), texts("t5")
    ids = model(clean, max_new_tokens=8).ids
    place, later = next((place, id) for place, id in enumerate(ids) if id != ids[0])
    found = patching(model, clean, corrupt, over="steps", target=later)
    for text, name in ((clean, "clean"), (corrupt, "corrupt")):
        there = attribute(model, text, method="rollout", target=later, position=place).number
        assert found.facts[name] == pytest.approx(there, abs=1e-10)


def trace_of(model: Model, question: Any) -> Any:
    trace = Trace()
    with torch.no_grad():
        model.transformer(**question.inputs(), trace=trace)
    return trace


def layer_name(model: Model, side: str, layer: int) -> str:
    post = "after_feed_forward" if model.config.norm_first else "feed_forward_norm.output"
    return f"{side}.layers.{layer}.{post}"


@pytest.mark.parametrize("kind", ["classification", "generation", "rewriting"])
def test_the_whole_stream_of_the_last_layer_brings_all_back(kind: str) -> None:
    model = shared(kind)
    clean, corrupt = texts(kind)
    name = f"{'decoder' if kind == 'generation' else 'encoder'}.output"
    written = None if kind == "classification" else " the"
    found = patching(model, clean, corrupt, over="steps", steps=name, target=1, written=written)
    assert found.at(name) == pytest.approx(1.0)
    assert "clean" in str(found)


def test_direct_paths_hold_all_other_heads() -> None:
    """In the last layer nothing stands between a head and the logits but its own layer's feed-forward."""
    model = shared("generation")
    direct_paths = patching(model, TEXT, OTHER, over="heads", direct=True, target=5, measure="number")
    all_paths = patching(model, TEXT, OTHER, over="heads", target=5, measure="number")
    assert np.abs(direct_paths.values[1] - all_paths.values[1]).max() <= 1e-10
    assert np.abs(direct_paths.values[0] - all_paths.values[0]).max() > 1e-6


def test_texts_of_different_length_go_by_position() -> None:
    found = patching(shared("classification"), "the cat ran", TEXT)
    count = len(shared("classification").tokenizer.encode("the cat ran").ids)
    assert (found.values[:, count:] == 0.0).all()
    assert np.abs(found.values[:, 1:count]).max() > 0


def test_a_labelled_array_is_an_array() -> None:
    found = patching(shared("classification"), TEXT, OTHER)
    assert np.asarray(found).shape == found.values.shape == tuple(map(len, found.labels))
    assert found.strongest(1)[0][1] == found.values.flat[np.abs(found.values).argmax()]
    told = json.loads(json.dumps(found.as_dict()))
    assert told["values"] == found.values.tolist()
    assert told["axes"] == ["layer", "position"]
    with pytest.raises(InputError, match="no layer '9'"):
        found.at("9", "[CLS]")


def test_what_cannot_be_is_refused_in_one_sentence() -> None:
    model = shared("classification")
    cases: list[tuple[str, dict[str, Any]]] = [
        ("over is 'layers'", {"over": "layers"}),
        ("measure is", {"measure": "x"}),
        ("say over='heads'", {"direct": True}),
        ("has no 'decoder'", {"side": "decoder"}),
        ("near it are", {"steps": "feed_forwrd.output"}),
        ("has no head", {"over": "heads", "steps": "feed_forward.output"}),
    ]
    for told, asked in cases:
        with pytest.raises(InputError, match=told):
            patching(model, TEXT, OTHER, **asked)
    with pytest.raises(InputError, match=r"\(1, 4, \d+, 4\) for the clean text and \(1, 4, \d+, 4\) for the corrupt"):
        patching(model, "the cat ran", TEXT, over="heads")
    with pytest.raises(InputError, match="same number"):
        patching(model, TEXT, TEXT)


@pytest.mark.parametrize("kind", [*KINDS, "answering"])
def test_answers_side_by_side(kind: str) -> None:
    model, text = shared(kind), text_of(kind)
    side = "decoder" if model.transformer.encoder is None else "encoder"
    edit = zero(f"{side}.layers.*.self_attention", position=1)
    found = side_by_side(model, text, edit)
    assert str(found.before) == str(model(text))
    with model.edit(edit):
        assert str(found.after) == str(model(text))
    assert any(change.before != change.after for change in found.changes)
    assert str(found.after) in str(found)
    assert json.loads(json.dumps(found.as_dict()))["before"] == str(found.before)
    with pytest.raises(InputError, match="no edit was given"):
        side_by_side(model, text)


def test_figures_are_drawn(tmp_path: Path) -> None:
    model, text = shared("classification"), TEXT
    drawn = {
        "sweep": patching(model, text, OTHER),
        "steps": patching(model, text, OTHER, over="steps"),
        "words": attribute(model, text, method="saliency"),
        "parts": direct(model, text),
        "lens": lens(shared("generation"), text),
        "difference": compare(model, text=text, other=OTHER),
    }
    for name, found in drawn.items():
        for ending in ("png", "svg"):
            path = tmp_path / f"{name}.{ending}"
            found.plot(str(path))  # type: ignore[attr-defined]
            assert path.stat().st_size > 1000
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".png"] * 6 + [".svg"] * 6
    with pytest.raises(InputError, match="ends in"):
        drawn["sweep"].plot(str(tmp_path / "figure.txt"))  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="cannot be written"):
        drawn["sweep"].plot(str(tmp_path / "none" / "figure.png"))  # type: ignore[attr-defined]
