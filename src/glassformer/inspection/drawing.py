"""Where figures come from: matplotlib is asked for only when one is drawn."""

from importlib import import_module
from pathlib import Path
from typing import Any

from glassformer.errors import InputError


def drawn(kind: str, what: Any, path: str | Path | None = None, **options: Any) -> Any:
    """A figure of this kind, written to `path` where one is given (the ending says how: .png, .svg, .pdf)."""
    try:
        figures = import_module("glassformer.inspection.figures")
    except ImportError as error:
        raise InputError("figures are drawn by matplotlib; install it: pip install 'glassformer[plot]'") from error
    figure = figures.KINDS[kind](what, **options)
    if path is not None:
        figures.write(figure, path)
    return figure
