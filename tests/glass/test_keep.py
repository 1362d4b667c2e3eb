"""What is kept of a run, and what is said of a name or a pattern that fits nothing."""

import pytest
import torch

import glassformer as gf
from glassformer.errors import InputError
from glassformer.glass.naming import Keep, UnknownStepError, nearest
from glassformer.glass.trace import Trace
from glassformer.tasks.model import Model


@pytest.fixture(scope="module")
def worked() -> Model:
    return gf.load("worked-example")


def test_patterns_keep_and_let_go() -> None:
    keep = Keep(("*.weights", "head.*", "!decoder.*"))
    assert keep("encoder.layers.0.self_attention.weights")
    assert keep("head.logits")
    assert not keep("decoder.layers.0.self_attention.weights")
    assert not keep("encoder.ids")
    assert not Keep(())("encoder.ids")
    assert not Keep("!encoder.*")("decoder.ids")  # what is let go of must first be kept


def test_a_trace_keeps_what_fits_and_the_tokens_in_any_case(worked: Model) -> None:
    trace = worked.trace("I love data", keep="decoder.layers.*.cross_attention.weights")
    assert list(trace) == ["decoder.layers.0.cross_attention.weights"]
    assert trace.tokens["encoder"] == [["I", "love", "data", "<eos>"]]
    whole = worked.trace("I love data")
    assert torch.equal(trace[next(iter(trace))].value, whole[next(iter(trace))].value)
    without = worked.trace("I love data", keep=("*", "!*.layers.*"))
    assert set(without) == {name for name in whole if ".layers." not in name}


def test_what_is_neither_kept_nor_needed_is_not_computed(
    worked: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    add = Trace.add
    monkeypatch.setattr(Trace, "add", lambda self, name, *rest: (seen.append(name), add(self, name, *rest))[1])
    worked.trace("I love data", keep="*.weights")
    assert "head.logits" in seen
    assert "head.probabilities" not in seen


@pytest.mark.parametrize(
    ("keep", "near"),
    [
        ("decoder.layers.*.cross_attention.weight", "cross_attention.weights"),
        ("encoder.layers.0.self_atention.scores", "encoder.layers.0.self_attention.scores"),
        ("!*.weigths", "weights"),
        (("*", "nothing.like.it"), "of the 51 steps"),
    ],
)
def test_a_pattern_that_fits_nothing_is_refused_with_the_nearest_names(
    worked: Model, keep: str, near: str
) -> None:
    with pytest.raises(UnknownStepError, match="no step") as refused:
        worked.trace("I love data", keep=keep)
    assert near in str(refused.value)


def test_an_edit_that_fits_nothing_is_refused(worked: Model) -> None:
    with pytest.raises(InputError, match=r"no step is called 'encoder.layers.0.self_attention.weight'.*weights"):
        worked.trace("I love data", edits={"encoder.layers.0.self_attention.weight": torch.zeros_like})


def test_an_unknown_step_is_both_an_input_error_and_a_missing_key(worked: Model) -> None:
    trace = worked.trace("I love data", keep="*.weights")
    assert trace.get("no.such") is None
    assert "no.such" not in trace
    with pytest.raises(InputError, match="self_attention.weights"):
        trace["encoder.layers.0.self_attention.weight"]
    with pytest.raises(KeyError, match="computed but not kept"):
        trace["encoder.layers.0.self_attention.scores"]
    with pytest.raises(InputError, match="no step fits the pattern"):
        trace.select("*.scorse")
    assert [step.name for step in trace.select("encoder.*")] == ["encoder.layers.0.self_attention.weights"]


def test_the_nearest_of_none_is_none() -> None:
    assert nearest("a.b", []) == "none"
    assert set(nearest("x.output", ["a.output", "b.output", "c.weights"]).split(", ")) == {"a.output", "b.output"}


def test_a_value_whose_tensor_is_gone_gives_its_name_to_no_other() -> None:
    """An id may be given again to a new tensor: only the one that is still there is meant."""
    trace = Trace(keep=())
    for number in range(200):
        trace.add(f"part.step{number}", "B", torch.zeros(3), "given", (), {})
        assert not trace.knows(torch.zeros(3))
