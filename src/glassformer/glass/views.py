"""What the rooms above make of a trace: found by name when it is asked for, so that a trace imports none of them.

A view is a function whose first argument is the trace, or one step of it.
"""

from importlib import import_module
from typing import Any

VIEWS: dict[str, str] = {
    "html": "glassformer.show.page:write_page",
    "latex": "glassformer.show.latex:write_latex",
    "notebook": "glassformer.show.notebook:write_notebook",
    "plot": "glassformer.show.figures:plot",
    "show": "glassformer.show.fragments:Fragment",
    "trace": "glassformer.show.fragments:trace_html",
    "step": "glassformer.show.fragments:step_html",
    "answer": "glassformer.show.answers_html:answer_html",
}


def view(name: str, *given: Any, **options: Any) -> Any:
    """Call the view of this name."""
    module, _, function = VIEWS[name].partition(":")
    return getattr(import_module(module), function)(*given, **options)


class Displayed:
    """An answer that notebooks draw."""

    def _repr_html_(self) -> str:
        return str(view("answer", self))
