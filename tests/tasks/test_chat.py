"""model.chat and `glassformer generate --chat`: what transformers writes after the same conversation."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from click.testing import CliRunner

import glassformer as gf
from glassformer.cli.main import glassformer as command
from glassformer.tasks.chat import LENGTH, Chat

from .published import save, tokenizer_in

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}{{ mood }}"
)
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "The cat sat?"},
    {"role": "assistant", "content": "on the mat"},
    {"role": "user", "content": "ok"},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A small Llama of theirs whose tokenizer frames every text, and its folder."""
    folder = tmp_path_factory.mktemp("talker")
    tokenizer = tokenizer_in(folder, "byte-bpe", "roberta")
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=600,
        bos_token_id=tokenizer.bos_id, eos_token_id=tokenizer.eos_id, pad_token_id=tokenizer.pad_id,
    )  # fmt: skip
    model = save(folder, config, "LlamaForCausalLM")
    place = folder / "tokenizer_config.json"
    place.write_text(json.dumps({**json.loads(place.read_text("utf-8")), "chat_template": TEMPLATE}), "utf-8")
    return folder, model


def wanted(
    folder: Path, model: Any, talk: list[dict[str, str]], new: int, **variables: str
) -> tuple[str, list[int]]:
    """Their answer, greedily."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.apply_chat_template(
        talk, add_generation_prompt=True, return_tensors="pt", return_dict=False, **variables
    )
    row = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new)[0]
    written = row[ids.shape[1] :].tolist()
    return tokenizer.decode(written, skip_special_tokens=True), written


def test_a_conversation_is_answered_as_theirs(made: tuple[Path, Any]) -> None:
    folder, theirs = made
    model = gf.load(folder)
    for talk, variables in ((TALK, {}), (TALK[:2], {"mood": " So:"})):
        text, ids = wanted(folder, theirs, talk, 9, **variables)
        answer = model.chat(talk, max_new_tokens=9, variables=variables)
        assert list(answer.ids) == ids
        assert (answer.text, answer.new, str(answer)) == (text, text, text)
    assert model.chat("ok", max_new_tokens=9) == model.chat(
        [{"role": "user", "content": "ok"}], max_new_tokens=9
    )


def test_what_is_saved_talks_on(made: tuple[Path, Any], tmp_path: Path) -> None:
    folder, theirs = made
    gf.load(folder).save_pretrained(tmp_path)
    assert gf.load(tmp_path).chat(TALK, max_new_tokens=9).text == wanted(tmp_path, theirs, TALK, 9)[0]


def test_an_answer_may_be_long_unless_the_model_says_otherwise(made: tuple[Path, Any]) -> None:
    model = gf.load(made[0])
    assert Chat.published(model.task, {}).decoding.max_new_tokens == LENGTH
    said = {"max_new_tokens": 7}
    assert (
        Chat.published(type(model.task).published(model.tokenizer, said, {}), said).decoding.max_new_tokens
        == 7
    )
    assert model.task.framed  # texts are gone on with as before


def test_several_answers_are_the_models_words_alone(made: tuple[Path, Any]) -> None:
    model = gf.load(made[0])
    answer = model.chat(TALK, max_new_tokens=5, num_beams=3, num_return_sequences=2)
    assert len(answer.others) == 1
    assert all(one.text == one.new for one in (answer, *answer.others))


def test_the_run_behind_an_answer_reads_the_conversation(made: tuple[Path, Any]) -> None:
    model = gf.load(made[0])
    chat = Chat.published(model.task, {})
    run = chat.run(model.transformer, TALK, max_new_tokens=4)
    prompt = chat.prompt(TALK)
    answer = chat.answer(model.transformer, [TALK], max_new_tokens=4)[0]
    assert run.answer == prompt + answer.text
    read = list(model.tokenizer.encode(prompt, special=False).ids) + list(answer.ids[:-1])
    assert run.batch.target is not None
    assert run.batch.target[0].tolist() == read


@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_the_command_answers_messages(stream: str, made: tuple[Path, Any]) -> None:
    folder, theirs = made
    given = [
        "generate",
        "--model",
        str(folder),
        "--chat",
        "--max-new-tokens",
        "9",
        "--num-beams",
        "1",
        "--no-do-sample",
    ]
    result = CliRunner().invoke(command, [*given, stream, "ok", "The dog?", "--system", "Be brief."])
    assert result.exit_code == 0, result.output
    answers = [
        wanted(folder, theirs, [TALK[0], {"role": "user", "content": text}], 9)[0]
        for text in ("ok", "The dog?")
    ]
    assert result.stdout == f"{answers[0]}\n\n{answers[1]}\n"


def test_the_command_answers_a_file(made: tuple[Path, Any], tmp_path: Path) -> None:
    folder, theirs = made
    (tmp_path / "asked.jsonl").write_text('{"text": "ok"}\n{"text": "The dog?"}\n')
    given = ["generate", "--model", str(folder), "--chat", "--max-new-tokens", "9", "--json"]
    result = CliRunner().invoke(command, [*given, "--input", str(tmp_path / "asked.jsonl")])
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["prompt"] for one in found] == ["ok", "The dog?"]
    assert [one["text"] for one in found] == [
        wanted(folder, theirs, [{"role": "user", "content": text}], 9)[0] for text in ("ok", "The dog?")
    ]


def test_what_cannot_chat_says_so(made: tuple[Path, Any], tmp_path: Path) -> None:
    model = gf.load(made[0])
    del model.tokenizer.settings["chat_template"]
    with pytest.raises(gf.InputError, match="this model has no chat template"):
        model.chat(TALK)
    with pytest.raises(gf.InputError, match="this model does not go on with texts"):
        gf.load("worked-example").chat(TALK)
    result = CliRunner().invoke(command, ["generate", "--model", str(made[0]), "--system", "x", "ok"])
    assert result.exit_code != 0
    with pytest.raises(gf.InputError, match="a pair of texts was given; what is answered is one text"):
        gf.load(made[0]).chat(("a", "b"))  # type: ignore[arg-type]
