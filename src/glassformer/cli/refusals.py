"""The one place where an error that the user can mend becomes one sentence."""

import click

from glassformer.cli.memory import memory
from glassformer.errors import InputError


def refusal(error: Exception) -> str | None:
    """What was wrong, in one line; None for a mistake of our own, which keeps its traceback."""
    match error:
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "glassformer"
            sentence = f"{error.format_message().rstrip('.')}; see `{command} --help`"
        case click.ClickException():
            sentence = error.format_message()
        case InputError():
            sentence = str(error)
        case OSError(strerror=str(reason), filename=str(name)):
            sentence = f"{name}: {reason.lower()}; give a path that exists and may be used"
        case OSError():
            sentence = f"the system refused: {(error.strerror or str(error)).lower()}"
        case _:
            sentence = memory(error) or ""
    if not sentence:
        return None
    return " ".join(sentence.split())
