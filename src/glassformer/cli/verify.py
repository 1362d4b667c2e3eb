"""`glassformer verify`: whether a model's numbers are what its formulas, its fast path and others say."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from glassformer.cli.decoding import decoding_options, said
from glassformer.cli.inputs import as_line, field_option, format_option, read_inputs
from glassformer.cli.options import chosen_device, one_thread_for_little
from glassformer.errors import InputError

if TYPE_CHECKING:
    from glassformer.inspection.verification import Reference, Verified
    from glassformer.tasks.model import Model
    from glassformer.tasks.task import Text

FIELDS = {"answering": (("question", "context"), ()), "classification": (("text",), ("pair",))}
WITHOUT = "transformers is not installed; pip install 'glassformer[test]' brings it"


@click.command
@click.argument("name", metavar="MODEL")
@click.argument("text", nargs=-1)
@click.option(
    "--texts",
    "--input",
    "input_file",
    metavar="FILE",
    help="A file of texts: .txt with one a line, .jsonl, .csv or .tsv with named fields, each also .gz.",
)
@format_option
@field_option
@click.option("--context", help="What all texts ask about, for a model that answers questions.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    help="Raise the weights to it first; in float64 every difference may be 1e-10. [default: as the model is]",
)
@decoding_options("num_return_sequences", "beyond_source", "num_assistant_tokens")
@click.option("--to", "target_language", help="What language to translate into, for models of many.")
@click.option("--window", type=click.IntRange(min=1), help="Tokens read at once, for models that read in windows.")
@click.option(
    "--transformers/--no-transformers",
    "beside",
    default=None,
    help="Compare with transformers. [default: where it is installed and knows the family]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, or auto: cuda where there is one.")
def verify(
    name: str,
    text: tuple[str, ...],
    input_file: str | None,
    form: str | None,
    named: tuple[str, ...],
    context: str | None,
    dtype: str | None,
    beside: bool | None,
    as_json: bool,
    device: str,
    **options: Any,
) -> int:
    """Recompute every number of an answer, and compare all paths.

    Each TEXT is one text; without any and without --texts every line of standard input is one. Prints the largest
    difference of each comparison and ends with 1 if one is above its bound: 1e-10 in float64, in float32 1e-4 relative
    to the size of the values.
    """
    from glassformer.inspection.verification import in_float64, verified
    from glassformer.tasks.model import load, tasks_for

    model = load(name)
    model.transformer.to(chosen_device(device)).eval()
    if dtype is not None:
        model = in_float64(model) if dtype == "float64" else model
        model.transformer.float() if dtype == "float32" else None
    one_thread_for_little(model)
    fields, optional = FIELDS.get(tasks_for(model.checkpoint)[0], (("text",), ()))
    given = {} if context is None else {"context": context}
    rows = read_inputs(text, input_file, fields, optional=optional, given=given, form=form, named=named)
    reference, why = reference_of(model, beside)
    left_out = [] if why is None else [("transformers", why)]
    asked = said(options)
    found = verified(model, texts_of(rows, fields), reference=reference, left_out=left_out, **asked)
    if not found.texts:
        raise InputError("there is no text to verify; give one, or --texts with a file of them")
    click.echo(as_line(found.as_dict()) if as_json else heading(name, found))
    return 0 if found.within else 1


def heading(name: str, found: "Verified") -> str:
    """What was verified, then the table."""
    count = f"{found.texts} text{'s' if found.texts != 1 else ''}"
    return f"{name} in {found.dtype}, {count}\n{found}"


def texts_of(rows: Iterator[Mapping[str, str]], fields: tuple[str, ...]) -> "Iterator[Text]":
    """Texts, or pairs of them where a row has two; blank lines are passed over."""
    for row in rows:
        parts = [row[field] for field in (*fields, "pair") if field in row]
        if parts[0].strip():
            yield (parts[0], parts[1]) if len(parts) == 2 else parts[0]


def reference_of(model: "Model", wanted: bool | None) -> "tuple[Reference | None, str | None]":
    """The same model in transformers, or why there is none."""
    if wanted is False:
        return None, None
    if find_spec("transformers") is None:
        if wanted:
            raise InputError(WITHOUT)
        return None, WITHOUT
    from glassformer.inspection.reference import Published

    try:
        return Published(model), None
    except InputError as error:
        if wanted:
            raise
        return None, str(error)
