"""Options that several commands share, and what their words stand for."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.decoding.options import Decoding
    from glassformer.engine.prepare import Precision
    from glassformer.tasks.model import Model
    from glassformer.tasks.rewriting import Rewriting

TRANSLATOR = "tatoeba-en-fr"  # the translator that ships
DOES = {  # task -> the verb that asks for it, if one does, and what such a model does
    "translation": ("translate", "translates"),
    "summarization": ("summarize", "summarises texts"),
    "classification": ("classify", "labels texts"),
    "tagging": ("tag", "finds names in texts"),
    "answering": ("answer", "answers questions"),
    "generation": ("generate", "goes on with texts"),
    "filling": (None, "fills in hidden words"),
    "hidden": (None, "gives rows of numbers and has no task"),
}
DEFAULTS = {  # task -> the model that ships for it
    "translation": TRANSLATOR,
    "summarization": "summaries",
    "classification": "sentiment",
    "tagging": "entities",
    "answering": "answers",
    "generation": "shakespeare",
}
SMALL = 20_000_000  # parameters
LARGE = 500_000_000

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def hold_to(_context: click.Context, _option: click.Parameter, threads: int | None) -> None:
    """Let torch, and with it the kernels, use so many cores at most."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


device_option: Decorator = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, or auto: cuda where there is one."
)
threads_option: Decorator = click.option(
    "--threads",
    type=click.IntRange(min=1),
    expose_value=False,
    callback=hold_to,
    help="Cores to use at most. [default: all]",
)
overwrite_option: Decorator = click.option(
    "--overwrite", is_flag=True, help="Write into a folder that holds something, over files of the same names."
)
beams_option: Decorator = click.option(
    "--num-beams",
    "--beams",
    "beams",
    type=click.IntRange(min=1),
    help="Hypotheses kept at each step; 1 is greedy search. [default: the model's own]",
)
length_penalty_option: Decorator = click.option(
    "--length-penalty",
    type=float,
    help="Of beams: above 0 favours long outputs, below 0 short ones. [default: the model's own]",
)
agreement_power_option: Decorator = click.option(
    "--agreement-power",
    type=float,
    help="Above 0 answers with what the beams that ended agree on most, each weighed by its probability to this power. "
    "[default: the model's own]",
)


shortlist_option: Decorator = click.option(
    "--shortlist",
    metavar="FILE",
    help="Translations: write only tokens that this shortlist allows: a file of `glassformer shortlist`, or own: the "
    "model's.",
)


from_option: Decorator = click.option(
    "--from",
    "source_language",
    help="What language the text is in, for models of many. [default: the model's own]",
)
to_option: Decorator = click.option(
    "--to", "target_language", help="What language to translate into, for models of many."
)


precision_option: Decorator = click.option(
    "--precision",
    type=click.Choice(["open", "auto", "float32", "bfloat16", "int8", "int4"]),
    help="How weights are packed for speed; open: not at all. [default: float32, whose answers are the open model's]",
)


task_option: Decorator = click.option(
    "--task",
    type=click.Choice(["translation", "summarization"]),
    help="Which is meant, where a model does both. [default: what it is made for]",
)
limit_option: Decorator = click.option(
    "--limit", type=click.IntRange(min=1), help="Only so many examples, the first. [default: all]"
)
bootstrap_option: Decorator = click.option(
    "--bootstrap",
    default=1000,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many times to resample the examples for a 95 % interval of each figure; 0: no intervals.",
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


def model_option(default: str) -> Decorator:
    """The model that a verb uses, by default the one that ships for it."""
    return click.option(
        "--model",
        "name",
        default=default,
        show_default=True,
        help="A model that ships, a checkpoint folder, or a name on the hub.",
    )


def asked(name: str, task: str, device: str, precision: str | None) -> "Model":
    """A model for this task, on this device, its weights packed at this precision."""
    from glassformer.tasks.model import Model, load, tasks_for

    model = load(known(name, task))
    possible = tasks_for(model.checkpoint)
    if task not in possible:
        verb, does = DOES[possible[0]]
        use = f"use `glassformer {verb}`, or " if verb else ""
        raise InputError(f"{name} {does}; {use}give --model one that {DOES[task][1]}")
    if task != possible[0]:
        model = Model(model.checkpoint, model.tokenizer, model.source_tokenizer, task=task)
    model.transformer.to(chosen_device(device)).eval()
    packed(model, precision)
    return model


def packed(model: "Model", precision: str | None) -> None:
    """Pack the weights; one line says so where the precision is not to be had.

    Where nobody says how, a model that is computed in float32 on a processor is packed as it is, unless that takes
    much memory; on a GPU nothing is copied, and steps are recorded.
    """
    from glassformer.engine.prepare import prepare

    transformer = model.transformer
    if precision is None:
        weight, count = transformer.tokens.weight, sum(each.numel() for each in transformer.parameters())
        kind = str(weight.dtype).removeprefix("torch.")
        small = weight.device.type == "cpu" and kind == "float32" and count < LARGE
        as_it_is = weight.device.type == "cuda" and kind in ("float32", "bfloat16")
        precision = kind if small or as_it_is else "open"
    if precision == "open":
        return
    note = prepare(transformer, cast("Precision", precision)).note
    if note is not None:
        click.echo(f"glassformer: {note}", err=True)


def known(name: str, task: str) -> str:
    """The name, unless it is the default of a verb for which this installation has no model."""
    from glassformer.shipped import shipped

    if name in DEFAULTS.values() and name not in shipped() and not os.path.isdir(name):
        raise InputError(
            f"no model that {DOES[task][1]} ships here ({', '.join(shipped())} do); give one: --model FOLDER, or a "
            "name on the hub"
        )
    return name


def one_thread_for_little(model: "Model") -> None:
    """A small model's short runs go on one thread: on a busy machine several mostly wait for each other."""
    import torch

    if sum(parameter.numel() for parameter in model.transformer.parameters()) < SMALL:
        torch.set_num_threads(1)


def decoding_of(task: "Rewriting", beams: int | None, **others: float | None) -> "Decoding":
    """The model's own way of writing, changed where an option says so."""
    changes: dict[str, Any] = {"num_beams": beams, **others}
    return replace(task.decoding, **{name: value for name, value in changes.items() if value is not None})


def check_place(out: Path, overwrite: bool) -> None:
    """Refuse to write a model where it would go among, or over, what lies there."""
    if out.is_file() and (out.suffix != ".gguf" or not overwrite):
        hint = "give another name, or --overwrite" if out.suffix == ".gguf" else "give a new folder"
        raise InputError(f"{out} is a file that is there already; {hint}")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise InputError(f"{out} is not empty; give a new folder, or --overwrite to write into this one")
