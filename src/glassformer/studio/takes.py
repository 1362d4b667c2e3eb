"""What can be taken home of a run: files that open without the studio."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from glassformer.errors import InputError
from glassformer.show.page import write_page
from glassformer.show.record import write_json
from glassformer.studio.kept import Kept


class At(NamedTuple):
    """What is on the screen: a step, and a head of it."""

    step: str
    head: int | None


RESIDUAL = At("residual", None)  # where no step is on the screen


class Take(NamedTuple):
    """A kind of file: what it is called, how it ends, and what writes it."""

    title: str
    ending: str
    media_type: str
    write: Callable[[Kept, Path, At], None]


TAKES: Mapping[str, Take] = {
    "page": Take(
        "web page", ".html", "text/html", lambda kept, path, at: write_page(kept.trace, path, kept.opened.names)
    ),
    "figure": Take(
        "figure of what is shown",
        ".svg",
        "image/svg+xml",
        lambda kept, path, at: kept.trace.plot(at.step, path, head=at.head),
    ),
    "latex": Take("LaTeX", ".tex", "text/x-tex", lambda kept, path, at: kept.trace.to_latex(path)),
    "workbook": Take(
        "workbook with live formulas",
        ".xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        lambda kept, path, at: kept.trace.to_workbook(path),
    ),
    "trace": Take(
        "trace file", ".safetensors", "application/octet-stream", lambda kept, path, at: kept.trace.save(path)
    ),
    "notebook": Take(
        "notebook, which reads the trace file",
        ".ipynb",
        "application/x-ipynb+json",
        lambda kept, path, at: kept.trace.to_notebook(path),
    ),
    "json": Take(
        "JSON", ".json", "application/json", lambda kept, path, at: write_json(kept.trace, path, kept.opened.names)
    ),
}


def taken(kept: Kept, kind: str, at: At = RESIDUAL) -> tuple[str, str, bytes]:
    """The name, media type and content of a file."""
    if kind not in TAKES:
        raise InputError(f"there is no {kind!r} to take; there is {', '.join(TAKES)}")
    take = TAKES[kind]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{kept.opened.path_name}-{kept.number}{take.ending}"
        take.write(kept, path, at)
        return path.name, take.media_type, path.read_bytes()
