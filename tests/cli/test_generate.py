"""`glassformer generate`, and the options of writing that other verbs share with it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import glassformer
from glassformer import pretrained
from glassformer.cli.decoding import FOR_PROGRAMS, decoding_of
from glassformer.config import TransformerConfig
from glassformer.decoding.options import DEFAULTS, Decoding
from glassformer.model import Transformer
from glassformer.tasks.model import Model
from glassformer.text.tokenizer import Tokenizer

from .conftest import Call, assert_refused

TEXTS = ["the cat sat on the mat and the dog sat on the cat\n", "a naïve café: 日本語\n"] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model that goes on with texts, in a folder."""
    tokenizer = Tokenizer.train("byte-bpe", TEXTS, vocab_size=300, special="gpt")
    config = TransformerConfig(
        stack="decoder", vocab_size=tokenizer.vocab_size, d_model=16, heads=2, d_ff=32, decoder_layers=1,
        max_positions=64, dtype="float64",
    )  # fmt: skip
    torch.manual_seed(1)
    transformer = Transformer(config).eval()
    for parameter in transformer.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    checkpoint = pretrained.Checkpoint(
        transformer=transformer,
        family="transformer",
        raw={"model_type": "transformer"},
        generation={"max_new_tokens": 8, "do_sample": True, "temperature": 1.2, "top_k": 0},
    )
    path = tmp_path_factory.mktemp("writer")
    Model(checkpoint, tokenizer).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return glassformer.load(folder)


def objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_each_argument_is_gone_on_with(call: Call, folder: Path, model: Model) -> None:
    result = call("generate", "the cat", "a", "", "--model", str(folder), "--seed", "1")
    assert result.code == 0, result.err
    expected = [model(prompt, seed=1).text for prompt in ("the cat", "a", "")]
    assert result.out == "\n\n".join(expected) + "\n"
    assert result.err == ""


def test_json_is_an_object_a_line_in_order(call: Call, folder: Path, model: Model) -> None:
    words = ("--model", str(folder), "--json", "--seed", "2")
    result = call("generate", "the cat", " ", *words)
    assert objects(result.out) == [
        {"text": model(prompt, seed=2).text, "prompt": prompt} for prompt in ("the cat", " ")
    ]
    (found,) = objects(call("generate", "a", *words, "--tokens", "--num-return-sequences", "3").out)
    answer = model("a", seed=2, num_return_sequences=3)
    assert found["text"] == answer.text
    assert found["others"] == [other.text for other in answer.others]
    assert [each["token"] for each in found["tokens"]] == list(answer.tokens)
    assert [each["log_probability"] for each in found["tokens"]] == pytest.approx(answer.log_probabilities)
    assert (found["score"], found["complete"]) == (pytest.approx(answer.score), answer.complete)


@pytest.mark.parametrize("batch", ["1", "2", "64"])
def test_files_and_standard_input_keep_their_order(
    call: Call, folder: Path, model: Model, tmp_path: Path, batch: str
) -> None:
    prompts = ["the cat sat", "", "a", "the dog"]
    (tmp_path / "in.txt").write_text("\n".join(prompts) + "\n", "utf-8")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": p}) + "\n" for p in prompts), "utf-8")
    words = ("--model", str(folder), "--json", "--seed", "3", "--batch", batch)
    expected = [{"text": model(p, seed=3).text if p else "", "prompt": p} for p in prompts]
    for name in ("in.txt", "in.jsonl"):
        assert objects(call("generate", "--input", str(tmp_path / name), *words).out) == expected
    assert objects(call("generate", *words, stdin="\n".join(prompts)).out) == expected


def test_several_texts_stand_apart(call: Call, folder: Path, model: Model) -> None:
    words = ("--model", str(folder), "--seed", "4", "--num-return-sequences", "2")
    result = call("generate", "a", *words)
    answer = model("a", seed=4, num_return_sequences=2)
    assert result.out == f"{answer.text}\n\n{answer.others[0].text}\n"


def test_a_terminal_is_shown_the_text_while_it_is_written(
    call: Call, folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    stream = model.task.__class__.pieces

    def pieces(self: Any, transformer: Any, text: str, *args: Any) -> Any:
        asked.append(text)
        return stream(self, transformer, text, *args)

    monkeypatch.setattr(model.task.__class__, "pieces", pieces)
    words = ("generate", "the cat", "a", "--model", str(folder), "--seed", "5")
    plain = call(*words)
    assert asked == []
    shown = call(*words, "--stream")
    assert asked == ["the cat", "a"]
    assert shown.out == plain.out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for more, streamed in (
        (["--no-stream"], False),
        (["--json"], False),
        (["--num-beams", "2"], False),
        ([], True),
    ):
        asked.clear()
        assert call(*words, *more).code == 0
        assert bool(asked) == streamed


def test_every_option_of_writing_has_its_option(call: Call, folder: Path, model: Model) -> None:
    words = ("generate", "the", "--model", str(folder), "--json", "--no-do-sample", "--max-new-tokens", "16")
    for options, given in (
        (["--num-beams", "3", "--length-penalty", "0", "--early-stopping", "never"],
         {"num_beams": 3, "length_penalty": 0.0, "early_stopping": "never"}),
        (["--beams", "4", "--num-beam-groups", "2", "--diversity-penalty", "0.5"],
         {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}),
        (["--penalty-alpha", "0.6", "--top-k", "4"], {"penalty_alpha": 0.6, "top_k": 4}),
        (["--repetition-penalty", "1.5", "--no-repeat-ngram-size", "2", "--min-new-tokens", "3"],
         {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "min_new_tokens": 3}),
        (["--forced-prefix", " cat", "--bad-words", "a", "--bad-words", "sat"],
         {"forced_prefix": " cat", "bad_words": ["a", "sat"]}),
        (["--stop-strings", r"t\n", "--stop-strings", "o"], {"stop_strings": ["t\n", "o"]}),
    ):  # fmt: skip
        (found,) = objects(call(*words, *options).out)
        assert found["text"] == model("the", do_sample=False, max_new_tokens=16, **given).text
    drawn = ["--temperature", "2", "--top-p", "0.9", "--min-p", "0.01", "--typical-p", "0.9", "--seed", "7"]
    (found,) = objects(call("generate", "the", "--model", str(folder), "--json", *drawn).out)
    given = {"temperature": 2.0, "top_p": 0.9, "min_p": 0.01, "typical_p": 0.9, "seed": 7}
    assert found["text"] == model("the", **given).text


def test_an_assistant_changes_no_text_and_is_told_of(call: Call, folder: Path) -> None:
    words = ("generate", "the cat", "--model", str(folder), "--json", "--no-do-sample", "--max-new-tokens", "12")
    plain, helped, looked = (
        objects(call(*words, *more).out)[0]
        for more in ((), ("--assistant", str(folder)), ("--prompt-lookup-num-tokens", "3"))
    )
    assert plain["text"] == helped["text"] == looked["text"]
    assert "drafts" not in plain
    assert set(helped["drafts"]) == {"drafted", "accepted", "readings", "share"}
    assert helped["drafts"]["share"] == 100.0
    assert helped["drafts"]["readings"] < 12


def test_an_assistant_of_other_tokens_is_refused(call: Call, folder: Path) -> None:
    result = call("generate", "the", "--model", str(folder), "--assistant", "shakespeare")
    assert_refused(result, "the assistant cuts texts into other tokens")


@pytest.mark.parametrize("verb", ["generate", "translate", "summarize"])
def test_the_verbs_that_write_know_all_fields(call: Call, verb: str) -> None:
    shown = call(verb, "--help").out
    elsewhere = "beyond_source" if verb == "generate" else "num_assistant_tokens"  # no other verb names an assistant
    assert f"--{elsewhere.replace('_', '-')}" not in shown
    for name in set(DEFAULTS) - {*FOR_PROGRAMS, elsewhere}:
        assert f"--{name.replace('_', '-')}" in shown


def test_what_is_not_said_is_the_models_own() -> None:
    usual = Decoding(num_beams=5, stop_strings=("x",))
    silent = {name: () if isinstance(value, tuple) else None for name, value in DEFAULTS.items()}
    assert decoding_of(usual, silent) == usual
    assert decoding_of(usual, {**silent, "early_stopping": "true"}).early_stopping is True
    assert decoding_of(usual, {**silent, "early_stopping": "false"}).early_stopping is False


def test_translations_take_the_same_options(call: Call) -> None:
    words = ("translate", "I love data", "--model", "worked-example")
    drawn = call(*words, "--temperature", "1", "--seed", "1", "--num-return-sequences", "2", "--json")
    assert drawn.code == 0, drawn.err
    (found,) = objects(drawn.out)
    assert found["translation"] == "j' aime les données"
    assert len(found["others"]) == 1
    both = call(*words, "--num-beams", "3", "--num-return-sequences", "2").out.splitlines()
    assert both[0] == "j' aime les données"
    assert len(both) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--temperature", "0"], ["temperature is 0.0", "leave do_sample out"]),
        (["--temperature", "0.5", "--no-do-sample"], ["temperature is for drawing"]),
        (["--penalty-alpha", "0.6", "--top-k", "4"], ["contrastive search, which draws nothing"]),
        (["--num-beams", "2", "--num-beam-groups", "2", "--no-do-sample"], ["groups differ by the penalty"]),
        (["--num-beams", "0"], ["--num-beams"]),
        (["--early-stopping", "maybe"], ["--early-stopping"]),
        (["--stream", "--json"], ["--stream shows text in pieces"]),
        (["--stream", "--num-beams", "2"], ["2 beams agree only at the end"]),
        (["--stream", "--num-return-sequences", "2"], ["only one output can be watched"]),
        (["--input", "x.txt"], ["texts and --input were both given"]),
    ],
)
def test_bad_input_is_refused(call: Call, folder: Path, words: list[str], said: list[str]) -> None:
    assert_refused(call("generate", "a", "--model", str(folder), *words), *said)


def test_a_prompt_longer_than_the_model_is_refused_before_anything_is_written(
    call: Call, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("a\n" + "the cat " * 90 + "\n", "utf-8")
    result = call("generate", "--model", str(folder), "--input", str(tmp_path / "in.txt"))
    assert_refused(result, "64 positions", "leave its beginning out")


def test_models_of_other_tasks_are_refused(call: Call) -> None:
    assert_refused(call("generate", "a", "--model", "worked-example"), "translates", "glassformer translate")
