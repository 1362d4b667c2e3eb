"""`glassformer convert`: a model in the format that another program runs."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import click

from glassformer.cli.options import check_place, overwrite_option

FORMATS = {  # format -> the module that writes it
    "huggingface": "glassformer.export.huggingface",
    "peft": "glassformer.export.peft",
    "gguf": "glassformer.export.gguf",
    "ctranslate2": "glassformer.export.ctranslate2",
    "onnx": "glassformer.export.onnx",
    "torch-export": "glassformer.export.torch_export",
}
SEEN_THROUGH = ("onnx", "torch-export")  # formats whose files can give steps out too


@click.command
@click.argument("name", metavar="MODEL")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, type=click.Choice(list(FORMATS)), help="The format to write.")
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32", "float16", "bfloat16", "q8_0", "q4_0", "int8"]),
    help="The kind of number to store. [default: the checkpoint's own]",
)
@click.option("--shard-size", metavar="SIZE", help="Weights beyond this, such as 2GB, go into several files.")
@click.option(
    "--internals",
    metavar="PATTERN",
    multiple=True,
    help="Steps to give out too, such as 'encoder.layers.*.self_attention.weights'; may be given several times.",
)
@overwrite_option
def convert(
    name: str,
    out: Path,
    form: str,
    dtype: str | None,
    shard_size: str | None,
    internals: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Write a model in the format that another program runs.

    MODEL is one that ships, a checkpoint folder, or a name on the hub; OUT is the folder to write. What was written is
    read again and compared with the model.
    """
    from glassformer.export.options import Options, bytes_of

    if internals and form not in SEEN_THROUGH:
        raise click.UsageError(f"--internals goes with --to {' or '.join(SEEN_THROUGH)}, not with {form}")
    check_place(out, overwrite)
    options = Options(
        dtype=dtype, shard_size=None if shard_size is None else bytes_of(shard_size), internals=internals
    )
    from glassformer.tasks.model import load

    told = writer(form).write(load(name), out, options)
    click.echo(f"wrote {out}: {told}")


def writer(form: str) -> ModuleType:
    """The module that writes a format; those of other programs stand on these programs' own packages."""
    try:
        return import_module(FORMATS[form])
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"to write {form}, the package {error.name} is needed; run pip install 'glassformer[export]'"
        ) from error
