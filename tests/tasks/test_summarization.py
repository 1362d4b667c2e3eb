"""Summaries, and which pairs of stacks are made to write them, against `transformers`."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import glassformer as gf
from glassformer.errors import InputError
from glassformer.tasks.model import tasks_for
from glassformer.tasks.summarization import Summarization, Summary
from glassformer.tasks.translation import Translation, TranslationAnswer

from .published import TEXTS, bart, save, tokenizer_in

SEARCH = {"num_beams": 3, "max_length": 12, "min_length": 4, "no_repeat_ngram_size": 2, "length_penalty": 2.0}
CLASS = "BartForConditionalGeneration"


def t5(folder: Path, **said: Any) -> tuple[Any, Any]:
    """A small T5, which knows several tasks by what is put before a text."""
    tokenizer = tokenizer_in(folder, "unigram", "translation", 300)
    config = transformers.T5Config(
        vocab_size=tokenizer.vocab_size, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2,
        pad_token_id=tokenizer.pad_id, eos_token_id=tokenizer.eos_id, decoder_start_token_id=tokenizer.pad_id,
    )  # fmt: skip
    model = save(folder, config, "T5ForConditionalGeneration")
    change(folder, **said)
    return model, tokenizer


def change(folder: Path, **said: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **said}), "utf-8")


def theirs(model: Any, tokenizer: Any, text: str, **search: Any) -> list[int]:
    with torch.no_grad():
        written: list[int] = model.generate(torch.tensor([tokenizer.encode(text).ids]), **search)[0].tolist()
    return written[1:]


def test_t5_is_told_its_task_by_a_prefix(tmp_path: Path) -> None:
    specific = {
        "summarization": {**SEARCH, "early_stopping": True, "prefix": "summarize: "},
        "translation_en_to_de": {"num_beams": 2, "prefix": "translate English to German: "},
        "translation_en_to_fr": {"num_beams": 2, "prefix": "translate English to French: "},
    }
    model, tokenizer = t5(tmp_path, task_specific_params=specific)
    ours = gf.load(tmp_path, task="summarization")
    answers = ours(list(TEXTS))
    for text, answer in zip(TEXTS, answers, strict=True):
        assert isinstance(answer, Summary)
        expected = theirs(model, tokenizer, f"summarize: {text}", **SEARCH, early_stopping=True)
        assert list(answer.ids) == expected[: len(answer.ids)]
        assert 3 <= len(answer.ids) <= 11
    trace = ours.trace(TEXTS[0])
    assert trace.answer == answers[0].text
    assert trace["encoder.ids"].value[0].tolist() == tokenizer.encode(f"summarize: {TEXTS[0]}").ids
    translator = gf.load(tmp_path)
    assert isinstance(translator.task, Translation)
    assert translator.task.prefix == ""  # of several languages none is meant
    assert isinstance(translator(TEXTS[3]), TranslationAnswer)
    with pytest.raises(InputError, match="translation or summarization, and tagging was asked for"):
        gf.load(tmp_path, task="tagging")


@pytest.mark.parametrize("place", ["config.json", "generation_config.json"])
def test_bart_made_to_summarize_searches_as_it_says(place: str, tmp_path: Path) -> None:
    model, tokenizer = bart(tmp_path, CLASS)
    if place == "config.json":
        change(tmp_path, task_specific_params={"summarization": SEARCH})
    else:
        change(tmp_path, task="summarization")
        path = tmp_path / place
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **SEARCH}), "utf-8")
    ours = gf.load(tmp_path)
    assert isinstance(ours.task, Summarization)
    for text in TEXTS[:3]:
        expected = theirs(model, tokenizer, text, **SEARCH)
        answer = ours(text)
        assert list(answer.ids) == expected[: len(answer.ids)]


def test_what_a_pair_is_made_for(tmp_path: Path) -> None:
    bart(tmp_path, CLASS)
    checkpoint = gf.load(tmp_path).checkpoint
    said = [
        ({}, "bart", ("translation", "summarization")),
        ({"task": "summarization"}, "bart", ("summarization",)),
        ({"task": "translation"}, "pegasus", ("translation",)),
        ({}, "pegasus", ("summarization",)),
        ({}, "marian", ("translation",)),
        ({"task_specific_params": {"summarization_xsum": {}}}, "bart", ("summarization",)),
        ({"task_specific_params": {"translation_en_to_de": {}}}, "bart", ("translation",)),
        ({"task": "denoising"}, "bart", ("translation", "summarization")),
    ]
    for raw, family, expected in said:
        changed = type(checkpoint)(transformer=checkpoint.transformer, family=family, raw=raw)
        assert tasks_for(changed) == expected


def test_options_of_the_search_by_name(tmp_path: Path) -> None:
    model, tokenizer = bart(tmp_path, CLASS)
    change(tmp_path, task="summarization")
    ours = gf.load(tmp_path)
    answer = ours(TEXTS[0], num_beams=2, max_new_tokens=5)
    expected = theirs(model, tokenizer, TEXTS[0], num_beams=2, max_new_tokens=5)
    assert list(answer.ids) == expected[: len(answer.ids)]
    with pytest.raises(InputError, match="num_beems.*num_beams"):
        ours(TEXTS[0], num_beems=2)


def test_a_long_text_is_refused_unless_its_end_may_be_left_out(tmp_path: Path) -> None:
    model, tokenizer = bart(tmp_path, CLASS, max_position_embeddings=20)
    change(tmp_path, task="summarization")
    ours = gf.load(tmp_path)
    long = TEXTS[-1] * 2
    with pytest.raises(InputError, match=r"20 positions; .*truncate=True.*--truncate"):
        ours(long)
    ids = tokenizer.encode(long).ids
    cut = ours.task.sources([long, "ok"], ours.config, truncate=True)
    assert cut == [[*ids[:19], ids[-1]], tokenizer.encode("ok").ids]
    with torch.no_grad():
        expected = model.generate(torch.tensor([cut[0]]), num_beams=2, max_new_tokens=6)[0].tolist()[1:]
    answer = ours(long, truncate=True, num_beams=2, max_new_tokens=6)
    assert list(answer.ids) == expected[: len(answer.ids)]


def test_a_summary_is_made_of_one_text(tmp_path: Path) -> None:
    bart(tmp_path, CLASS)
    with pytest.raises(InputError, match="pair of texts"):
        gf.load(tmp_path, task="summarization")("a", "b")
