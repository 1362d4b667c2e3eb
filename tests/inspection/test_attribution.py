"""Attributions: Captum's own numbers, completeness, what is known exactly, every task, and what is refused."""

import json
from collections.abc import Iterator
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor

import glassformer as gf
from glassformer.errors import InputError
from glassformer.glass.changes import Fixed
from glassformer.glass.place import Place
from glassformer.glass.touch import Ready, Touch
from glassformer.glass.trace import Trace
from glassformer.inspection import Number, attribute, direct, layers
from glassformer.inspection.asking import Asked, question_of
from glassformer.inspection.question import Question
from glassformer.tasks.model import Model

from .models import READERS, WRITERS, model_of, shared, text_of

TASKS = [*READERS, *WRITERS]
TOKENS = ("saliency", "input-x-gradient", "integrated-gradients", "occlusion", "rollout")


class Oracle:
    """The same model for Captum: from the embeddings' outputs to the number, by edits alone."""

    def __init__(self, model: Model, text: Any) -> None:
        self.model, self.question = model, question_of(model, text)
        trace = Trace("*.embedding.output")
        with torch.no_grad():
            model.transformer(**self.question.inputs(), trace=trace)
        self.inputs = tuple(step.value for step in trace.values())
        self.names = list(trace)

    def __call__(self, *embedded: Tensor) -> Tensor:
        edits = [
            Ready(name, Place(), Fixed(lambda _, x=x: x)) for name, x in zip(self.names, embedded, strict=True)
        ]
        with self.model.transformer.touching(Touch(edits)):
            return self.question.value(self.model.transformer(**self.question.inputs(len(embedded[0]))))


@pytest.fixture(autouse=True)
def _doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Captum rounds the weights of its rule, and what it sums, to float32; here it is told not to."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def close(ours: Any, theirs: Any, within: float = 1e-10) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert np.abs(np.asarray(mine) - other[0].detach().numpy()).max() <= within
        assert np.abs(np.asarray(mine)).max() > 1e-6


@pytest.mark.parametrize("kind", TASKS)
def test_gradients_are_captums(kind: str) -> None:
    model, text = shared(kind), text_of(kind)
    oracle = Oracle(model, text)
    inputs = tuple(value.clone().requires_grad_() for value in oracle.inputs)
    found = attribute(model, text, method="saliency")
    close(list(found.values.values()), captum.attr.Saliency(oracle).attribute(inputs))
    found = attribute(model, text, method="input-x-gradient")
    close(list(found.values.values()), captum.attr.InputXGradient(oracle).attribute(inputs))
    found = attribute(model, text, method="integrated-gradients", steps=20)
    theirs = captum.attr.IntegratedGradients(oracle).attribute(inputs, n_steps=20)
    close(list(found.values.values()), theirs)


@pytest.mark.parametrize("kind", ["classification", "generation", "rewriting"])
def test_occlusion_is_captums(kind: str) -> None:
    model, text = shared(kind), text_of(kind)
    oracle = Oracle(model, text)
    found = attribute(model, text, method="occlusion")
    windows = tuple((1, value.shape[-1]) for value in oracle.inputs)
    theirs = captum.attr.Occlusion(oracle).attribute(oracle.inputs, windows if len(windows) > 1 else windows[0])
    for side, other in zip(found.scores, theirs if isinstance(theirs, tuple) else (theirs,), strict=True):
        rows = np.array([token.score for token in side.tokens])
        assert np.abs(rows - other[0, :, 0].numpy()).max() <= 1e-10


@pytest.mark.parametrize("kind", ["classification", "tagging", "generation"])
def test_layers_and_neurons_are_captums(kind: str) -> None:
    model, text = shared(kind), text_of(kind)
    oracle = Oracle(model, text)
    side = oracle.names[0].partition(".")[0]
    part = getattr(model.transformer, side).layers[1].feed_forward
    name = f"{side}.layers.1.feed_forward.output"
    given = oracle.inputs[0]
    found = attribute(model, text, method="conductance", step=name, steps=12)
    theirs = captum.attr.LayerConductance(oracle, part).attribute(given, n_steps=12)
    close([found.values[name]], [theirs])
    found = attribute(model, text, method="layer-integrated-gradients", step=name, steps=12)
    theirs = captum.attr.LayerIntegratedGradients(oracle, part).attribute(given, n_steps=12)
    close([found.values[name]], [theirs])
    place = (2, 5)
    neuron = captum.attr.NeuronIntegratedGradients(oracle, part)
    theirs = neuron.attribute(given, place, n_steps=12)
    found = attribute(model, text, target=Number(name, place), steps=12)
    close(list(found.values.values()), [theirs])
    theirs = captum.attr.NeuronGradient(oracle, part).attribute(given.clone().requires_grad_(), place)
    found = attribute(model, text, target=Number(name, place), method="saliency")
    close(list(found.values.values()), [theirs.abs()])


@pytest.mark.parametrize("kind", TASKS)
def test_integrated_gradients_are_complete(kind: str) -> None:
    model, text = shared(kind), text_of(kind)
    found = attribute(model, text)
    assert found.error is not None
    assert found.error < 0.01
    assert found.baseline is not None
    assert found.total == pytest.approx(found.number - found.baseline, rel=0.01)
    side = found.scores[0].side
    within = attribute(model, text, method="layer-integrated-gradients", step=f"{side}.layers.0.feed_forward.active")
    assert within.error is not None
    assert within.error < 0.01


def test_completeness_holds_where_a_way_is_steep() -> None:
    """A norm makes a jump of the first bit of the way from nothing; the halving finds it."""
    model = model_of("rewriting", norm_eps=1e-12)
    assert attribute(model, text_of("rewriting"), steps=8).error > 0.01  # type: ignore[operator]
    found = attribute(model, text_of("rewriting"))
    assert found.error is not None
    assert found.error < 0.01


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("method", TOKENS)
def test_every_task_and_method(kind: str, method: Any) -> None:
    model, text = shared(kind), text_of(kind)
    found = attribute(model, text, method=method)
    question = question_of(model, text)
    assert [side.side for side in found.scores] == [side.name for side in question.sides]
    assert found.number == pytest.approx(number_of(model, question), abs=1e-10)
    for side, read in zip(found.scores, question.sides, strict=True):
        assert tuple(token.text for token in side.tokens) == read.tokens
        assert sum(word.score for word in side.words) == pytest.approx(sum(token.score for token in side.tokens))
        for word in side.words:
            if word.of is not None:
                assert side.texts[word.of][word.start : word.end] == word.text
    told = json.loads(json.dumps(found.as_dict()))
    assert told["number"] == found.number
    assert found.about in str(found)


def number_of(model: Model, question: Question) -> float:
    with torch.no_grad():
        return float(question.value(model.transformer(**question.inputs()))[0])


def test_words_of_a_text_stand_in_it() -> None:
    found = attribute(shared("classification"), "The unseen boys ran, quickly", method="saliency")
    assert [word.text for word in found.words] == ["[CLS]", "The", "unseen", "boys", "ran", ",", "quickly", "[SEP]"]
    pair = attribute(shared("answering"), "what sat", "the cat sat on the mat", method="saliency")
    assert [(word.of, word.text) for word in pair.words if word.of == 0] == [(0, "what"), (0, "sat")]


def test_which_number_is_asked_about() -> None:
    model = shared("classification")
    logits = model.trace(text_of("classification"))["head.logits"].value[0]
    text = text_of("classification")
    both = attribute(model, text, target="label-1", against="label-2", method="input-x-gradient")
    alone = [attribute(model, text, target=label, method="input-x-gradient") for label in ("label-1", "label-2")]
    assert both.number == pytest.approx(float(logits[1] - logits[2]))
    for token, first, second in zip(both.tokens, alone[0].tokens, alone[1].tokens, strict=True):
        assert token.score == pytest.approx(first.score - second.score, abs=1e-12)

    def number(kind: str, **asked: Any) -> float:
        return attribute(shared(kind), text_of(kind), method="saliency", **asked).number

    tags = shared("tagging").trace(text_of("tagging"))["head.logits"].value[0]
    assert number("tagging", position=2, target="I-PER") == pytest.approx(float(tags[3, 2]))
    span = shared("answering").trace(text_of("answering"))["head.logits"].value[0]
    best = attribute(shared("answering"), text_of("answering"), method="saliency")
    start, end = number("answering", target="start"), number("answering", target="end")
    assert best.number == pytest.approx(start + end)
    question = question_of(shared("answering"), text_of("answering"), Asked(target="sat on"))
    rows = [question.sides[0].tokens[term.position or 0] for term in question.terms]
    assert rows[0].startswith("s")
    assert float(span[question.terms[0].position, 0]) == pytest.approx(  # type: ignore[index]
        number("answering", target="sat on") - float(span[question.terms[1].position, 1])  # type: ignore[index]
    )
    filling = shared("filling")
    hidden = filling.trace(text_of("filling"))
    places = [place for place, token in enumerate(hidden.tokens["encoder"][0]) if token == "[MASK]"]
    cat = filling.tokenizer.id("cat")
    assert number("filling", position=1, target="cat") == pytest.approx(
        float(hidden["head.logits"].value[0, places[1], cat])
    )


@pytest.mark.parametrize("kind", ["generation", "rewriting"])
def test_a_token_at_its_place_in_the_output(kind: str) -> None:
    model, text = shared(kind), text_of(kind)
    trace = model.trace(text, max_new_tokens=8) if kind == "generation" else model.trace(text)
    answer = model(text, max_new_tokens=8)
    rows = trace["head.logits"].value[0, -len(answer.ids) :]
    for number in (0, 3):
        found = attribute(model, text, position=number, method="saliency")
        assert found.number == pytest.approx(float(rows[number, answer.ids[number]]), abs=1e-10)
    other = answer.ids[0] + 1
    found = attribute(model, text, position=2, target=answer.ids[2], against=other, method="saliency")
    assert found.number == pytest.approx(float(rows[2, answer.ids[2]] - rows[2, other]), abs=1e-10)
    behind = attribute(model, text, written=" the dog", target="cat", method="saliency")
    assert behind.scores[-1].texts[0].endswith("the dog")


def test_without_a_position_it_is_where_the_model_gives_the_target_first() -> None:
    model, text = shared("t5"), text_of("t5")
    ids = model(text, max_new_tokens=8).ids
    later = next(id for id in ids if id != ids[0])
    place = ids.index(later)
    rows = model.trace(text)["head.logits"].value[0]
    found = attribute(model, text, target=later, method="saliency")
    assert place > 0
    assert found.number == pytest.approx(float(rows[place, later]), abs=1e-10)
    assert found.about.endswith(f", as new token {place}")
    never = next(id for id in range(len(ids) + 1) if id not in ids)
    assert attribute(model, text, target=never, method="saliency").about.endswith(", as new token 0")

    names, text = shared("electra"), text_of("electra")
    labels = names.trace(text)["head.logits"].value[0, 1:-1].argmax(-1).tolist()
    place = labels.index(0)
    assert place > 0
    found = attribute(names, text, target="O", method="saliency")
    assert found.about == f"the logit of O at {text.split()[place]!r}"


def test_a_word_of_several_tokens_is_asked_about_by_its_first_and_it_is_said() -> None:
    model = shared("generation")
    found = attribute(model, text_of("generation"), target="catalogue", against="dogs", method="saliency")
    assert found.about == (
        "the logit of ' cat', the first token of 'catalogue', minus that of ' dog', the first token of 'dogs', "
        "as new token 0"
    )
    found = attribute(model, text_of("generation"), target="cat", written=" the big", method="saliency")
    assert found.about == "the logit of 'cat'"


def test_float64_computes_in_a_copy() -> None:
    model = model_of("classification", dtype="float32")
    text = text_of("classification")
    exact = attribute(model, text, method="input-x-gradient", float64=True)
    plain = attribute(model, text, method="input-x-gradient")
    assert model.transformer.tokens.weight.dtype == torch.float32
    assert exact.number != plain.number
    assert exact.number == pytest.approx(plain.number, abs=1e-4)
    twin = model_of("classification", dtype="float32")
    twin.transformer.double()
    assert attribute(twin, text, method="input-x-gradient").number == exact.number


def test_baselines_are_tokens_or_means() -> None:
    model, text = shared("classification"), text_of("classification")
    masked = attribute(model, text, baseline="[MASK]")
    words = len(text.split())
    hidden = model.trace(" ".join(["[MASK]"] * (len(masked.tokens) - 2)))
    assert len(masked.tokens) - 2 >= words
    label = int(model.trace(text)["head.logits"].value[0].argmax())
    assert masked.baseline == pytest.approx(float(hidden["head.logits"].value[0, label]), abs=1e-10)
    assert masked.tokens[0].score == 0.0
    assert attribute(model, text, baseline="mean").error < 0.01  # type: ignore[operator]
    with pytest.raises(InputError, match="zero, mean, or a token"):
        attribute(model, text, baseline="nothing")


def test_rollout_by_hand() -> None:
    model, text = shared("tagging"), text_of("tagging")
    trace = model.trace(text)
    flow = np.eye(trace["encoder.ids"].value.shape[1])
    for layer in range(2):
        weights = trace[f"encoder.layers.{layer}.self_attention.weights"].value[0].mean(0).numpy()
        flow = (0.5 * weights + 0.5 * np.eye(len(flow))) @ flow
    found = attribute(model, text, method="rollout", position=1)
    assert np.abs(np.array([token.score for token in found.tokens]) - flow[2]).max() <= 1e-12
    pair = attribute(shared("rewriting"), text, method="rollout", position=3)
    assert pair.total == pytest.approx(1.0)
    assert all(token.score > 0 for token in pair.tokens)


def test_a_word_left_out_is_all_of_its_tokens() -> None:
    model, text = shared("classification"), "the catsaw boy"
    found = attribute(model, text, method="occlusion", unit="word", baseline="[MASK]")
    word = next(word for word in found.words if word.text == "catsaw")
    ids = list(model.tokenizer.encode(text).ids)
    places = [place for place, token in enumerate(found.tokens) if token.start < 10 and token.end > 4]
    assert len(places) > 1
    for place in places:
        ids[place] = model.tokenizer.mask_id  # type: ignore[call-overload]
    label = int(model.trace(text)["head.logits"].value[0].argmax())
    with torch.no_grad():
        logits = model.transformer(torch.tensor([ids]))[0]
    assert word.score == pytest.approx(found.number - float(logits[label]), abs=1e-10)


def test_a_table_of_layers() -> None:
    model, text = shared("classification"), text_of("classification")
    for method in ("layer-integrated-gradients", "conductance", "input-x-gradient"):
        found = layers(model, text, method=method, steps=16)  # type: ignore[arg-type]
        assert found.axes == ("layer", "position")
        name = "encoder.layers.1.feed_forward_norm.output"
        alone = attribute(model, text, method=method, step=name, steps=16)  # type: ignore[arg-type]
        assert np.abs(found.values[1] - [token.score for token in alone.tokens]).max() <= 1e-12
        assert found.at("1", "[SEP]") == found.values[1, -1]
    assert "conductance" in str(layers(model, text, method="conductance", part="feed_forward.output", steps=4))


def test_what_cannot_be_is_refused_in_one_sentence() -> None:
    model, text = shared("classification"), text_of("classification")
    cases: list[tuple[Any, dict[str, Any]]] = [
        ("there is no method", {"method": "guess"}),
        ("no label 'good'", {"target": "good"}),
        ("no label 7", {"target": 7}),
        ("same token", {"target": "label-1", "against": "label-1"}),
        ("writes no text", {"written": "the"}),
        ("name one, such as encoder.layers", {"method": "conductance"}),
        ("near it are encoder.layers.0", {"method": "conductance", "step": "encoder.layers.0.feed_forwrd"}),
        ("fits 2 steps", {"method": "conductance", "step": "encoder.layers.*.feed_forward.active"}),
        ("steps is 0", {"steps": 0}),
        ("unit is", {"unit": "letter"}),
    ]
    for told, asked in cases:
        with pytest.raises(InputError, match=told):
            attribute(model, text, **asked)
    with pytest.raises(InputError, match="no hidden word 2"):
        attribute(shared("filling"), text_of("filling"), position=2)
    with pytest.raises(InputError, match="no word 9"):
        attribute(shared("tagging"), text_of("tagging"), position=9)
    for place in ((0,), (99, 0), (0, 0, 0)):
        with pytest.raises(InputError, match=r"no number at .* its shape behind the batch is \(8, 16\)"):
            attribute(model, text, target=Number("encoder.output", place))
    with pytest.raises(InputError, match="near it are encoder.output"):
        attribute(model, text, target=Number("encoder.outptu", (0, 0)))
    with pytest.raises(InputError, match="no task"):
        attribute(shared("hidden"), text)
    with pytest.raises(InputError, match="has no token"):
        attribute(shared("filling"), text_of("filling"), target="日本")


def test_a_model_without_a_task_answers_for_its_numbers() -> None:
    model = gf.load("minilm-l6")
    found = attribute(model, "The cat sat.", target=Number("encoder.output", (0, 3)), float64=True)
    assert found.about == "encoder.output at (0, 3)"
    assert found.number == pytest.approx(float(model.trace("The cat sat.")["encoder.output"].value[0, 0, 3]), abs=1e-5)
    assert found.error is not None
    assert found.error <= 0.01
    for target in (None, "cat"):
        with pytest.raises(InputError, match=r"ask about a number of a step with target=Number\(step, place\)"):
            attribute(model, "The cat sat.", target=target)


FILMS = (
    "One long string of clichés.",
    "The jabs it employs are short, carefully placed and dead center.",
    "A charming and often affecting journey.",
    "It is not a bad film, but nobody will remember it.",
    "You could not smell this turkey rotting from miles away.",
    "The piece plays as well as it does thanks in large measure to its cast.",
)


def test_the_shipped_sentiment_model_s_shares_add_up() -> None:
    model = gf.load("sentiment")
    for text in FILMS:
        exact = direct(model, text)
        assert abs(exact.total - exact.number) <= 1e-5
        for baseline in ("[MASK]", "zero"):
            error = attribute(model, text, baseline=baseline).error
            assert error is not None
            assert error < 0.01, (text, baseline)
