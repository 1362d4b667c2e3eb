"""What can be taken home of a run: files that open without the studio."""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from glassformer.errors import InputError
from glassformer.show.page import write_page
from glassformer.show.record import write_json
from glassformer.studio.kept import Kept


class Take(NamedTuple):
    """A kind of file: what it is called, how it ends, and what writes it."""

    title: str
    ending: str
    media_type: str
    write: Callable[[Kept, Path], None]


TAKES: Mapping[str, Take] = {
    "page": Take(
        "web page", ".html", "text/html", lambda kept, path: write_page(kept.trace, path, kept.opened.names)
    ),
    "latex": Take("LaTeX", ".tex", "text/x-tex", lambda kept, path: kept.trace.to_latex(path)),
    "workbook": Take(
        "workbook with live formulas",
        ".xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        lambda kept, path: kept.trace.to_workbook(path),
    ),
    "trace": Take(
        "trace file", ".safetensors", "application/octet-stream", lambda kept, path: kept.trace.save(path)
    ),
    "json": Take(
        "JSON", ".json", "application/json", lambda kept, path: write_json(kept.trace, path, kept.opened.names)
    ),
}


def taken(kept: Kept, kind: str) -> tuple[str, str, bytes]:
    """The name, media type and content of a file."""
    if kind not in TAKES:
        raise InputError(f"there is no {kind!r} to take; there is {', '.join(TAKES)}")
    take = TAKES[kind]
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"run{take.ending}"
        take.write(kept, path)
        return f"{kept.opened.path_name}-{kept.number}{take.ending}", take.media_type, path.read_bytes()
