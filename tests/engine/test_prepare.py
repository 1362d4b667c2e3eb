"""Preparing a model: what is refused, what is said, and when the model answers by itself again."""

import copy
import threading

import pytest
import torch

import glassformer as gf
from glassformer.engine import prepare as engine
from glassformer.engine.prepare import PRECISIONS, prepare, unaided
from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.nn.low_rank import LowRank, merged

from .models import model_of, question


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(InputError, match="'fp8'; expected one of 'auto', 'float32'"):
        prepare(model_of("learned"), "fp8")  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_was_prepared_is_said(precision: engine.Precision, engine: None) -> None:
    preparation = prepare(model_of("learned"), precision)
    assert preparation.note is None
    assert preparation.native
    assert str(preparation).startswith(preparation.precision)


def test_a_precision_that_is_not_to_be_had_says_what_is_used() -> None:
    preparation = prepare(model_of("learned"), "int4", use_native=False)
    assert preparation.precision in ("bfloat16", "float32")
    assert preparation.note is not None
    assert preparation.note.startswith("int4 needs the native engine")


def test_changed_weights_are_not_answered_from_old_ones(use_native: bool) -> None:
    model = model_of("learned")
    asked = question(model, "right").inputs
    prepare(model, "float32", use_native=use_native)
    with torch.inference_mode():
        before = model(**asked)
    with torch.no_grad():
        model.tokens.weight *= 2
    with torch.inference_mode():
        after = model(**asked)
        with unaided(model):
            assert torch.equal(after, model(**asked))
    assert not torch.allclose(before, after)
    model.head.output.weight = torch.nn.Parameter(model.head.output.weight.detach().clone())
    with torch.inference_mode(), unaided(model):
        expected = model(**asked)
    with torch.inference_mode():
        assert torch.equal(expected, model(**asked))


def test_a_model_that_learns_lets_go_of_what_was_packed(use_native: bool) -> None:
    """A fused optimizer changes weights without counting it."""
    model = model_of("learned")
    asked = question(model, "right").inputs
    prepare(model, "float32", use_native=use_native)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(**asked).square().sum().backward()
    optimizer.step()
    model.eval()
    with torch.inference_mode():
        found = model(**asked)
        with unaided(model):
            assert torch.equal(found, model(**asked))


@pytest.mark.parametrize("id", [-1, 10**6])
def test_a_token_that_no_table_has_is_refused(id: int, use_native: bool) -> None:
    model = model_of("learned")
    asked = question(model, "none").inputs
    prepare(model, "float32", use_native=use_native)
    asked["target"][0, 0] = id
    with torch.inference_mode(), pytest.raises(IndexError):
        model(**asked)


def test_threads_may_ask_for_tables_at_once(engine: None) -> None:
    """The longest text decides, whoever comes first."""
    model = model_of("rotary")
    prepare(model, "float32", use_native=True)
    tables = model.twin.decoder.tables
    whole, begun, go = tables.rows, threading.Event(), threading.Event()

    def slow(reach: int) -> torch.Tensor | None:
        if not begun.is_set():  # the first thread is held while it has begun
            begun.set()
            go.wait(5)
        return whole(reach)

    tables.rows = slow
    first = threading.Thread(target=tables.grow, args=(tables.reach + 1,))
    first.start()
    begun.wait(5)
    second = threading.Thread(target=tables.grow, args=(8 * tables.reach,))
    longest = 8 * tables.reach
    second.start()
    second.join(0.3)
    go.set()
    first.join()
    second.join()
    assert tables.reach >= longest


def test_a_detour_is_packed_and_taking_it_in_is_noticed(use_native: bool) -> None:
    model = model_of("learned")
    layer = model.decoder.layers[0].self_attention
    layer.query = LowRank(layer.query, rank=2, alpha=4.0)
    with torch.no_grad():
        layer.query.lora_B += torch.randn_like(layer.query.lora_B)
    asked = question(model, "none").inputs
    with torch.inference_mode():
        expected = model(**asked)
        prepare(model, "float32", use_native=use_native)
        assert torch.allclose(model(**asked), expected, atol=1e-4)
    with merged(model), torch.inference_mode():
        assert torch.allclose(model(**asked), expected, atol=1e-4)


def test_whoever_looks_or_learns_sees_the_model_itself(engine: None) -> None:
    model = model_of("learned")
    asked = question(model, "none").inputs
    with torch.inference_mode():
        expected = model(**asked)
    prepare(model, "int4")
    assert torch.equal(model(**asked), expected)  # gradients are on
    with torch.inference_mode():
        assert torch.allclose(model(**asked, trace=Trace()), expected, atol=1e-5)
        assert not torch.allclose(model(**asked), expected, atol=1e-5)


def test_a_copy_has_no_twin(use_native: bool) -> None:
    model = model_of("learned")
    prepare(model, "float32", use_native=use_native)
    assert copy.deepcopy(model).twin is None
    assert model.twin is not None


def test_a_text_without_a_token_is_left_to_the_model(engine: None) -> None:
    model = model_of("halves")
    asked = question(model, "right").inputs
    asked["source_mask"][1] = 0
    with torch.inference_mode():
        expected = model(**asked)
        prepare(model, "float32")
        assert torch.equal(model(**asked), expected)


def test_loading_with_a_precision(recwarn: pytest.WarningsRecorder) -> None:
    model = gf.load("worked-example", precision="float32")
    assert model.transformer.twin is not None
    assert str(model("I love data science")) == str(gf.load("worked-example")("I love data science"))
    assert not recwarn.list
