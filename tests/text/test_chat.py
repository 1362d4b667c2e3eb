"""Conversations written as `apply_chat_template` of transformers writes them, and their templates read and kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from glassformer.errors import InputError
from glassformer.text.chat import chosen, rendered
from glassformer.text.tokenizer import Tokenizer

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
    "+ '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {  # in the manner of what is published
    "chatml": CHATML,
    "with a usual system message": (
        "{%- if messages[0]['role'] != 'system' %}\n    {{- '<|system|>\\nBe kind.' + eos_token }}\n{%- endif %}\n"
        "{% for message in messages %}\n{{ '<|' + message['role'] + '|>\n' + message['content'] | trim + eos_token }}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
    ),
    "instructions": (
        "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}"
        "{% if message.role == 'system' %}{% set ns.system = '<<SYS>>\n' ~ message.content ~ '\n<</SYS>>\n\n' %}"
        "{% continue %}"
        "{% endif %}{% if (message['role'] == 'user') %}{{ '[INST] ' ~ (ns.system if loop.index0 < 2 else '') ~ "
        "message.content.strip() ~ ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' "
        "~ message.content.strip() ~ ' ' ~ eos_token }}"
        "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}"
        "{% endfor %}"
    ),
    "thoughts and tools": (
        "{%- macro thought(m) %}{% if m.reasoning_content is defined and enable_thinking is not false %}"
        "<think>{{ m.reasoning_content }}</think>{% endif %}{% endmacro %}"
        "{%- if tools %}{{ tools | tojson(indent=1) }}{% endif %}{{ [1, {'é': '<b>'}] | tojson }}"
        "{%- for m in messages if m.content is defined %}{{ m.role }}: {{ thought(m) }}"
        "{% generation %}{% set inner = m.content %}{{ inner | upper }}{% endgeneration %}{{ inner }}|{% endfor %}"
        "{{ unk_token }}{{ never_said }}{{ date or '' }}"
    ),
    "the day": "{{ strftime_now('%Y') }} {% for m in messages %}{{ m['content'][0]['text'] }}{% endfor %}",
}
TALKS: dict[str, list[dict[str, Any]]] = {
    "one": [{"role": "user", "content": " What is  a cat?\n"}],
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <b> & é!"}],
    "several": [
        {"role": "user", "content": "Hi", "name": None},
        {"role": "assistant", "content": " Hello. ", "thinking": "a greeting"},
        {"role": "user", "content": "日本語?"},
    ],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "Look."}]}],
}
CASES = [
    (template, talk)
    for template in TEMPLATES
    for talk in TALKS
    if (template == "the day") == (talk == "parts")
]
TEXTS = [
    "the cat sat on the mat and the dog sat on the cat",
    "user assistant system what is a cat? Hello. Be brief.",
] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that frames every text, with <|im_start|> among its special tokens."""
    path = tmp_path_factory.mktemp("talker")
    tokenizer = Tokenizer.train("byte-bpe", TEXTS, vocab_size=320, special="roberta")
    tokenizer.backend.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.save(path)
    return path


def with_template(folder: Path, into: Path, template: Any) -> Path:
    """The same tokenizer with a template in its settings."""
    for path in folder.iterdir():
        (into / path.name).write_bytes(path.read_bytes())
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (into / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}), "utf-8")
    return into


@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize(("template", "talk"), CASES)
def test_a_conversation_is_written_as_theirs(
    template: str, talk: str, prompt: bool, folder: Path, tmp_path: Path
) -> None:
    into = with_template(folder, tmp_path, TEMPLATES[template])
    ours, theirs = Tokenizer.load(into), AutoTokenizer.from_pretrained(into)
    given = {
        "enable_thinking": talk == "one",
        "date": "today",
        "tools": [{"name": "search", "é": [1.5, None]}],
    }
    wanted = theirs.apply_chat_template(TALKS[talk], tokenize=False, add_generation_prompt=prompt, **given)
    found = rendered(chosen(ours.chat_templates), TALKS[talk], ours.named, prompt=prompt, **given)
    assert found == wanted
    assert len(found) > 3
    ids = theirs.apply_chat_template(TALKS[talk], add_generation_prompt=prompt, return_dict=False, **given)
    assert list(ours.encode(found, special=False).ids) == ids


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("in_files", [False, True])
def test_templates_are_read_and_kept(several: bool, in_files: bool, folder: Path, tmp_path: Path) -> None:
    templates = {"default": CHATML, "rag": "R{{ messages[0].content }}"} if several else CHATML
    theirs = PreTrainedTokenizerFast.from_pretrained(folder)
    theirs.chat_template = templates
    theirs.save_pretrained(tmp_path / "theirs", save_jinja_files=in_files)
    assert (tmp_path / "theirs" / "chat_template.jinja").exists() == in_files
    ours = Tokenizer.load(tmp_path / "theirs")
    assert ours.chat_templates == (templates if several else {"default": CHATML})
    ours.save(tmp_path / "theirs")  # in its own place too
    for place in ("ours", "theirs"):
        ours.save(tmp_path / place)
        assert Tokenizer.load(tmp_path / place).chat_templates == ours.chat_templates
        again = AutoTokenizer.from_pretrained(tmp_path / place)
        assert again.chat_template == templates


def test_what_stood_there_before_does_not_speak(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "additional_chat_templates").mkdir()
    for name in ("chat_template.jinja", "additional_chat_templates/rag.jinja"):
        (tmp_path / name).write_text("old")
    Tokenizer.load(folder).save(tmp_path)
    assert Tokenizer.load(tmp_path).chat_templates == {}
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template is None


def test_a_template_is_chosen_by_its_name() -> None:
    two = {"default": "a", "rag": "b"}
    assert [chosen(two), chosen(two, "rag"), chosen({"only": "c"})] == ["a", "b", "c"]
    with pytest.raises(InputError, match="no chat template 'tool_use'; it has default, rag"):
        chosen(two, "tool_use")
    with pytest.raises(InputError, match="no chat template 'default'; it has rag, tool"):
        chosen({"rag": "b", "tool": "c"})
    with pytest.raises(InputError, match="has no chat template: it was not taught conversations"):
        chosen({})


USER = [{"role": "user", "content": "x"}]
REFUSED: list[tuple[str, Any, dict[str, Any], str]] = [
    (CHATML, "Hello", {}, "expected a list of messages"),
    (CHATML, [], {}, "expected a list of messages"),
    (CHATML, USER[0], {}, "expected a list of messages"),
    (CHATML, [*USER, "x"], {}, "message 2 is 'x'; expected an object with a role"),
    (CHATML, [{"content": "x"}], {}, "message 1 is .* expected an object with a role"),
    (CHATML, [{"role": "user", "content": {"x": object()}}], {}, "message 1 holds a object; expected texts"),
    (CHATML, USER, {"tools": [print]}, "a variable holds a builtin_function_or_method; expected texts"),
    (CHATML, [{"role": "user", "content": 3}], {}, r"fails on this conversation \(can only concatenate"),
    (
        "{{ raise_exception('Roles must alternate') }}",
        USER,
        {},
        r"take this conversation \(Roles must alternate\)",
    ),
    ("{{ ''.__class__.__mro__ }}", USER, {}, "does not take this conversation .*unsafe"),
    ("{{ messages.append(1) }}", USER, {}, "does not take this conversation .*unsafe"),
    ("{% for x in %}", USER, {}, "is not one .*fetch the tokenizer's files again"),
    ("{{ 1 // 0 }}", USER, {}, "fails on this conversation .*division"),
]


@pytest.mark.parametrize(("template", "messages", "given", "sentence"), REFUSED)
def test_what_cannot_be_written_is_said_in_a_sentence(
    template: str, messages: Any, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        rendered(template, messages, {}, **given)


def test_the_users_messages_are_left_as_they_are() -> None:
    talk = [{"role": "assistant", "content": "x", "thinking": "y"}]
    rendered("{% for m in messages %}{{ m.reasoning_content }}{% endfor %}", talk, {})
    assert talk == [{"role": "assistant", "content": "x", "thinking": "y"}]
