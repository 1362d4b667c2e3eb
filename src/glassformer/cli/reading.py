"""Options that say how files of examples are to be read: one for each field of Reading."""

from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from glassformer.cli.options import Decorator
from glassformer.data.reading import Column, Reading

HINTS = get_type_hints(Reading)
PLACE = "by heading, or by number from 0"


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Every field as an option of its own; the command takes them as keyword arguments."""
    for each in reversed(fields(Reading)):
        command = option_of(each)(command)
    return command


def option_of(field: "Field[Any]") -> Decorator:
    """A field's option, with the field's own description."""
    hint, name = HINTS[field.name], f"--{field.name.replace('_', '-')}"
    said = str(field.metadata["description"])
    told = f"{said[0].upper()}{said[1:]}"
    usual = "" if field.default in (None, False) else f" [default: {field.default}]"
    choices = next((get_args(one) for one in (hint, *get_args(hint)) if get_origin(one) is Literal), None)
    if choices is not None:
        return click.option(name, field.name, type=click.Choice(choices), help=f"{told}.{usual}")
    if hint is bool:
        return click.option(name, field.name, is_flag=True, help=f"{told}.{usual}")
    if bool in get_args(hint):
        return click.option(f"{name}/--no-{name[2:]}", field.name, default=None, help=f"{told}.{usual}")
    if hint is int:
        return click.option(name, field.name, type=click.IntRange(min=0), help=f"{told}.{usual}")
    if int in get_args(hint):
        return click.option(name, field.name, metavar="COLUMN", help=f"{told}, {PLACE}.")
    return click.option(name, field.name, help=f"{told}.{usual}")


def reading_of(given: Mapping[str, Any]) -> Reading:
    """What the options said; several columns of labels are parted by commas."""
    said = {name: value_of(name, value) for name, value in given.items() if value is not None}
    return Reading(**said)


def value_of(name: str, value: Any) -> Any:
    """An option's value as the field has it."""
    if int not in get_args(HINTS[name]):
        return value
    return tuple(value.split(",")) if name == "label" and "," in value else column(value)


def column(name: str | None) -> Column | None:
    """A number is a place, a word a heading."""
    return int(name) if name is not None and name.isdecimal() else name
