"""Every command and every option says what it is for."""

import click
import pytest

from glassformer.cli.main import COMMANDS, glassformer

CONTEXT = click.Context(glassformer)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    command = glassformer.get_command(CONTEXT, name)
    assert command is not None
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts[0]} has no help text"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_tables_line_is_the_commands_own_first_line(name: str) -> None:
    command = glassformer.get_command(CONTEXT, name)
    assert command is not None
    assert (command.help or "").splitlines()[0] == COMMANDS[name][1]


def test_an_unknown_command_is_none() -> None:
    assert glassformer.get_command(CONTEXT, "nothing") is None
