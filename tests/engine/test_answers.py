"""A prepared model gives what the open one gives: logits, and tokens by every way of searching."""

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.engine.prepare import prepare
from glassformer.model import Transformer

from .models import CONFIGS, WRITERS, apart, model_of, question

SIDES = ("right", "left", "none")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", CONFIGS)
def test_at_float32_the_answer_is_the_same(name: str, side: str, use_native: bool) -> None:
    model = model_of(name)
    asked = question(model, side)
    with torch.inference_mode():
        expected = model(**asked.inputs)
        prepare(model, "float32", use_native=use_native)
        assert apart(expected, model(**asked.inputs), asked.real) < 1e-5


@pytest.mark.parametrize("name", CONFIGS)
def test_lower_precisions_are_near(name: str, engine: None) -> None:
    """How near, on random models of few numbers; what it costs a real one is measured, see docs/engine.md."""
    model = model_of(name)
    asked, lost = question(model, "none"), {}
    with torch.inference_mode():
        expected = model(**asked.inputs)
        for precision in ("float32", "bfloat16", "int8", "int4"):
            prepare(model, precision)
            lost[precision] = float((model(**asked.inputs) - expected).norm() / expected.norm())
    assert lost["float32"] < 1e-5 < lost["bfloat16"] < 0.05
    assert lost["bfloat16"] < lost["int8"] < 0.1
    assert lost["int8"] < lost["int4"] < 0.6


def asked_to_write(model: Transformer, side: str) -> Batch:
    inputs = question(model, side).inputs
    if model.encoder is None:
        return Batch(target=inputs["target"], target_mask=inputs.get("target_mask"))
    return Batch(
        source=inputs["source"],
        source_mask=inputs.get("source_mask"),
        target=torch.full((len(inputs["source"]), 1), 2),
    )


WAYS = {
    "greedy": Decoding(max_new_tokens=20),
    "beams": Decoding(num_beams=4, num_return_sequences=3, max_new_tokens=20),
    "groups": Decoding(num_beams=4, num_beam_groups=2, diversity_penalty=0.5, max_new_tokens=20),
    "drawn": Decoding(do_sample=True, seed=3, num_return_sequences=3, max_new_tokens=20),
    "contrastive": Decoding(penalty_alpha=0.6, top_k=4, max_new_tokens=20),
    "ruled": Decoding(no_repeat_ngram_size=2, repetition_penalty=1.3, min_new_tokens=5, max_new_tokens=20),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WRITERS)
def test_every_search_writes_the_same(name: str, way: str, use_native: bool) -> None:
    model = model_of(name)
    batch = asked_to_write(model, "right")
    expected = search(model, batch, WAYS[way], ends=(2,))
    prepare(model, "float32", use_native=use_native)
    found = search(model, batch, WAYS[way], ends=(2,))
    for one, other in zip(expected, found, strict=True):
        assert [each.ids for each in one] == [each.ids for each in other]
        for first, second in zip(one, other, strict=True):
            assert first.score == pytest.approx(second.score, abs=1e-4)


@pytest.mark.parametrize("name", ["learned", "rotary", "windows"])
def test_a_text_that_outgrows_the_positions_goes_on_alike(name: str, engine: None) -> None:
    model = model_of(name)
    batch, decoding = asked_to_write(model, "left"), Decoding(max_new_tokens=70)
    expected = search(model, batch, decoding, ends=())
    prepare(model, "float32")
    assert [one.ids for (one,) in search(model, batch, decoding, ends=())] == [one.ids for (one,) in expected]


def test_a_longer_text_than_tables_were_made_for(engine: None) -> None:
    """Rotary positions have no end; the tables grow."""
    model = model_of("no-positions")
    turning = model_of("rotary")
    ids = torch.randint(4, 50, (2, 600))
    for each in (model, turning):
        with torch.inference_mode():
            expected = each(target=ids)
            prepare(each, "float32")
            assert apart(expected, each(target=ids), torch.ones_like(ids).bool()) < 1e-5


@pytest.mark.parametrize("threads", [2, 3])
def test_more_threads_change_nothing(threads: int, engine: None) -> None:
    before = torch.get_num_threads()
    try:
        for name in ("learned", "relative", "labels"):
            model = model_of(name)
            preparation = prepare(model, "int8")
            assert preparation.native
            asked = question(model, "right", lengths=(40, 40, 17, 33, 5) if name != "labels" else (9, 4))
            with torch.inference_mode():
                alone = model(**asked.inputs)
                torch.set_num_threads(threads)
                model.twin.size = 2**40  # not little
                assert torch.equal(alone, model(**asked.inputs))
                torch.set_num_threads(1)
    finally:
        torch.set_num_threads(before)
