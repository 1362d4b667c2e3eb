"""Every task learns from a handful of examples, is saved, opened, asked, and goes on after a kill to the same bits."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import glassformer as gf
from glassformer import adapters
from glassformer.data.batch import IGNORE
from glassformer.data.examples import LabelledText, Pair
from glassformer.data.readers import read_examples
from glassformer.errors import InputError
from glassformer.evaluation import answering, summarization
from glassformer.evaluation.score import perplexity
from glassformer.nn.heads import guess_of
from glassformer.pretrained import load_transformer
from glassformer.training.checkpoint import read_tensors
from glassformer.training.lessons.classification import ClassificationLesson
from glassformer.training.lessons.generation import GenerationLesson
from glassformer.training.lessons.translation import TranslationLesson
from glassformer.training.recipe import Recipe
from glassformer.training.record import Record
from glassformer.training.run import prepare, run_recipe

SIZES = {"d_model": 16, "heads": 2, "d_ff": 32, "dropout": 0.1, "max_positions": 64}
ENCODER = {"family": "bert", **SIZES, "encoder_layers": 2}
PAIR = {**SIZES, "encoder_layers": 1, "decoder_layers": 1, "positions": "sinusoidal"}
TRAINING = {
    "max_tokens": 256, "max_examples": 8, "max_steps": 30, "learning_rate": 0.01, "warmup_steps": 4,
    "schedule": "linear", "log_every": 5, "evaluate_every": 15, "checkpoint_every": 10,
}  # fmt: skip
GOOD, BAD = ("good", "fine", "lovely", "great"), ("bad", "poor", "dull", "awful")
STORY = "The cat sat down. The dog ran away. A bird sang well. The cat ran home. The dog sat still. "


def labelled(*, several: bool = False, seconds: bool = False) -> str:
    rows = []
    for number in range(32):
        word, label = ((GOOD, "yes"), (BAD, "no"))[number % 2]
        cells = [f"a {word[number % 4]} film {number % 5}"]
        cells += ["and more"] if seconds else []
        rows.append("\t".join([*cells, f"{label},film" if several else label]))
    head = "\t".join(["text", *(["pair"] if seconds else []), "label"])
    return "\n".join([head, *rows]) + "\n"


def tagged() -> str:
    names = ("Anna", "Paul", "Eva", "Otto")
    return "\n".join(
        f"today\tO\n{name}\tB-PER\nSmith\tI-PER\nwent\tO\nto\tO\nRome\tB-LOC\n" for name in names * 8
    )


def asked(*, unanswered: bool = False) -> str:
    rows = []
    for number, place in enumerate(("Rome", "Paris", "Oslo", "Bonn") * 8):
        context = f"Anna lives in {place} and works there."
        answers = [{"text": place, "answer_start": context.index(place)}]
        if unanswered and number % 4 == 0:
            answers = []
        row = {"id": str(number), "question": "where does Anna live", "context": context, "answers": answers}
        rows.append(json.dumps(row))
    return "\n".join(rows) + "\n"


def pairs() -> str:
    words = {"one": "un", "two": "deux", "three": "trois", "four": "quatre"}
    return "".join(f"{a} {b}\t{words[a]} {words[b]}\n" for a in words for b in words) * 2


def texts() -> str:
    return "".join(f"{STORY * 2}Number {number} ends here.\n" for number in range(12))


TASKS: dict[str, tuple[str, str, dict[str, Mapping[str, object]]]] = {
    "classification": ("train.tsv", labelled(), {
        "model": ENCODER, "tokenizer": {"kind": "wordpiece", "vocab_size": 90},
    }),
    "several labels": ("train.tsv", labelled(several=True), {
        "data": {"multiple": True}, "model": ENCODER, "tokenizer": {"kind": "wordpiece", "vocab_size": 90},
        "training": {"metric": "micro_f1"},
    }),
    "pairs of texts": ("train.tsv", labelled(seconds=True), {
        "data": {"pair": "pair"}, "model": ENCODER, "tokenizer": {"kind": "wordpiece", "vocab_size": 90},
        "training": {"class_weights": "balanced", "metric": "accuracy"},
    }),
    "tagging": ("train.conll", tagged(), {
        "model": ENCODER, "tokenizer": {"kind": "wordpiece", "vocab_size": 90}, "training": {"metric": "f1"},
    }),
    "answering": ("train.jsonl", asked(), {
        "model": ENCODER, "tokenizer": {"kind": "wordpiece", "vocab_size": 120}, "training": {"metric": "f1"},
    }),
    "no answer": ("train.jsonl", asked(unanswered=True), {
        "model": ENCODER, "tokenizer": {"kind": "wordpiece", "vocab_size": 120}, "training": {"metric": "f1"},
    }),
    "translation": ("train.tsv", pairs(), {
        "model": PAIR, "tokenizer": {"vocab_size": 60}, "decoding": {"num_beams": 2, "beyond_source": 3},
        "training": {"metric": "bleu"},
    }),
    "varied cuts": ("train.tsv", pairs(), {
        "model": PAIR, "tokenizer": {"vocab_size": 60}, "decoding": {"beyond_source": 3},
        "training": {"metric": "bleu", "bpe_dropout_source": 0.2, "bpe_dropout_target": 0.1},
    }),
    "summarization": ("train.tsv", pairs(), {
        "model": PAIR, "tokenizer": {"vocab_size": 60}, "decoding": {"num_beams": 2, "beyond_source": 3},
        "training": {"metric": "rougeL"},
    }),
    "generation": ("train.txt", texts(), {
        "model": {"family": "gpt2", **SIZES, "decoder_layers": 2}, "tokenizer": {"kind": "byte-bpe", "vocab_size": 300},
        "pretraining": {"context": 16},
    }),
    "masking": ("train.txt", texts(), {
        "model": {**ENCODER, "family": "roberta"},
        "tokenizer": {"kind": "byte-bpe", "vocab_size": 320, "special": "roberta"}, "pretraining": {"context": 24},
    }),
    "neighbours": ("train.txt", texts(), {
        "model": ENCODER, "tokenizer": {"kind": "wordpiece", "vocab_size": 90},
        "pretraining": {"context": 32, "next_sentence": True, "whole_words": True},
    }),
    "denoising": ("train.txt", texts(), {
        "model": PAIR, "tokenizer": {"vocab_size": 80}, "pretraining": {"context": 32},
    }),
    "infilling": ("train.txt", texts(), {
        "model": PAIR, "tokenizer": {"vocab_size": 80}, "pretraining": {"context": 32, "corruption": "infilling"},
    }),
}  # fmt: skip
NAMED = {
    "several labels": "classification", "pairs of texts": "classification", "no answer": "answering",
    "neighbours": "masking", "infilling": "denoising", "varied cuts": "translation",
}  # fmt: skip


def recipe_of(name: str, **training: object) -> Recipe:
    file, _, tables = TASKS[name]
    values: dict[str, object] = {"task": NAMED.get(name, name), "seed": 3}
    values |= {key: dict(table) for key, table in tables.items() if key not in ("data", "training")}
    values["data"] = {"train": file, "dev": file, "max_length": 48, **tables.get("data", {})}
    values["training"] = {**TRAINING, **tables.get("training", {}), **training}
    return Recipe.from_dict(values)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def write(data: Path, name: str) -> None:
    file, text, _ = TASKS[name]
    (data / file).write_text(text, "utf-8")


def evaluations(records: list[Record]) -> list[Mapping[str, float]]:
    return [each.metrics for each in records if each.kind == "evaluation" and each.metrics is not None]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_learnt_from_nothing(name: str, data: Path, tmp_path: Path) -> None:
    write(data, name)
    recipe = recipe_of(name)
    prepared = prepare(recipe, [str(data)], tmp_path / "run")
    records = list(prepared.records())
    _, last = evaluations(records)
    losses = [each.loss for each in records if each.kind == "train" and each.loss is not None]
    assert losses[-1] < losses[0]
    assert set(last) <= {*prepared.lesson.figures, "best_threshold"}
    assert recipe.training.metric.lower() in {figure.lower() for figure in last}
    assert type(gf.load(tmp_path / "run" / "best").task).__name__ in ANSWERS
    for each, parameter in gf.load(tmp_path / "run" / "last").transformer.named_parameters():
        assert torch.equal(parameter, prepared.model.get_parameter(each)), each


ANSWERS = {"Classification", "Tagging", "Answering", "Translation", "Summarization", "Generation", "Filling"}


@pytest.mark.parametrize("name", TASKS)
def test_a_killed_run_ends_with_the_same_bits(name: str, data: Path, tmp_path: Path) -> None:
    write(data, name)
    recipe = recipe_of(name, max_steps=12, checkpoint_every=4, evaluate_every=5)
    list(run_recipe(recipe, [str(data)], tmp_path / "whole"))
    for record in run_recipe(recipe, [str(data)], tmp_path / "killed"):
        if record.kind == "checkpoint":
            break
    list(run_recipe(recipe, [str(data)], tmp_path / "killed", resume=True))
    whole, killed = (
        read_tensors(tmp_path / run / "checkpoints" / "step-12" / "model.safetensors")
        for run in ("whole", "killed")
    )
    assert all(torch.equal(whole[each], killed[each]) for each in whole)


@pytest.fixture
def trained(data: Path, tmp_path: Path) -> Path:
    write(data, "neighbours")
    list(run_recipe(recipe_of("neighbours", max_steps=2), [str(data)], tmp_path / "pretrained"))
    return tmp_path / "pretrained" / "best"


def tuned(name: str, start: Path, tuning: dict[str, object], **training: object) -> Recipe:
    values = recipe_of(name, **training).to_dict()
    return Recipe.from_dict({**values, "model": {"start": str(start)}, "tuning": tuning, "tokenizer": {}})


@pytest.mark.parametrize("name", ["classification", "several labels", "tagging", "no answer", "neighbours"])
def test_a_trained_model_is_fine_tuned(name: str, trained: Path, data: Path, tmp_path: Path) -> None:
    write(data, name)
    prepared = prepare(tuned(name, trained, {}), [str(data)], tmp_path / "run")
    before = load_transformer(trained).transformer
    for each, parameter in prepared.model.named_parameters():
        if not each.startswith("head."):
            assert torch.equal(parameter, before.get_parameter(each)), each
    assert all(each.startswith("head.") for each in prepared.drawn)
    first, last = evaluations(list(prepared.records()))
    assert last["loss"] < first["loss"]
    assert gf.load(tmp_path / "run" / "best").checkpoint.family == "bert"


def test_capitals_are_told_where_the_vocabulary_has_none(data: Path, tmp_path: Path) -> None:
    """The same words are a name with a capital and none without: nothing but capitals tells them apart."""
    words = ("rose", "mark", "grace", "bill")
    lines = [f"we\tO\nsaw\tO\n{word.title()}\tB-PER\n\nwe\tO\nsaw\tO\n{word}\tO\n\n" for word in words * 4]
    (data / "train.conll").write_text("".join(lines), "utf-8")
    vocabulary = {"kind": "wordpiece", "vocab_size": 90, "lowercase": True}
    reached, places = {}, {}
    for capitals in (False, True):
        values = recipe_of("tagging", max_steps=60, evaluate_every=60).to_dict()
        table = {**values["data"], "capitals": capitals}
        recipe = Recipe.from_dict({**values, "data": table, "tokenizer": vocabulary})
        records = list(run_recipe(recipe, [str(data)], tmp_path / str(capitals)))
        reached[capitals] = evaluations(records)[-1]["f1"]
        places[capitals] = tmp_path / str(capitals) / "best"
    assert reached[True] == 100 > reached[False]

    model = gf.load(places[True])
    assert [one.text for one in model("we saw Rose").entities] == ["Rose"]
    assert not model("we saw rose").entities
    model.save_pretrained(tmp_path / "again")
    assert gf.load(tmp_path / "again")("we saw Rose") == model("we saw Rose")
    assert gf.load(places[False])("we saw Rose").tags == gf.load(places[False])("we saw rose").tags


def test_an_adapter_keeps_that_capitals_are_told(trained: Path, data: Path, tmp_path: Path) -> None:
    write(data, "tagging")
    tuning = {"method": "lora", "rank": 2, "targets": ["*attention.*"]}
    values = tuned("tagging", trained, tuning, max_steps=2).to_dict()
    for capitals in (False, True):
        recipe = Recipe.from_dict({**values, "data": {**values["data"], "capitals": capitals}})
        list(run_recipe(recipe, [str(data)], tmp_path / str(capitals)))
        assert gf.load(tmp_path / str(capitals) / "best").task.capitals == capitals


def test_capitals_need_two_segments_and_words(data: Path, tmp_path: Path) -> None:
    write(data, "tagging")
    values = recipe_of("tagging").to_dict()
    model = {**values["model"], "family": "distilbert"}
    list(run_recipe(Recipe.from_dict({**values, "model": model}), [str(data)], tmp_path / "one"))
    start = {"model": {"start": str(tmp_path / "one" / "best")}, "tokenizer": {}}
    told = {**values["data"], "capitals": True}
    with pytest.raises(InputError, match="knows 0 segments; start from one with two"):
        prepare(Recipe.from_dict({**values, **start, "data": told}), [str(data)], tmp_path / "two")
    values = recipe_of("classification").to_dict()
    recipe = Recipe.from_dict({**values, "data": {**values["data"], "capitals": True}})
    with pytest.raises(InputError, match=r"\[data\] capitals is True and asks for a label for each word"):
        prepare(recipe, [str(data)], tmp_path / "three")


def test_a_trained_translator_learns_on(data: Path, tmp_path: Path) -> None:
    write(data, "translation")
    list(run_recipe(recipe_of("translation"), [str(data)], tmp_path / "first"))
    start = tmp_path / "first" / "last"
    prepared = prepare(tuned("translation", start, {}, learning_rate=0.003), [str(data)], tmp_path / "second")
    before = load_transformer(start).transformer
    assert not prepared.drawn
    for each, parameter in prepared.model.named_parameters():
        assert torch.equal(parameter, before.get_parameter(each)), each
    values = tuned("translation", start, {}).to_dict()
    searched = Recipe.from_dict({**values, "decoding": {"num_beams": 3, "length_penalty": 0.8}})
    own = prepare(searched, [str(data)], tmp_path / "third").checkpoint.generation
    assert (own["num_beams"], own["length_penalty"]) == (3, 0.8)
    losses = [each.loss for each in prepared.records() if each.kind == "train" and each.loss is not None]
    assert losses[-1] < losses[0]
    assert str(gf.load(tmp_path / "second" / "last")("one two"))


def test_lora_learns_beside_what_stays(trained: Path, data: Path, tmp_path: Path) -> None:
    write(data, "classification")
    recipe = tuned("classification", trained, {"method": "lora", "rank": 2, "targets": ["*attention.*"]})
    prepared = prepare(recipe, [str(data)], tmp_path / "run")
    list(prepared.records())
    before = load_transformer(trained).transformer
    for each, parameter in prepared.model.named_parameters():
        if ".lora_" not in each and not each.startswith("head."):
            assert torch.equal(parameter, before.get_parameter(each)), each
    folder = tmp_path / "run" / "last"
    assert (folder / "adapter_config.json").is_file()
    assert not (folder / "model.safetensors").exists()
    model = gf.load(folder)
    batch = next(prepared.batches.epoch(0))
    with torch.no_grad():
        expected = prepared.model.eval()(**batch.inputs())
        torch.testing.assert_close(model.transformer(**batch.inputs()), expected, rtol=0, atol=1e-5)
    assert model("a lovely film").label in ("yes", "no")
    assert model.trace("a lovely film").verify().max_relative_error < 1e-4


def test_an_adapter_that_starts_from_an_adapter_stands_beside_the_same_model(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    write(data, "classification")
    tuning = {"method": "lora", "rank": 2, "targets": ["*attention.*"]}
    list(run_recipe(tuned("classification", trained, tuning), [str(data)], tmp_path / "first"))
    first = tmp_path / "first" / "last"
    prepared = prepare(tuned("classification", first, tuning), [str(data)], tmp_path / "second")
    list(prepared.records())
    second = tmp_path / "second" / "last"
    assert adapters.base_of(second) == adapters.base_of(first)
    batch = next(prepared.batches.epoch(0))
    with torch.no_grad():
        expected = prepared.model.eval()(**batch.inputs())
        found = gf.load(second).transformer(**batch.inputs())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("tuning", "stays"),
    [
        ({"method": "head"}, lambda name: not name.startswith("head.")),
        ({"frozen_layers": 1}, lambda name: name.startswith(("tokens", "encoder.embedding", "encoder.layers.0"))),
        ({"freeze": ["*.bias"]}, lambda name: name.endswith(".bias")),
    ],
    ids=["head", "layers", "patterns"],
)  # fmt: skip
def test_what_is_frozen_stays(tuning: dict, stays, trained: Path, data: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def,type-arg]
    write(data, "tagging")
    prepared = prepare(tuned("tagging", trained, tuning, max_steps=3), [str(data)], tmp_path / "run")
    before = {name: parameter.clone() for name, parameter in prepared.model.named_parameters()}
    list(prepared.records())
    for name, parameter in prepared.model.named_parameters():
        assert torch.equal(parameter, before[name]) == stays(name), name


def test_lower_layers_learn_more_slowly(trained: Path, data: Path, tmp_path: Path) -> None:
    """Adam's first step moves a weight by its rate, whatever its gradient: the steps stand in the rates' ratio."""
    write(data, "tagging")
    tuning = {"layer_decay": 0.5, "head_learning_rate": 0.04}
    recipe = tuned("tagging", trained, tuning, max_steps=1, schedule="constant", warmup_steps=0, eps=1e-12)
    prepared = prepare(recipe, [str(data)], tmp_path / "run")
    before = {name: parameter.clone() for name, parameter in prepared.model.named_parameters()}
    list(prepared.records())
    steps = {
        name: (parameter - before[name]).abs().max().item()
        for name, parameter in prepared.model.named_parameters()
    }
    assert steps["head.output.weight"] == pytest.approx(0.04, rel=1e-3)
    assert steps["encoder.layers.1.feed_forward.up.weight"] == pytest.approx(0.005, rel=1e-3)
    assert steps["encoder.layers.0.feed_forward.up.weight"] == pytest.approx(0.0025, rel=1e-3)
    assert steps["tokens.weight"] == pytest.approx(0.00125, rel=1e-3)


def test_the_test_files_are_scored_with_the_best_weights(data: Path, tmp_path: Path) -> None:
    write(data, "classification")
    values = recipe_of("classification").to_dict()
    recipe = Recipe.from_dict({**values, "data": {**values["data"], "test": "train.tsv"}})
    records = list(run_recipe(recipe, [str(data)], tmp_path / "run"))
    best = min(evaluations(records), key=lambda metrics: metrics["loss"])
    assert records[-1].kind == "test"
    assert records[-1].metrics == pytest.approx(best, rel=1e-5)


def test_a_finished_run_that_is_resumed_scores_its_test_files_again(data: Path, tmp_path: Path) -> None:
    """A kill between the last checkpoint and the score leaves nothing to learn and a score to make."""
    write(data, "classification")
    values = recipe_of("classification", max_steps=10).to_dict()
    recipe = Recipe.from_dict({**values, "data": {**values["data"], "test": "train.tsv"}})
    first = list(run_recipe(recipe, [str(data)], tmp_path / "run"))
    again = list(run_recipe(recipe, [str(data)], tmp_path / "run", resume=True))
    assert [each.kind for each in again] == ["test"]
    assert (again[0].step, again[0].metrics) == (10, first[-1].metrics)


def test_no_folder_stays_behind_where_nothing_can_be_learnt(data: Path, tmp_path: Path) -> None:
    (data / "train.txt").write_text("A cat sat.\n", "utf-8")
    recipe = recipe_of("masking")
    with pytest.raises(InputError, match="shorten the context"):
        prepare(recipe, [str(data)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("classification", "text\tlabel\n" + "a film\tgood\n" * 4, "every text to learn from has the label 'good'"),
        ("tagging", "a\tO\nfilm\tO\n\n" * 4, "every word to learn from has the tag O"),
    ],
)
def test_where_there_is_nothing_to_choose_nothing_is_learnt(
    name: str, text: str, said: str, data: Path, tmp_path: Path
) -> None:
    (data / TASKS[name][0]).write_text(text, "utf-8")
    with pytest.raises(InputError, match=said):
        prepare(recipe_of(name), [str(data)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


REFUSED = {
    "a label that training lacks": ("dev.tsv", "text\tlabel\na film\tmaybe\n", "label 'maybe'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_examples_that_do_not_fit_are_refused(name: str, data: Path, tmp_path: Path) -> None:
    write(data, "classification")
    file, text, said = REFUSED[name]
    (data / file).write_text(text, "utf-8")
    values = recipe_of("classification").to_dict()
    recipe = Recipe.from_dict({**values, "data": {**values["data"], "dev": file}})
    with pytest.raises(InputError, match=said):
        prepare(recipe, [str(data)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "table", "values"),
    [
        ("classification", "data", {"multiple": True}),
        ("masking", "pretraining", {"next_sentence": True}),
    ],
)
def test_two_passes_are_refused_where_the_loss_is_no_single_choice(
    task: str, table: str, values: dict[str, bool]
) -> None:
    recipe = recipe_of(task).to_dict()
    recipe[table] = {**recipe[table], **values}
    recipe["training"] = {**recipe["training"], "r_drop": 1.0}
    with pytest.raises(InputError, match="r_drop is 1.0 and asks for a loss of one choice"):
        prepare(Recipe.from_dict(recipe), ["data"], "run")


def test_cuts_are_varied_only_where_texts_are_read_anew() -> None:
    with pytest.raises(InputError, match="bpe_dropout_source is 0.1 and asks for texts that are cut anew"):
        prepare(recipe_of("classification", bpe_dropout_source=0.1), ["data"], "run")


def test_lora_needs_something_to_stand_beside() -> None:
    values = recipe_of("classification").to_dict()
    recipe = Recipe.from_dict({**values, "tuning": {"method": "lora"}})
    with pytest.raises(InputError, match="names no trained model to start from"):
        prepare(recipe, ["data"], "run")


def test_what_dev_and_test_hold_is_left_out_if_it_should_be(data: Path, tmp_path: Path) -> None:
    write(data, "classification")
    head, *lines = (data / "train.tsv").read_text().splitlines(keepends=True)
    (data / "dev.tsv").write_text("".join([head, *lines[:3]]))
    values = recipe_of("classification").to_dict()
    both = {**values["data"], "dev": "dev.tsv"}
    sizes = {}
    for unseen in (False, True):
        recipe = Recipe.from_dict({**values, "data": {**both, "unseen": unseen}})
        sizes[unseen] = prepare(recipe, [str(data)], tmp_path / str(unseen)).sizes()
    held = set(lines[:3])
    left_out = sum(line in held for line in lines)
    assert left_out >= 3
    assert "seen in dev or test" not in sizes[False]
    assert sizes[True]["seen in dev or test"] == left_out
    assert sizes[True]["train examples"] == sizes[False]["train examples"] - left_out

    (data / "dev.tsv").write_text("".join([head, *lines]))
    with pytest.raises(InputError, match="hold every training text"):
        prepare(Recipe.from_dict({**values, "data": {**both, "unseen": True}}), [str(data)], tmp_path / "none")


def test_a_model_with_two_vocabularies_keeps_both(data: Path, tmp_path: Path) -> None:
    """The worked example reads English words and writes French ones."""
    (data / "train.tsv").write_text("I love data science\tj' aime la science\nI love science\tj' aime la science\n")
    values = recipe_of("translation", max_steps=2, evaluate_every=2).to_dict()
    recipe = Recipe.from_dict({**values, "model": {"start": "worked-example"}, "decoding": {}, "tokenizer": {}})
    list(run_recipe(recipe, [str(data)], tmp_path / "run"))
    made = gf.load(tmp_path / "run" / "best")
    assert made.source_tokenizer is not None
    assert made.source_tokenizer.id("science") != made.tokenizer.id("science")
    assert str(made("I love science"))


@pytest.mark.parametrize(
    ("name", "table", "values", "said"),
    [
        ("several labels", "training", {"metric": "accuracy"}, "measured by one of loss, .*micro_f1"),
        ("masking", "training", {"metric": "next_sentence_accuracy"}, "one of loss, .*perplexity, accuracy$"),
        ("answering", "training", {"label_smoothing": 0.1}, "asks for a loss of one choice at a time"),
        ("generation", "training", {"class_weights": "balanced"}, "asks for one label for a text or a word"),
        ("classification", "data", {"target_language": "fr"}, "asks for a text that is written from another"),
        ("masking", "pretraining", {"context": 2}, "context is 2, which the tokens around a text fill; expected 3"),
        ("translation", "data", {"target_language": "fr"}, "this model has one pair of languages only"),
        ("masking", "pretraining", {"context": 65}, "context is 65, but the model has 64 positions; lower it, or"),
        ("generation", "pretraining", {"context": 65}, "context is 65, but the model has 64 positions"),
        ("denoising", "pretraining", {"context": 65}, "context is 65, but the model has 64 positions"),
        ("answering", "training", {"metric": "best_f1"}, "such dev examples are measured by one of loss, nll, exact_"),
        ("no answer", "training", {"metric": "best_threshold"}, "this answering is measured by one of loss"),
        ("classification", "pretraining", {"next_sentence": True}, "next_sentence is True, which says nothing to clas"),
        ("generation", "pretraining", {"mask_share": 0.3}, "mask_share is 0.3, which says nothing to generation"),
        ("tagging", "decoding", {"num_beams": 9}, "num_beams is 9, but tagging writes no text; leave it out"),
        ("translation", "tokenizer", {"use": "worked-example"}, "vocab_size is 60, but worked-example brings a tok"),
    ],
)
def test_what_cannot_be_is_told_before_the_first_step(
    name: str, table: str, values: dict[str, object], said: str, data: Path, tmp_path: Path
) -> None:
    write(data, name)
    whole = recipe_of(name).to_dict()
    recipe = Recipe.from_dict({**whole, table: {**whole[table], **values}})
    with pytest.raises(InputError, match=said):
        prepare(recipe, [str(data)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_dev_text_shorter_than_a_block_is_told_before_the_first_step(data: Path, tmp_path: Path) -> None:
    write(data, "generation")
    (data / "dev.txt").write_text("Too short.\n")
    whole = recipe_of("generation").to_dict()
    recipe = Recipe.from_dict({**whole, "data": {**whole["data"], "dev": "dev.txt"}})
    with pytest.raises(InputError, match="fewer than one block of 17"):
        prepare(recipe, [str(data)], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_knows_when_there_was_no_answer(data: Path, tmp_path: Path) -> None:
    write(data, "no answer")
    recipe = recipe_of("no answer")
    list(run_recipe(recipe, [str(data)], tmp_path / "run"))
    file = tmp_path / "run" / "last" / "config.json"
    first = json.loads(file.read_text())
    assert isinstance(first["no_answer_threshold"], float)
    list(run_recipe(recipe, [str(data)], tmp_path / "run", resume=True))
    assert json.loads(file.read_text()) == first


def test_what_is_tested_is_what_is_published(data: Path, tmp_path: Path) -> None:
    write(data, "no answer")
    whole = recipe_of("no answer").to_dict()
    recipe = Recipe.from_dict({**whole, "data": {**whole["data"], "test": "train.jsonl"}})
    *_, tested = run_recipe(recipe, [str(data)], tmp_path / "run")
    model = gf.load(tmp_path / "run" / "best")
    assert model.task.search.threshold != 0.0
    assert model.task.no_answer
    questions = read_examples("questions", str(data / "train.jsonl"), recipe.data).examples
    found = answering.evaluate(model.task, model.transformer, questions)
    assert tested.kind == "test"
    assert {name: tested.metrics[name] for name in found} == pytest.approx(found)


def test_whether_there_may_be_no_answer_is_said_by_what_is_learnt(data: Path, tmp_path: Path) -> None:
    write(data, "answering")
    (data / "dev.jsonl").write_text(asked(unanswered=True))
    whole = recipe_of("answering").to_dict()
    recipe = Recipe.from_dict({**whole, "data": {**whole["data"], "dev": "dev.jsonl"}})
    (metrics, *_) = evaluations(list(run_recipe(recipe, [str(data)], tmp_path / "run")))
    assert metrics["unanswerable_accuracy"] == 0.0, "it has never learnt to say so"
    assert not gf.load(tmp_path / "run" / "best").task.no_answer


@pytest.mark.parametrize("change", ["labels", "texts", "more"])
def test_a_run_goes_on_with_its_own_data_only(change: str, data: Path, tmp_path: Path) -> None:
    write(data, "classification")
    recipe = recipe_of("classification")
    records = run_recipe(recipe, [str(data)], tmp_path / "run")
    for record in records:
        if record.kind == "checkpoint":
            break
    records.close()
    text = labelled()
    other = {
        "labels": text.replace("\tyes", "\tup"),
        "texts": text.replace("good", "fair"),
        "more": text + "a fine film\tyes\n",
    }
    (data / "train.tsv").write_text(other[change], "utf-8")
    said = {"labels": "labels", "texts": r"\[sha256\] dev", "more": r"\[examples\] dev = 32"}[change]
    with pytest.raises(InputError, match=f"ran with {said}.*, the given data says .*; resume with the run's own data"):
        prepare(recipe, [str(data)], tmp_path / "run", resume=True)
    (data / "train.tsv").write_text(text, "utf-8")
    *_, last = run_recipe(recipe, [str(data)], tmp_path / "run", resume=True)
    assert last.step == 30


def test_gaps_need_marks_in_the_vocabulary(data: Path, tmp_path: Path) -> None:
    write(data, "infilling")
    list(run_recipe(recipe_of("infilling"), [str(data)], tmp_path / "first"))
    values = recipe_of("denoising").to_dict()
    start = {"start": str(tmp_path / "first" / "best")}
    recipe = Recipe.from_dict({**values, "model": start, "tokenizer": {}})
    with pytest.raises(InputError, match="has no <extra_id_0> token; give another model .*corruption = 'infilling'"):
        prepare(recipe, [str(data)], tmp_path / "second")


def test_varied_cuts_stay_within_the_model(data: Path, tmp_path: Path) -> None:
    write(data, "varied cuts")
    whole = recipe_of("varied cuts", bpe_dropout_source=0.9, bpe_dropout_target=0.9).to_dict()
    model = {**whole["model"], "positions": "learned", "max_positions": 8}
    *_, last = run_recipe(Recipe.from_dict({**whole, "model": model}), [str(data)], tmp_path / "run")
    assert last.step == 30


def test_found_tokens_are_told_in_percent(data: Path, tmp_path: Path) -> None:
    write(data, "neighbours")
    prepared = prepare(recipe_of("neighbours"), [str(data)], tmp_path / "run")
    prepared.model.eval()
    found = hidden = guessed = pairs = 0
    for batch in prepared.lesson.batches(prepared.model, prepared.examples["dev"], seed=None).epoch(0):
        rows = prepared.model.body(**batch.inputs())
        asked_for = batch.labels != IGNORE
        found += int((prepared.model.head(rows).argmax(-1) == batch.labels)[asked_for].sum())
        hidden += int(asked_for.sum())
        guess = guess_of(prepared.model.head)(rows, batch.source_mask).argmax(-1)
        guessed, pairs = guessed + int((guess == batch.follows).sum()), pairs + len(guess)
    measured = prepared.lesson.measure(prepared.model, prepared.examples["dev"])
    assert measured == pytest.approx({
        "accuracy": 100 * found / hidden, "next_sentence_accuracy": 100 * guessed / pairs,
    })  # fmt: skip


@pytest.mark.parametrize("name", ["generation", "masking", "denoising"])
def test_a_model_that_is_far_off_has_a_perplexity_too(name: str, data: Path, tmp_path: Path) -> None:
    write(data, name)
    prepared = prepare(recipe_of(name), [str(data)], tmp_path / "run")
    with torch.no_grad():
        for parameter in prepared.model.parameters():
            parameter *= 1e4
    metrics = prepared.lesson.evaluate(prepared.model.eval(), prepared.examples["dev"])
    assert metrics["nll"] > 1000
    assert metrics["perplexity"] == perplexity(metrics["nll"]) == math.exp(700)


def test_a_fine_tuned_writer_is_measured_in_its_own_case(data: Path, tmp_path: Path) -> None:
    (data / "train.tsv").write_text(pairs().upper(), "utf-8")
    whole = recipe_of("translation").to_dict()
    scores = []
    for name, tokenizer in (("small", {**whole["tokenizer"], "lowercase": True}), ("large", whole["tokenizer"])):
        first = Recipe.from_dict({**whole, "tokenizer": tokenizer})
        list(run_recipe(first, [str(data)], tmp_path / name))
        going = Recipe.from_dict({**whole, "tokenizer": {}, "model": {"start": str(tmp_path / name / "last")}})
        scores.append(evaluations(list(run_recipe(going, [str(data)], tmp_path / f"{name}-on")))[-1]["chrf"])
    assert min(scores) > 10


def test_characters_that_are_held_out_are_known(data: Path, tmp_path: Path) -> None:
    (data / "train.txt").write_text(texts() + "It cost 9 € in all.\n", "utf-8")
    whole = recipe_of("generation").to_dict()
    table = {**without_dev(whole["data"]), "held_out": 0.1, "documents": "files"}
    recipe = Recipe.from_dict({**whole, "data": table, "tokenizer": {"kind": "characters", "vocab_size": 300}})
    prepared = prepare(recipe, [str(data)], tmp_path / "run")
    assert not any("€" in text for text in prepared.examples["train"])
    assert prepared.tokenizer.id("€") is not None


def test_threads_are_the_recipe_s_in_python_too(data: Path, tmp_path: Path) -> None:
    write(data, "classification")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        prepare(recipe_of("classification", threads=2), [str(data)], tmp_path / "run")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def without_dev(table: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in table.items() if name != "dev"}


@pytest.mark.parametrize("place", range(0, 32, 5))
def test_no_label_is_held_out_whole(place: int, data: Path, tmp_path: Path) -> None:
    rows = labelled().splitlines()
    (data / "train.tsv").write_text("\n".join([*rows[: place + 1], "so so\tmeh", *rows[place + 1 :]]) + "\n", "utf-8")
    whole = recipe_of("classification").to_dict()
    recipe = Recipe.from_dict({**whole, "data": {**without_dev(whole["data"]), "held_out": 0.5}})
    prepared = prepare(recipe, [str(data)], tmp_path / "run")
    assert any(each.labels == ("meh",) for each in prepared.examples["train"])
    assert len(prepared.examples["dev"]) > 10


def test_where_each_label_is_given_once_none_can_be_held_out(data: Path, tmp_path: Path) -> None:
    (data / "train.tsv").write_text("text\tlabel\nso\ta\nand so\tb\non\tc\n")
    whole = recipe_of("classification").to_dict()
    recipe = Recipe.from_dict({**whole, "data": {**without_dev(whole["data"]), "held_out": 0.5}})
    with pytest.raises(InputError, match="of 3 examples none can be held out"):
        prepare(recipe, [str(data)], tmp_path / "run")


def test_a_writer_is_measured_by_its_own_search(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(data, "summarization")
    list(run_recipe(recipe_of("summarization"), [str(data)], tmp_path / "first"))
    values = recipe_of("summarization").to_dict()
    start = {"start": str(tmp_path / "first" / "best")}
    going = Recipe.from_dict({**values, "model": start, "decoding": {}, "tokenizer": {}})
    made = prepare(going, [str(data)], tmp_path / "second")
    beams = []

    def evaluated(task: Any, model: Any, examples: Any, decoding: Any = None) -> dict[str, float]:
        beams.append((decoding or task.decoding).num_beams)
        return {}

    monkeypatch.setattr(summarization, "evaluate", evaluated)
    made.lesson.measure(made.model, made.examples["dev"])
    assert beams == [2]


def test_what_is_held_out_is_of_every_label_and_of_texts_that_are_not_learnt() -> None:
    examples = [LabelledText(text=f"text {number // 2}", labels=("abc"[number // 40],)) for number in range(120)]
    kept, held = ClassificationLesson.divided(examples, 0.1)
    assert (len(kept), len(held)) == (108, 12)
    assert {each.labels for each in held} == {("a",), ("b",), ("c",)}
    assert not {each.text for each in kept} & {each.text for each in held}
    assert (kept, held) == ClassificationLesson.divided(examples, 0.1)


def test_groups_larger_than_the_share_are_held_out_only_where_there_are_no_others() -> None:
    pairs = [Pair("often", str(number)) for number in range(50)] + [Pair(str(number), "once") for number in range(8)]
    kept, held = TranslationLesson.divided(pairs, 0.05)
    assert len(held) == 3
    assert {each.target for each in held} == {"once"}
    assert [len(part) for part in TranslationLesson.divided(pairs[:50], 0.1)] == [45, 5]  # all about the same
    halves = TranslationLesson.divided([*pairs[:3], *(Pair("other", str(number)) for number in range(3))], 0.2)
    assert [len(part) for part in halves] == [5, 1]
    with pytest.raises(InputError, match="of 1 examples none is left"):
        TranslationLesson.divided(pairs[:1], 0.1)


def test_of_texts_the_last_are_held_out() -> None:
    assert GenerationLesson.divided([str(number) for number in range(20)], 0.1)[1] == ["18", "19"]
    with pytest.raises(InputError, match="of 2 texts none is left"):
        GenerationLesson.divided(["a", "b"], 0.9)
