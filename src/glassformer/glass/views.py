"""What the rooms above make of a trace: found by name when it is asked for, so that a trace imports none of them.

A view is a function whose first argument is the trace, or one step of it.
"""

from importlib import import_module
from typing import Any

from glassformer.errors import InputError

EXTRAS = {"matplotlib": "plot"}  # packages that a view may need, and the extra that brings each
VIEWS: dict[str, str] = {
    "html": "glassformer.show.page:write_page",
    "latex": "glassformer.show.latex:write_latex",
    "notebook": "glassformer.show.notebook:write_notebook",
    "plot": "glassformer.show.figures:plot",
    "map": "glassformer.show.figures:write_map",
    "show": "glassformer.show.fragments:Fragment",
    "trace": "glassformer.show.fragments:trace_html",
    "workbook": "glassformer.show.workbook:write_workbook",
    "step": "glassformer.show.fragments:step_html",
    "answer": "glassformer.show.answers_html:answer_html",
}


def view(name: str, *given: Any, **options: Any) -> Any:
    """Call the view of this name."""
    module, _, function = VIEWS[name].partition(":")
    try:
        made = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        brings = f"run pip install 'glassformer[{EXTRAS[error.name]}]'"
        raise InputError(f"{error.name} is needed for this and is not installed; {brings}") from error
    return made(*given, **options)


class Displayed:
    """An answer that notebooks draw."""

    def _repr_html_(self) -> str:
        return str(view("answer", self))
