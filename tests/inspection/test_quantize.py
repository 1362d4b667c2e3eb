"""Rounded weights through the glass: against edits of the same weights, layer by layer and step by step."""

import json

import numpy as np
import pytest
import torch

from glassformer import inspection
from glassformer.data.examples import LabelledText
from glassformer.engine.prepare import prepare
from glassformer.engine.rounding import rounded_weights
from glassformer.errors import InputError
from glassformer.evaluation.by_task import Options
from glassformer.inspection.quantize import part_of
from glassformer.native.library import native

from .models import KINDS, model_of, text_of

PRECISIONS = ["bfloat16"] if native() is None else ["bfloat16", "int8", "int4"]


def norm_of(change: np.ndarray, own: np.ndarray) -> float:
    return float(np.linalg.norm(change) / np.linalg.norm(own))


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_alone_is_what_edits_of_its_weights_make(kind: str) -> None:
    model = model_of(kind, tied_output=False, output_scale=False)  # a tied table has an edit of its own alone
    precision = PRECISIONS[-1]
    found = inspection.quantize(model, precision, [text_of(kind)])
    assert model.transformer.twin is None
    weights = rounded_weights(model.transformer, precision)
    (given,) = model.runs(text_of(kind))  # of the answer that the model gives as it is
    own = model.traced(given)
    last = "head.logits" if "head.logits" in own else "encoder.output"
    state = model.transformer.state_dict()
    by_part = {each.part: each for each in found.parts}
    assert set(by_part) == {part_of(path) for path in weights}
    for part, each in by_part.items():
        paths = [path for path in weights if part_of(path) == part]
        with torch.inference_mode(), model.edit(*(inspection.weight(f"{p}.weight", weights[p]) for p in paths)):
            run = model.traced(given)
        change = norm_of((run[last].value - own[last].value).numpy(), own[last].value.numpy())
        assert each.output == pytest.approx(change, rel=1e-9)
        before = np.concatenate([state[f"{p}.weight"].flatten() for p in paths])
        after = np.concatenate([weights[p].flatten() for p in paths])
        assert each.weights == pytest.approx(norm_of(after - before, before), rel=1e-9)
        assert each.numbers == len(before)
    assert [each.output for each in found.parts] == sorted((each.output for each in found.parts), reverse=True)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_step_is_there_and_the_last_moves_as_the_output_does(precision: str) -> None:
    model = model_of("rewriting")
    texts = ["the cat saw the dog", "a big dog ran"]
    found = inspection.quantize(model, precision, texts)
    steps = {each.step: each for each in found.differences}
    floats = {name for name, step in model.trace(texts[0]).items() if step.value.is_floating_point()}
    assert set(steps) == floats
    assert steps["head.logits"].relative == pytest.approx(found.output, rel=1e-9)
    assert steps["encoder.embedding.tokens"].relative == 0.0  # the engine looks rows up as they are
    assert 0 < found.output < 1
    relative = [each.relative for each in found.differences]
    assert relative == sorted(relative, reverse=True)


def test_the_engines_own_answer_is_compared_too() -> None:
    model = model_of("classification", dtype="float32")
    found = inspection.quantize(model, PRECISIONS[-1], ["the cat sat"])
    run = model.runs("the cat sat")[0]
    with torch.inference_mode():
        own = model.transformer(**run.batch.inputs())
        preparation = prepare(model.transformer, PRECISIONS[-1])
        engines = model.transformer(**run.batch.inputs())
    assert found.engine == pytest.approx(norm_of((engines - own).double().numpy(), own.double().numpy()), rel=1e-6)
    assert found.size == preparation.size
    assert found.size_before == prepare(model.transformer, "float32").size
    assert model.transformer.twin is not None  # what was prepared before stays


def test_it_says_what_was_found_in_words_and_as_json() -> None:
    model = model_of("classification", dtype="float32")
    texts = ("the cat sat", "a dog ran")
    examples = [LabelledText(text=text, labels=(f"label-{n}",)) for n, text in enumerate(texts)]
    found = inspection.quantize(
        model, "bfloat16", ["the cat sat"], examples=examples, options=Options(bootstrap=20)
    )
    told = str(found)
    assert "MiB packed" in told
    assert "equal answers" in told
    assert found.parts[0].part in told
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["precision"] == "bfloat16"
    assert len(plain["steps"]) == len(found.differences)
    assert {"before", "after", "change"} == set(plain["scores"]["accuracy"])
    assert 0 <= plain["equal_answers"] <= 100


def test_it_is_drawn(tmp_path: object) -> None:
    pytest.importorskip("matplotlib")
    found = inspection.quantize(model_of("generation"), "bfloat16", ["the cat"])
    path = tmp_path / "moved.png"  # type: ignore[operator]
    found.plot(str(path))
    assert path.stat().st_size > 1000


def test_without_a_text_there_is_nothing_to_see() -> None:
    with pytest.raises(InputError, match="give one text or more"):
        inspection.quantize(model_of("classification"), "bfloat16", [])
