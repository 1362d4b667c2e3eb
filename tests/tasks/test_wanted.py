"""The loss of an example as steps: torch's own loss, training's own loss, every head, every step verified."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import glassformer as gf
from glassformer.data.batch import IGNORE
from glassformer.data.examples import AnswerSpan
from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.tasks.model import Model
from glassformer.tasks.wanted import wanted_of
from glassformer.training.loss import (
    LabelLoss,
    LabelsLoss,
    Loss,
    Objective,
    PretrainingLoss,
    SpanLoss,
    TokenLoss,
)

from .published import BART, TEXTS, bart, bert, labels, save, tokenizer_in
from .test_model import small

CAT = "the cat sat on the mat"
LONG = " ".join(TEXTS)


def perturbed(model: Model) -> Model:
    """Every parameter moved: a norm at one and a bias at zero hide mistakes."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.transformer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def writer() -> Model:
    return perturbed(small("language-model", stack="decoder", norm_first=True, final_norm=True))


def reader(head: str, count: int = 0, **fields: Any) -> Model:
    return perturbed(small(head, count, **fields))


def kind(model: Model, kind: str) -> Model:
    model.task.kind = kind  # type: ignore[attr-defined]
    return model


MASKED: dict[str, Any] = {"output_transform": True, "output_bias": True}
CASES: dict[str, tuple[Any, Any, Any, Objective]] = {
    "generation": (writer, "the cat", " sat on the mat", TokenLoss()),
    "filling": (
        lambda: reader("masked-language-model", **MASKED),
        "the [MASK] sat on the [MASK]",
        ["cat", "mat"],
        TokenLoss(),
    ),
    "classification": (
        lambda: reader("sequence-label", 3, pooler=True), CAT, "label-2", LabelLoss(),
    ),
    "pair": (lambda: reader("sequence-label", 3, pooler=True), (CAT, "the dog"), "label-0", LabelLoss()),
    "any": (
        lambda: kind(reader("sequence-label", 3, label_choice="any"), "any"),
        CAT,
        ["label-0", "label-2"],
        LabelsLoss(),
    ),
    "tagging": (
        lambda: reader("token-label", 3),
        "the  cat, sat",
        ["label-1", "label-0", "label-2"],
        TokenLoss(),
    ),
    "answering": (lambda: reader("answer-span"), ("the dog", CAT), "sat on", SpanLoss()),
    "no answer": (lambda: reader("answer-span"), ("the dog", CAT), "", SpanLoss()),
    "worked example": (
        lambda: gf.load("worked-example"), "I love data", "j' aime les données", TokenLoss(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_loss_is_training_s_own(name: str) -> None:
    make, text, target, objective = CASES[name]
    model = make()
    trace = model.trace(text, target=target)
    batch = wanted_of(model.task, model.transformer, text, target).run.batch
    with torch.no_grad():
        loss = objective(model.transformer, batch)
    assert float(trace["loss.mean"].value) == pytest.approx(float(loss.total) / loss.count, abs=1e-12)
    assert float(trace["loss.total"].value) == pytest.approx(float(loss.total), abs=1e-12)
    assert trace["loss.mean"].constants["count"] == loss.count
    verified = trace.verify()
    assert verified.max_error <= 1e-10
    assert not verified.unchecked
    assert {"loss.labels", "loss.each"} <= set(verified.given) | {check.name for check in verified.checks}
    known = set(trace.parameters)
    for step in trace.values():
        assert set(step.inputs) <= known
        known.add(step.name)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
@pytest.mark.parametrize("name", ["generation", "classification", "tagging", "worked example"])
def test_smoothed_and_ignored_labels_are_torch_s(name: str, smoothing: float) -> None:
    make, text, target, _ = CASES[name]
    trace = make().trace(text, target=target, label_smoothing=smoothing)
    logits, wanted = trace["head.logits"].value, trace["loss.labels"].value
    expected = functional.cross_entropy(
        logits.flatten(0, -2), wanted.flatten(), ignore_index=IGNORE, label_smoothing=smoothing
    )
    assert float(trace["loss.mean"].value) == pytest.approx(float(expected), abs=1e-12)
    assert trace.verify().max_error <= 1e-10
    assert (trace["loss.each"].value[wanted == IGNORE] == 0).all()


WEIGHTS = (0.5, 2.0, 1.25)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", ["classification", "tagging"])
def test_weights_of_labels_are_training_s_own(name: str, smoothing: float) -> None:
    make, text, target, _ = CASES[name]
    model, objective = make(), LabelLoss if name == "classification" else TokenLoss
    by_name = {"label-0": 0.5, "label-1": 2.0, "label-2": 1.25}
    trace = model.trace(text, target=target, label_smoothing=smoothing, class_weights=by_name)
    batch = wanted_of(model.task, model.transformer, text, target).run.batch
    with torch.no_grad():
        loss = objective(smoothing, torch.tensor(WEIGHTS, dtype=torch.float64))(model.transformer, batch)
    assert float(trace["loss.mean"].value) == pytest.approx(float(loss.total) / loss.count, abs=1e-12)
    assert trace.verify().max_error <= 1e-10
    assert trace["loss.weights"].value.tolist() == list(WEIGHTS)
    step = model.trace_training_step(text, target=target, label_smoothing=smoothing, class_weights=WEIGHTS)
    learns_as(model, step, lambda: objective(smoothing, torch.tensor(WEIGHTS))(model.transformer, batch))


@pytest.mark.parametrize("follows", [True, False])
def test_hidden_words_and_neighbours_are_training_s_own(follows: bool) -> None:
    model = reader("masked-language-model", next_sentence=True, **MASKED)
    text, target = ("the [MASK] sat", "on the [MASK]"), ["cat", "mat"]
    trace = model.trace(*text, target=target, follows=follows)
    batch = wanted_of(model.task, model.transformer, text, target).run.batch
    batch = replace(batch, follows=torch.tensor([int(not follows)]))
    with torch.no_grad():
        loss = PretrainingLoss()(model.transformer, batch)
    assert float(trace["loss.mean"].value) == pytest.approx(float(loss.total) / loss.count, abs=1e-12)
    assert float(trace["loss.hidden_words.mean"].value) == pytest.approx(float(loss.nll) / loss.count, abs=1e-12)
    assert trace.verify().max_error <= 1e-10
    step = model.trace_training_step(*text, target=target, follows=follows)
    learns_as(model, step, lambda: PretrainingLoss()(model.transformer, batch))
    assert "gradient.head.next_sentence.output.weight" in step
    alone = model.trace_training_step(*text, target=target)
    assert "gradient.head.next_sentence.output.weight" not in alone


def learns_as(model: Model, step: Trace, objective: Callable[[], Loss]) -> None:
    """The gradients of a traced step are those of training's own loss, and of their rules."""
    loss = objective()
    (loss.total / loss.count).backward()
    for name, parameter in model.transformer.named_parameters():
        if parameter.grad is not None:
            assert float((step[f"gradient.{name}"].value - parameter.grad).abs().max()) <= 1e-12, name
    verified = step.verify()
    assert verified.max_error <= 1e-12
    assert not verified.unchecked


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("classification", {"class_weights": (1.0, 2.0)}, "number of 0 or more for label-0, label-1, label-2"),
        ("classification", {"class_weights": {"label-7": 2.0}}, "no label 'label-7'"),
        ("any", {"class_weights": WEIGHTS}, "one choice among labels"),
        ("answering", {"class_weights": WEIGHTS}, "no option 'class_weights'; leave it out"),
        ("tagging", {"class_weight": WEIGHTS}, "no option 'class_weight'; there are class_weights"),
        ("classification", {"r_drop": 1.0}, "R-Drop compares two passes"),
        ("filling", {"follows": True}, "does not guess whether a text follows another"),
    ],
)
def test_options_that_are_no_part_of_a_loss_are_refused(name: str, options: dict[str, Any], said: str) -> None:
    make, text, target, _ = CASES[name]
    with pytest.raises(InputError, match=said):
        make().trace_training_step(text, target=target, **options)


def test_neighbours_are_two_texts_without_smoothing() -> None:
    model = reader("masked-language-model", next_sentence=True, **MASKED)
    with pytest.raises(InputError, match="said of two texts, and one was given"):
        model.trace("the [MASK] sat", target="cat", follows=True)
    with pytest.raises(InputError, match="without smoothing"):
        model.trace("the [MASK] sat", CAT, target="cat", follows=True, label_smoothing=0.1)


def test_numbers_are_squared(tmp_path: Path) -> None:
    theirs, tokenizer = bert(
        tmp_path, "BertForSequenceClassification", num_labels=2, problem_type="regression", **labels("a", "b")
    )
    model = gf.load(tmp_path)
    for target in ([1.5, -2.0], {"b": -2.0, "a": 1.5}):
        trace = model.trace(TEXTS[0], target=target)
        ids = torch.tensor([tokenizer.encode(TEXTS[0]).ids])
        with torch.no_grad():
            expected = theirs(ids, labels=torch.tensor([[1.5, -2.0]], dtype=torch.float64)).loss
        assert float(trace["loss.mean"].value) == pytest.approx(float(expected), abs=1e-10)
        assert trace.verify().max_error <= 1e-10


@pytest.mark.parametrize("family", ["bert", "bart"])
def test_spans_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    make = {"bert": bert, "bart": bart}[family]
    theirs, _ = make(tmp_path, f"{family.title()}ForQuestionAnswering", max_position_embeddings=300)
    model, context = gf.load(tmp_path), LONG
    trace = model.trace("who?", context, target=AnswerSpan(text="May 2019", start=context.index("May 2019")))
    ids = trace["encoder.ids"].value
    (start, end), segments = trace["loss.labels"].value[0], torch.zeros_like(ids)
    given = {"input_ids": ids}
    if family == "bert":
        given["token_type_ids"] = trace["encoder.segment_ids"].value if "encoder.segment_ids" in trace else segments
    with torch.no_grad():
        expected = theirs(**given, start_positions=start[None], end_positions=end[None]).loss
    assert float(trace["loss.mean"].value) == pytest.approx(float(expected), abs=1e-10)
    assert trace.verify().max_error <= 1e-10
    assert trace.wanted == "May 2019"


def test_pairs_are_as_the_task_makes_them(tmp_path: Path) -> None:
    import transformers

    tokenizer = tokenizer_in(tmp_path, "byte-bpe", "roberta")
    config = transformers.BartConfig(
        vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.pad_id, eos_token_id=tokenizer.eos_id,
        bos_token_id=tokenizer.bos_id, decoder_start_token_id=tokenizer.eos_id, forced_eos_token_id=None, **BART,
    )  # fmt: skip
    theirs = save(tmp_path, config, "BartForConditionalGeneration")
    model = gf.load(tmp_path, task="summarization")
    trace = model.trace(TEXTS[0], target="the café")
    written = model.tokenizer.ids(["the café"], special=False)[0]
    labels = torch.tensor([[*written, model.tokenizer.eos_id]])
    assert torch.equal(labels, trace["loss.labels"].value)
    source = torch.tensor(model.tokenizer.ids([TEXTS[0]]))
    target = torch.tensor([[config.decoder_start_token_id, *written]])
    with torch.no_grad():
        expected = theirs(source, decoder_input_ids=target, labels=labels).loss
    assert float(trace["loss.mean"].value) == pytest.approx(float(expected), abs=1e-10)
    assert (trace.wanted, trace.answer) == ("the café", "")


def test_a_half_precision_loss_is_computed_in_float32() -> None:
    model = writer()
    model.transformer.bfloat16()
    trace = model.trace("the cat", target=" sat", keep="loss.*")
    assert trace["loss.log_probabilities"].value.dtype == torch.float32
    assert list(trace) == [f"loss.{name}" for name in ("labels", "log_probabilities", "each", "total", "mean")]


def test_the_loss_has_a_gradient() -> None:
    """What is traced here is what is differentiated elsewhere."""
    model = writer()
    wanted = wanted_of(model.task, model.transformer, "the cat", " sat")
    model.loss(wanted).backward()
    assert all(parameter.grad is not None for parameter in model.transformer.parameters())


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("generation", "", "target is ''.*right answer"),
        ("generation", " sat on the mat" * 40, "40 positions"),
        ("classification", "good", "no label 'good'; this model's are label-0, label-1, label-2"),
        ("any", ["label-9"], "no label 'label-9'"),
        ("tagging", ["label-0"], "1 labels were given for 3 words"),
        ("tagging", ["label-0", "x", "label-0"], "no label 'x'"),
        ("answering", "a dog", "'a dog' does not stand in the context"),
        ("answering", AnswerSpan(text="sat", start=3), "does not stand in the context"),
        ("filling", ["cat"], "1 words were given for 2 hidden ones"),
        ("filling", ["cat", "catamaran"], "'catamaran' is no single token"),
        ("worked example", "j' aime les cats", "not in the vocabulary"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(name: str, target: Any, said: str) -> None:
    make, text, _, _ = CASES[name]
    with pytest.raises(InputError, match=said):
        make().trace(text, target=target)


def test_what_has_no_loss_or_no_smoothing_says_so() -> None:
    with pytest.raises(InputError, match="no task and so no loss"):
        reader("hidden").trace(CAT, target="label")
    with pytest.raises(InputError, match="leave label_smoothing out"):
        reader("answer-span").trace(("the dog", CAT), target="sat", label_smoothing=0.1)
    with pytest.raises(InputError, match="label_smoothing is 1.0"):
        writer().trace("the cat", target=" sat", label_smoothing=1.0)


def test_a_word_without_tokens_has_no_label() -> None:
    model = reader("token-label", 3)
    run = wanted_of(model.task, model.transformer, "the \u200b cat", ["label-1", "label-0", "label-2"]).run
    assert run.batch.labels is not None
    assert run.batch.labels[0].tolist() == [IGNORE, 1, 2, IGNORE]
