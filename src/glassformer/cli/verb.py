"""What the verbs that answer have in common: which texts, of which model, how many at a time, in which form."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from glassformer.cli.inputs import (
    Row,
    answers_of,
    batch_option,
    field_option,
    format_option,
    hint_at_files,
    input_option,
    json_option,
    read_inputs,
)
from glassformer.cli.options import (
    DEFAULTS,
    Decorator,
    asked,
    device_option,
    model_option,
    precision_option,
    threads_option,
)

if TYPE_CHECKING:
    from glassformer.tasks.model import Model
    from glassformer.tasks.task import Text


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What such a verb was told."""

    task: str
    texts: tuple[str, ...]
    name: str  # of the model
    input_file: str | None
    form: str | None
    named: tuple[str, ...]
    as_json: bool
    batch: int
    device: str
    precision: str | None

    def rows(
        self, fields: Sequence[str] = ("text",), *, optional: Sequence[str] = (), given: Row | None = None
    ) -> Iterator[Row]:
        """What is asked, as `read_inputs` has it."""
        return read_inputs(
            self.texts, self.input_file, fields, optional=optional, given=given, form=self.form, named=self.named
        )

    def model(self, name: str | None = None) -> "Model":
        """The model that answers, or another beside it."""
        return asked(name or self.name, self.task, self.device, self.precision)

    def answers(
        self,
        model: "Model",
        rows: Iterator[Row],
        text_of: "Callable[[Row], Text]",
        options: Mapping[str, Any],
        *,
        things: str = "texts",
    ) -> Iterator[tuple[Row, Any]]:
        """Each row with the model's answer to it."""
        return answers_of(
            model,
            rows,
            text_of,
            options,
            texts=self.texts,
            input_file=self.input_file,
            batch=self.batch,
            things=things,
        )


def verb(task: str, argument: str = "text", *, batch: int = 256) -> Decorator:
    """A command that answers texts, each an `argument`: it takes an Asking, and options of its own by their names."""
    shared = (
        model_option(DEFAULTS[task]),
        input_option,
        format_option,
        field_option,
        json_option,
        batch_option(batch),
        device_option,
        threads_option,
        precision_option,
    )
    names = ("name", "input_file", "form", "named", "as_json", "batch", "device", "precision")

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def called(**given: Any) -> None:
            told = {name: given.pop(name) for name in names}
            texts = given.pop(argument)
            hint_at_files(texts)
            command(Asking(task=task, texts=texts, **told), **given)

        made: Callable[..., Any] = called
        for option in reversed(shared):
            made = option(made)
        return click.argument(argument, nargs=-1)(made)

    return decorated
