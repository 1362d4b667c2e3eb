"""Edits: against hooks on torch's own modules, in batches, with the cache, in beams, and back again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.inspection import mean, patch, replace, steer, weight, zero
from glassformer.tasks.model import Model

from .models import READERS, WRITERS, model_of, shared, text_of

LONG, SHORT = "the big dog saw the girl", "a cat ran"
Change = Callable[[Tensor], Tensor]


@contextmanager
def hooked(module: nn.Module, change: Change, before: bool = True) -> Iterator[None]:
    """What goes into a module (or comes out of it) otherwise, by torch's own means."""
    if before:
        handle = module.register_forward_pre_hook(lambda _, given: (change(given[0]), *given[1:]))
    else:
        handle = module.register_forward_hook(lambda _, given, made: change(made))
    try:
        yield
    finally:
        handle.remove()


def said(model: Model, text: Any) -> Tensor:
    """The numbers of an answer's run, without any trace."""
    run = model.task.run(model.transformer, text)
    with torch.inference_mode():
        return model.transformer(**run.batch.inputs())


def apart(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().max())


def doubles(numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def without(columns: slice) -> Change:
    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[..., columns] = 0.0
        return x

    return change


@pytest.mark.parametrize("kind", [*READERS, "generation", "rewriting"])
def test_a_head_and_a_neuron_are_what_hooks_make_of_them(kind: str) -> None:
    model, text = shared(kind), text_of(kind)
    layer = (model.transformer.decoder or model.transformer.encoder).layers[1]  # type: ignore[union-attr]
    path = layer.path
    cases = [
        (zero(f"{path}.self_attention", head=2), layer.self_attention.output, without(slice(8, 12))),
        (zero(f"{path}.feed_forward", neuron=[3, 4]), layer.feed_forward.down, without(slice(3, 5))),
    ]
    if kind == "rewriting":
        cases.append((zero(f"{path}.cross_attention", head=0), layer.cross_attention.output, without(slice(4))))
    run = model.task.run(model.transformer, text).batch.inputs()
    for edit, module, change in cases:
        with torch.inference_mode(), hooked(module, change):
            expected = model.transformer(**run)
        with torch.inference_mode(), model.edit(edit):
            found = model.transformer(**run)
        with torch.inference_mode():
            as_it_was = model.transformer(**run)
        assert apart(expected, found) <= 1e-10
        assert apart(expected, as_it_was) > 1e-3


def test_a_position_a_dimension_and_a_whole_step() -> None:
    model = shared("classification")
    norm = model.transformer.encoder.layers[0].feed_forward_norm  # type: ignore[union-attr]

    def one(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, 2] = 0.0
        x[:, :, 5] = 7.0
        return x

    name = f"{norm.path}.output"
    with hooked(norm, one, before=False):
        expected = said(model, LONG)
    with model.edit(zero(name, position=2), replace(name, 7.0, neuron=5)):
        assert apart(expected, said(model, LONG)) <= 1e-10
    with hooked(norm, torch.zeros_like, before=False):
        expected = said(model, LONG)
    with model.edit(zero(name)):
        assert apart(expected, said(model, LONG)) <= 1e-10


def test_edits_stack_in_their_order_and_nest_within_those_around() -> None:
    model, name = shared("classification"), "encoder.layers.0.feed_forward.output"
    first, second = replace(name, [1.0]), replace(name, lambda value: value * 3.0)
    three, one = replace(name, 3.0), replace(name, 1.0)
    with model.edit(three):
        expected = said(model, LONG)
    with model.edit(first, second):
        assert apart(said(model, LONG), expected) == 0.0
    with model.edit(first), model.edit(second):
        assert apart(said(model, LONG), expected) == 0.0
    with model.edit(one):
        expected = said(model, LONG)
    with model.edit(second, first):
        assert apart(said(model, LONG), expected) == 0.0


@pytest.mark.parametrize("kind", WRITERS)
def test_cached_is_whole_under_edits(kind: str) -> None:
    model = shared(kind)
    edits: list[Any] = [
        zero("decoder.layers.0.self_attention", head=1, generation_step=[2, 4]),
        replace("decoder.layers.1.feed_forward", 0.7, neuron=range(5), position=[0, 3, 6]),
        mean("decoder.layers.1.self_attention.output", generation_step=range(1, 4)),
    ]
    if model.transformer.encoder is not None:
        edits.append(zero("decoder.layers.0.cross_attention", head=2, generation_step=1))
        edits.append(replace("encoder.layers.1.feed_forward", 0.3, position=-1))
    before = model(LONG)
    with model.edit(*edits):
        answer, trace = model(LONG), model.trace(LONG, num_beams=1, max_new_tokens=8)
        pieces = "".join(model.stream(LONG))
    assert pieces == getattr(answer, "new", answer.text)
    rows = trace["head.logits"].value.log_softmax(-1)[0, -len(answer.ids) :]
    chosen = rows.gather(1, torch.tensor(answer.ids)[:, None])[:, 0]
    assert apart(chosen, doubles(answer.log_probabilities)) <= 1e-10
    assert answer.log_probabilities != before.log_probabilities
    assert model(LONG) == before


@pytest.mark.parametrize("kind", [*WRITERS, *READERS])
def test_batches_change_nothing_under_edits(kind: str) -> None:
    model = shared(kind)
    side = "decoder" if model.transformer.encoder is None else "encoder"
    edits: list[Any] = [
        zero(f"{side}.layers.0.self_attention", head=1, position=[1, -1]),
        mean(f"{side}.layers.1.feed_forward.output", position=2),
    ]
    if kind in WRITERS:
        edits.append(mean("decoder.layers.0.self_attention.output", generation_step=[1, 2]))
    texts = [LONG, SHORT, "the mat"]
    if kind == "answering":
        texts = [("what", text) for text in texts]  # type: ignore[misc]
    elif kind == "filling":
        texts = [f"{text} [MASK]" for text in texts]
    with model.edit(*edits):
        together, alone = model(texts), [model(text) for text in texts]
    assert same(together, alone)
    assert not same(together, model(texts))


def same(first: Any, second: Any) -> bool:
    """Whether answers are equal to the last few digits."""
    if isinstance(first, float):
        return abs(first - second) <= 1e-10
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return same(list(first.items()), list(second.items()))
    if hasattr(first, "__dataclass_fields__"):
        return all(same(getattr(first, name), getattr(second, name)) for name in first.__dataclass_fields__)
    return bool(first == second)


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 3},
        {"temperature": 1.2, "seed": 3},
        {"penalty_alpha": 0.4, "top_k": 3},
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
        {"max_new_tokens": 70},
    ],
    ids=str,
)
def test_every_search_feels_them(options: dict[str, Any]) -> None:
    model = shared("generation")
    edits = [
        zero("decoder.layers.0.self_attention", head=1, generation_step=range(1, 90)),
        mean("decoder.layers.1.feed_forward.output", generation_step=range(2, 90)),
    ]
    with model.edit(*edits):
        answer = model(LONG, **options)
        together = model([SHORT, LONG, "a mat"], **options)[1]
        read = len(model.task.prompts([LONG], model.config)[0]) + len(answer.ids) - 1  # type: ignore[attr-defined]
        batch = model.tokenizer.ids([LONG], special=False)[0] + list(answer.ids[:-1])
    assert same(answer, together)
    assert answer.log_probabilities != model(LONG, **options).log_probabilities
    if read <= 64:
        trace = Trace()
        trace.begun = read - len(answer.ids) + 1
        with model.edit(*edits), torch.inference_mode():
            logits = model.transformer(target=torch.tensor([batch]), trace=trace)[0]
        rows = logits[trace.begun - 1 :].log_softmax(-1)
        found = rows.gather(1, torch.tensor(answer.ids)[:, None])[:, 0]
        assert apart(found, doubles(answer.log_probabilities)) <= 1e-10


def test_beams_of_a_pair_are_edited_at_each_of_their_rows() -> None:
    model = shared("rewriting")
    edits = [
        zero("decoder.layers.1.cross_attention", head=1, generation_step=[1, 3]),
        mean("decoder.layers.0.self_attention.output", generation_step=range(1, 9)),
    ]
    with model.edit(*edits):
        answer = model(LONG, num_beams=4)
        trace = model.trace(LONG, num_beams=4)
    rows = trace["head.logits"].value.log_softmax(-1)[0]
    found = rows.gather(1, torch.tensor(answer.ids)[:, None])[:, 0]
    assert apart(found, doubles(answer.log_probabilities)) <= 1e-10


def test_a_patch_of_everything_is_the_other_text() -> None:
    model = shared("classification")
    with model.edit(patch("encoder.embedding.output", "the big dog saw the mat")):
        patched = said(model, LONG)
    assert apart(patched, said(model, "the big dog saw the mat")) <= 1e-12
    other = model.trace(SHORT)
    with model.edit(patch("encoder.embedding.output", other, position=[1, 2], from_position=[2, 1])):
        found = model.trace(LONG)["encoder.embedding.output"]
    own = model.trace(LONG)["encoder.embedding.output"].value
    theirs = other["encoder.embedding.output"].value
    assert found.edited
    assert torch.equal(found.value[0, 1], theirs[0, 2])
    assert torch.equal(found.value[0, 2], theirs[0, 1])
    assert torch.equal(found.value[0, 3:], own[0, 3:])
    with model.edit(patch("encoder.embedding.output", other)):
        found = model.trace(LONG)["encoder.embedding.output"]
    assert torch.equal(found.value[0, : theirs.shape[1]], theirs[0])
    assert torch.equal(found.value[0, theirs.shape[1] :], own[0, theirs.shape[1] :])


def test_a_direction_is_the_difference_of_means() -> None:
    model, name = shared("classification"), "encoder.layers.0.after_self_attention"
    plus, minus = ["a cat ran", "the girls"], ["the mat"]
    value = {text: model.trace(text)[name].value[0].mean(0) for text in (*plus, *minus)}
    vector = (value[plus[0]] + value[plus[1]]) / 2 - value[minus[0]]
    own = model.trace(LONG)[name].value
    for edit in (steer(name, plus, minus, strength=2.5), steer(name, vector=vector, strength=2.5)):
        with model.edit(edit):
            assert apart(model.trace(LONG)[name].value, own + 2.5 * vector) <= 1e-12


def test_means_over_positions_batches_and_texts() -> None:
    model, name = shared("classification"), "encoder.layers.0.self_attention.mixed"
    own = model.trace(LONG)[name].value
    with model.edit(mean(name, head=1)):
        found = model.trace(LONG)[name].value
    assert apart(found[:, 1], own[:, 1].mean(1, keepdim=True).expand_as(own[:, 1])) <= 1e-12
    assert torch.equal(found[:, 0], own[:, 0])
    with model.edit(mean(name, over=[SHORT, "the mat"])):
        found = model.trace(LONG)[name].value
    each = [model.trace(text)[name].value[0].mean(1) for text in (SHORT, "the mat")]
    assert apart(found, ((each[0] + each[1]) / 2)[None, :, None].expand_as(own)) <= 1e-12
    ids = torch.tensor([[2, 10, 11, 3], [2, 12, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    trace = Trace()
    with torch.inference_mode():
        model.transformer(ids, source_mask=mask, trace=trace)
    value = trace["encoder.embedding.output"].value
    expected = torch.stack([value[0], value[1]]).mean(0)
    expected[3] = value[0, 3]
    trace = Trace()
    with model.edit(mean("encoder.embedding.output", over="batch")), torch.inference_mode():
        model.transformer(ids, source_mask=mask, trace=trace)
    found = trace["encoder.embedding.output"].value
    assert apart(found[0], expected) <= 1e-12
    assert apart(found[1, :3], expected[:3]) <= 1e-12


def test_weights_change_for_a_while_even_if_something_goes_wrong() -> None:
    model = model_of("classification")
    name = "encoder.layers.0.feed_forward.up.weight"
    parameter = dict(model.transformer.named_parameters())[name].data
    before, answer = parameter.clone(), said(model, LONG)

    def broken() -> None:
        with model.edit(weight(name, 0.0, row=2), weight(name, 5.0, row=2, column=3)):
            assert float(parameter[2, 3]) == 5.0
            assert float(parameter[2].abs().sum()) == 5.0
            with model.edit(weight(name, lambda w: -w), zero("encoder.embedding.output", position=0)):
                assert torch.equal(parameter[3], -before[3])
                raise RuntimeError("amid it")

    with pytest.raises(RuntimeError, match="amid it"):
        broken()
    assert torch.equal(parameter, before)
    assert torch.equal(said(model, LONG), answer)
    assert model.transformer.touch is None
    with model.edit(weight("encoder.layers.*.up.bias", 1.0)):
        assert apart(said(model, LONG), answer) > 1e-3
    assert torch.equal(said(model, LONG), answer)


def test_attention_may_be_cut_between_two_positions() -> None:
    model = shared("generation")
    with model.edit(replace("decoder.layers.*.self_attention.scores", -1e30, position=4, key_position=[1, 2])):
        trace = model.trace(LONG)
    for layer in range(2):
        weights = trace[f"decoder.layers.{layer}.self_attention.weights"].value[0]
        assert float(weights[:, 4, [1, 2]].max()) == 0.0
        assert float(weights[:, 5, [1, 2]].min()) > 0.0


def refused(model: Model, edit: Any, *told: str) -> None:
    def run() -> None:
        with model.edit(edit):
            model(LONG)

    with pytest.raises(InputError) as caught:
        run()
    for words in told:
        assert words in str(caught.value)
    assert model.transformer.touch is None


def test_what_cannot_be_is_refused_in_one_sentence() -> None:
    model = shared("rewriting")
    mixed = "encoder.layers.0.self_attention.mixed"
    refused(model, zero("encoder.layers.0.self_atention.mixd"), mixed)
    refused(model, zero("encoder.layers.*.nothing"), "no step fits the pattern", "near it are")
    refused(model, zero("encoder.layers.0.self_atention"), "near it are encoder.layers.0.self_attention,")
    refused(model, zero("encoder.layers.1.feedforward"), "encoder.layers.1.feed_forward")
    refused(model, zero(mixed, head=4), "no head 4", "has 4")
    refused(model, zero("encoder.output", head=0), "no head", "B T C")
    refused(model, zero("encoder.output", generation_step=0), "generation_step")
    refused(model, zero("head.probabilities"), "head.logits")
    refused(model, replace(mixed, torch.ones(7), head=0), "(7,)", "(1, 4, ")
    refused(model, replace(mixed, lambda value: value[:, :1]), "gives shape (1, 1, ", "expected (1, 4, ")
    refused(model, patch("encoder.layers.0.self_attention.weights", SHORT), "(1, 4, ", "here and (1, 4, ")
    refused(model, weight("encoder.layers.0.feed_forward.upp.weight", 0.0), "feed_forward.up.weight")
    refused(model, weight("encoder.layers.0.feed_forward.up.weight", 0.0, row=99), "row 99", "(24, 16)")
    refused(model, weight("encoder.layers.0.feed_forward.up.weight", torch.ones(3), row=1), "(3,)", "(16,)")
    refused(model, "encoder.output", "no edit")
    for wrong in (
        lambda: zero(mixed, heads=1),  # type: ignore[call-arg]
        lambda: zero(mixed, head="one"),  # type: ignore[arg-type]
        lambda: mean(mixed, over="texts"),  # type: ignore[arg-type]
        lambda: mean(mixed, over=[]),
        lambda: steer(mixed),
        lambda: weight("x", 0.0, column=1),
        lambda: zero(mixed, generation_step=-1),
    ):
        with pytest.raises(InputError):
            wrong()


def test_generation_steps_are_refused_where_nothing_is_written() -> None:
    refused(shared("last"), zero("decoder.output", generation_step=1), "writes nothing")


def test_a_model_that_nobody_edits_is_as_it_was() -> None:
    for kind in ("generation", "rewriting", "classification"):
        model, text = shared(kind), text_of(kind)
        before = said(model, text)
        with model.edit(zero("*.self_attention.output")):
            assert not torch.equal(said(model, text), before)
        assert model.transformer.touched(None) is None
        assert torch.equal(said(model, text), before)


@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 3}], ids=str)
def test_a_text_seen_as_it_is_written_is_seen_with_its_edits(options: dict[str, Any]) -> None:
    model = shared("rewriting")
    edits = [
        zero("decoder.layers.1.cross_attention", head=1, generation_step=[1, 3]),
        mean("decoder.layers.0.self_attention.output", generation_step=range(1, 9)),
    ]
    with model.edit(*edits):
        answer, seen = model(LONG, **options), model.trace_generation(LONG, **options)
    assert seen.answer == answer.text
    for run, id, expected in zip(seen, answer.ids, answer.log_probabilities, strict=True):
        of_each_beam = run["head.logits"].value[:, -1].log_softmax(-1)[:, id]
        assert float((of_each_beam - expected).abs().min()) <= 1e-10
