"""Options that say how text is written: one for each field of Decoding. What is not given is the model's own."""

from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any, get_args, get_type_hints

import click

from glassformer.cli.options import Decorator
from glassformer.decoding.options import COUNTS, Decoding

HINTS = get_type_hints(Decoding)
FOR_PROGRAMS = (  # numbers of tokens, which nobody knows by heart
    "bad_words_ids",
    "forced_prefix_ids",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
ALIASES = {"num_beams": ("--beams",)}
NOTES = {
    "stop_strings": r"may be given several times; \n is the end of a line",
    "bad_words": "may be given several times",
}


def decoding_options(*without: str) -> Decorator:
    """Every field as an option of its own, but for those a verb has no use for; the command takes keyword arguments."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for each in reversed(fields(Decoding)):
            if each.name not in (*FOR_PROGRAMS, *without):
                command = option_of(each)(command)
        return command

    return decorated


def option_of(field: "Field[Any]") -> Decorator:
    """A field's option, with the field's own description."""
    hint, name = HINTS[field.name], f"--{field.name.replace('_', '-')}"
    said = "; ".join(filter(None, (str(field.metadata["description"]), NOTES.get(field.name))))
    told = f"{said[0].upper()}{said[1:]}."
    names = (name, *ALIASES.get(field.name, ()), field.name)
    if field.name == "early_stopping":
        return click.option(*names, type=click.Choice(["true", "false", "never"]), help=told)
    if hint is bool:
        return click.option(f"{name}/--no-{name[2:]}", field.name, default=None, help=told)
    if hint is float:
        return click.option(*names, type=float, help=told)
    if field.name in COUNTS:
        return click.option(*names, type=click.IntRange(min=COUNTS[field.name]), help=told)
    return click.option(*names, metavar="TEXT", multiple=bool(get_args(hint)), help=told)


def decoding_of(usual: Decoding, given: Mapping[str, Any]) -> Decoding:
    """A model's own way of writing, changed where an option says so."""
    return usual.changed(**said(given))


def said(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, each as its field has it."""
    return {name: value_of(name, value) for name, value in given.items() if value is not None and value != ()}


def value_of(name: str, value: Any) -> Any:
    """An option's value as the field has it."""
    if name == "early_stopping":
        return {"true": True, "false": False}.get(value, value)
    if name == "stop_strings":
        return tuple(text.replace(r"\n", "\n") for text in value)
    return value


def texts_of(answer: Any) -> list[str]:
    """The text of an answer, and those of the others beside it; where nothing was asked, an empty one."""
    return [""] if answer is None else [answer.text, *(other.text for other in answer.others)]


def as_object(name: str, answer: Any) -> dict[str, Any]:
    """For programs: the text under its name, and the others beside it if there are any."""
    text, *others = texts_of(answer)
    return {name: text, "others": others} if others else {name: text}


def how_likely(answer: Any) -> dict[str, Any]:
    """For programs: an answer's score, and each token with the model's log-probability of it."""
    tokens = [
        {"token": token, "log_probability": value}
        for token, value in zip(answer.tokens, answer.log_probabilities, strict=True)
    ]
    return {"score": answer.score, "complete": answer.complete, "tokens": tokens}
