"""Two runs held against each other, by hand."""

import json
import math

import numpy as np
import pytest
import torch

from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.inspection import compare, weight

from .models import TEXT, model_of, shared

OTHER = "the dog saw the small cat"


def test_each_difference_is_what_numpy_says() -> None:
    model = shared("classification")
    one, two = model.trace(TEXT), model.trace(OTHER)
    found = compare(model, text=TEXT, other=OTHER)
    sizes = [each.relative for each in found.differences]
    assert sizes == sorted(sizes, reverse=True)
    for name in ("encoder.layers.0.self_attention.scores", "encoder.layers.1.feed_forward.output", "head.logits"):
        first, second = one[name].value.numpy().ravel(), two[name].value.numpy().ravel()
        each = found.of(name)
        assert each.largest == pytest.approx(np.abs(first - second).max(), abs=1e-12)
        assert each.relative == pytest.approx(np.linalg.norm(first - second) / np.linalg.norm(first), abs=1e-12)
        cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        assert each.cosine == pytest.approx(cosine, abs=1e-12)
    assert found.of("encoder.embedding.positions").largest == 0.0
    assert not found.unlike
    assert json.loads(json.dumps(found.as_dict()))["answers"] == [one.answer, two.answer]
    assert "head.logits" in [each.step for each in found.differences]
    with pytest.raises(InputError, match=r"near it are .*head\.logits"):
        found.of("head.logit")


def test_equal_tokens_of_texts_of_different_length_stand_together() -> None:
    model = shared("tagging")
    long, short = "the big dog saw the cat", "the dog saw the cat"
    one, two = model.trace(long), model.trace(short)
    first, second = one.tokens["encoder"][0], two.tokens["encoder"][0]
    assert len(first) > len(second)
    found = compare(model, text=long, other=short)
    name = "encoder.embedding.tokens"
    assert found.aligned["encoder"] == (len(first), len(second), len(second))
    assert found.of(name).largest == 0.0
    assert "are held against each other" in str(found)
    by_position = compare(model, text=long, other=short, align="positions")
    gap = one[name].value[0, : len(second)] - two[name].value[0]
    assert by_position.of(name).largest == pytest.approx(float(gap.abs().max()))


def test_before_and_after_training() -> None:
    before, after = model_of("classification"), model_of("classification")
    with torch.no_grad():
        after.transformer.encoder.layers[1].feed_forward.up.bias += 0.5  # type: ignore[union-attr,operator]
    found = compare(before, after, text=TEXT)
    changed = {each.step for each in found.differences if each.largest > 0}
    assert changed == {
        "encoder.layers.1.feed_forward.up", "encoder.layers.1.feed_forward.active",
        "encoder.layers.1.feed_forward.output", "encoder.layers.1.after_feed_forward",
        "encoder.layers.1.feed_forward_norm.output", "encoder.output", "head.pooling.row", "head.pooling.output",
        "head.logits", "head.probabilities",
    }  # fmt: skip
    trace = before.trace(TEXT)
    with before.edit(weight("encoder.layers.0.feed_forward.up.bias", 0.0)):
        edited = before.trace(TEXT)
    assert compare(trace, edited).of("encoder.layers.0.feed_forward.up").largest > 0
    assert compare(trace, edited, keep="head.*").differences[0].step.startswith("head.")


def test_models_of_other_shapes_say_so() -> None:
    one, two = shared("classification"), model_of("classification", d_ff=20, encoder_layers=1)
    found = compare(one, two, text=TEXT)
    assert ("encoder.layers.0.feed_forward.up", (1, 8, 24), (1, 8, 20)) in found.unlike
    assert any(name.startswith("encoder.layers.1") for name in found.only_first)
    assert not found.only_second
    assert "only in the first" in str(found)


def test_nothing_has_no_direction() -> None:
    model = shared("classification")
    one = model.trace(TEXT)
    nothing = model.trace(TEXT, edits={"encoder.layers.1.feed_forward.output": torch.zeros_like})
    found = compare(nothing, one).of("encoder.layers.1.feed_forward.output")
    assert math.isnan(found.cosine)
    assert found.relative == math.inf
    assert compare(nothing, one).as_dict()["differences"][0]["relative"] is None
    equal = compare(one, one)
    assert all(each.largest == 0.0 and each.relative == 0.0 for each in equal.differences)
    assert str(equal).splitlines()[-1] == "{0} steps in both, {0} of them equal".format(len(equal.differences))
    (row,) = (line for line in str(compare(nothing, one)).splitlines() if "layers.1.feed_forward.output" in line)
    assert row.split()[1] == "inf"
    assert len(row.split()) == 3


def test_writers_are_aligned_on_both_sides() -> None:
    model = shared("rewriting")
    found = compare(model, text=TEXT, other="the cat ran")
    assert set(found.aligned) == {"encoder", "decoder"}
    assert found.of("decoder.layers.0.cross_attention.weights").axes == "B H Q K"


def test_what_cannot_be_is_refused_in_one_sentence() -> None:
    model = shared("classification")
    for told, call in (
        ("one run alone", lambda: compare(model, text=TEXT)),
        ("without a text", lambda: compare(model, model)),
        ("align is", lambda: compare(model, text=TEXT, other=OTHER, align="x")),  # type: ignore[arg-type]
        ("one run alone", lambda: compare(Trace())),
    ):
        with pytest.raises(InputError, match=told):
            call()
