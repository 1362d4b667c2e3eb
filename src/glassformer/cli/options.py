"""Options that several commands share, and what their words stand for."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.decoding.options import Decoding
    from glassformer.tasks.model import Model
    from glassformer.tasks.translation import Translation

TRANSLATOR = "tatoeba-en-fr"  # the translator that ships
SMALL = 20_000_000  # parameters

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

device_option: Decorator = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, or auto: cuda where there is one."
)
beams_option: Decorator = click.option(
    "--beams",
    type=click.IntRange(min=1),
    help="Hypotheses kept at each step; 1 is greedy search. [default: the model's own]",
)
length_penalty_option: Decorator = click.option(
    "--length-penalty",
    type=float,
    help="Above 0 favours long translations, below 0 short ones. [default: the model's own]",
)


from_option: Decorator = click.option(
    "--from",
    "source_language",
    help="What language the text is in, for models of many. [default: the model's own]",
)
to_option: Decorator = click.option(
    "--to", "target_language", help="What language to translate into, for models of many."
)


def chosen_device(name: str) -> str:
    """The device's name for torch."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {name} was asked for, but torch sees no such device here; use cpu")
    try:
        return str(torch.device(name))
    except RuntimeError as error:
        raise InputError(f"there is no device {name!r}; use cpu, cuda or auto") from error


def translator(name: str, device: str) -> "tuple[Model, Translation]":
    """A model that translates, and its task."""
    from glassformer.tasks.model import load
    from glassformer.tasks.translation import Translation

    model = load(name)
    if not isinstance(model.task, Translation):
        raise InputError(
            f"{name} does not translate: its head is {model.config.head}; use a translator, {TRANSLATOR}"
        )
    model.transformer.to(chosen_device(device)).eval()
    return model, model.task


def one_thread_for_little(model: "Model") -> None:
    """A small model's short runs go on one thread: on a busy machine several mostly wait for each other."""
    import torch

    if sum(parameter.numel() for parameter in model.transformer.parameters()) < SMALL:
        torch.set_num_threads(1)


def decoding_of(task: "Translation", beams: int | None, length_penalty: float | None) -> "Decoding":
    """The model's own way of writing, changed where an option says so."""
    changes: dict[str, Any] = {"num_beams": beams, "length_penalty": length_penalty}
    return replace(task.decoding, **{name: value for name, value in changes.items() if value is not None})
