"""Conversations as the one text that a model was taught them in: the Jinja templates of published folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from glassformer.errors import InputError

Message = Mapping[
    str, Any
]  # a role ("system", "user", "assistant"), a content, and what else a template knows
THOUGHT = ("reasoning_content", "thinking", "reasoning")  # one thing, under the names that templates give it
USUAL = "default"


class Marked(Extension):
    """Templates may mark what the model itself said, for training; here it is text like all else."""

    tags = {"generation"}  # noqa: RUF012 (as the library has it)

    def parse(self, parser: Parser) -> nodes.Node:
        """What stands between the marks; what is set there is not known outside."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("said"), [], [], body).set_lineno(line)

    def said(self, caller: Callable[[], str]) -> str:
        """The same text."""
        return caller()


def rendered(
    template: str,
    messages: Sequence[Message],
    special: Mapping[str, str],
    *,
    prompt: bool = True,
    **variables: Any,
) -> str:
    """A conversation as text, with the beginning of the model's answer where `prompt` asks for it.

    `special` are the tokens that the template may name (`bos_token`), `variables` whatever else it understands. The
    text is that of `apply_chat_template` in transformers.
    """
    given = {"tools": None, "documents": None, **special, **variables}
    try:
        return str(
            compiled(template).render(
                messages=checked(messages), add_generation_prompt=prompt, **plain(given, "a variable")
            )
        )
    except TemplateError as error:
        raise InputError(
            f"the model's chat template does not take this conversation ({error}); change its messages"
        ) from error
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"the model's chat template fails on this conversation ({error}); change its messages or variables"
        ) from error


@lru_cache
def compiled(template: str) -> Template:
    """A template within walls: it sees plain values only, and changes nothing."""
    walls = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Marked, loopcontrols]
    )
    walls.filters["tojson"] = as_json
    walls.globals |= {"raise_exception": refuse, "strftime_now": now}
    try:
        return walls.from_string(template)
    except TemplateError as error:
        raise InputError(
            f"the model's chat template is not one ({error}); fetch the tokenizer's files again"
        ) from error


def as_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own would write for a page."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def refuse(message: object) -> None:
    """What a template calls on messages that it does not take."""
    raise TemplateError(str(message))


def now(form: str) -> str:
    """The time, as some templates tell it to the model."""
    return datetime.now().strftime(form)


def checked(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages, each with a role; what is None is left out, as is usual where tools are called."""
    if isinstance(messages, str | Mapping) or not messages:
        raise InputError(
            f"a conversation is {messages!r}; expected a list of messages such as "
            '{"role": "user", "content": "Hello."}'
        )
    return [one(number, message) for number, message in enumerate(messages, start=1)]


def one(number: int, message: object) -> dict[str, Any]:
    """A message as templates expect it."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise InputError(
            f"message {number} is {message!r}; expected an object with a role and a content, such as "
            '{"role": "user", "content": "Hello."}'
        )
    said = {key: plain(value, f"message {number}") for key, value in message.items() if value is not None}
    thought = next((said[name] for name in THOUGHT if name in said), None)
    return said if thought is None else {"thinking": thought, **said, "reasoning_content": thought}


def plain(value: Any, where: str) -> Any:
    """Only what JSON knows gets within the walls."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, where) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, where) for item in value]
    raise InputError(
        f"{where} holds a {type(value).__name__}; expected texts, numbers, lists and objects, as in JSON"
    )


def chosen(templates: Mapping[str, str], name: str | None = None) -> str:
    """The template with this name; the usual one where none is named."""
    if not templates:
        raise InputError(
            "this model has no chat template: it was not taught conversations; give it the text to go on with, or use "
            "a model that was"
        )
    if (name or USUAL) in templates:
        return templates[name or USUAL]
    if name is None and len(templates) == 1:
        return next(iter(templates.values()))
    raise InputError(
        f"this model has no chat template {name or USUAL!r}; it has {', '.join(sorted(templates))}: name one of these"
    )
