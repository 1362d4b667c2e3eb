"""What stands beside an exported model so that its folder is of use: configuration, generation settings, tokenizers."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from glassformer import __version__
from glassformer.errors import InputError
from glassformer.export.graphs import Graph
from glassformer.families import family_of
from glassformer.glass.step import Step
from glassformer.pretrained import CONFIG, GENERATION, write_json
from glassformer.tasks.model import Model
from glassformer.text.published import SOURCE_FOLDER


@contextmanager
def aside(out: Path, former: Iterable[str]) -> Iterator[Path]:
    """A folder to write and check in; what is in it afterwards goes to `out`, in place of the former files there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=out) as folder:
            yield Path(folder)
            for path in sorted(Path(folder).iterdir()):
                os.replace(path, out / path.name)
                former = set(former) - {path.name}
    except OSError as error:
        raise InputError(
            f"the model cannot be written to {out} ({error}); give a folder that can be"
        ) from error
    for name in former:
        (out / name).unlink(missing_ok=True)


def write_beside(model: Model, kind: str, out: Path) -> None:
    """The published configuration of the model and whatever it needs to read and write text."""
    checkpoint = model.checkpoint
    raw = dict(checkpoint.raw or {"model_type": "transformer"})
    published = family_of(raw).published(model.config, raw, checkpoint.labels)
    written = published | {key: kind for key in ("dtype", "torch_dtype") if key == "dtype" or key in raw}
    write_json(out / CONFIG, written)
    if checkpoint.generation:
        write_json(out / GENERATION, checkpoint.generation)
    model.tokenizer.save(out)
    if model.source_tokenizer is not None:
        model.source_tokenizer.save(out / SOURCE_FOLDER)


def described(model: Model, graph: Graph, steps: Mapping[str, Step]) -> dict[str, str]:
    """What a file says of itself: where it comes from, and what its further outputs are."""
    told = {name: {"axes": step.axes, "formula": step.written} for name, step in steps.items()}
    return {
        "glassformer": __version__,
        "family": model.checkpoint.family,
        "stack": model.config.stack,
        "head": model.config.head,
        "dtype": str(graph.dtype).removeprefix("torch."),
        "graph": graph.name,
        "labels": json.dumps(list(model.checkpoint.labels), ensure_ascii=False),
        "steps": json.dumps(told, ensure_ascii=False),
    }
