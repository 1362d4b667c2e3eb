"""A trace as a notebook: it loads the saved run and computes every step again in NumPy, a cell for each.

What the cells compute with is the table of formulas itself, whose functions the notebook brings along as text. A step
is computed from the steps that the notebook computed before it: change a number in a cell, and see what comes of it.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import json
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from glassformer.errors import InputError
from glassformer.files import write_text
from glassformer.glass.names import Names
from glassformer.glass.step import Step
from glassformer.glass.trace import Trace
from glassformer.show.chapters import chapters
from glassformer.show.labels import Labels

SETUP = '''\
import math

import numpy as np

import glassformer as gf
from glassformer.glass.verify import as_array

trace = gf.Trace.load({file!r})
values = {{name: as_array(parameter) for name, parameter in trace.parameters.items()}}
differences = {{}}


def keep(name, computed):
    """Keep what was computed here as the step of this name, and say how far it is from what was recorded."""
    values[name], recorded = computed, as_array(trace[name].value)
    apart = np.subtract(computed, recorded, out=np.zeros(recorded.shape), where=computed != recorded)
    differences[name] = float(np.abs(apart).max(initial=0.0))
    print(f"{{name}}: largest difference {{differences[name]:.1e}}")


def given(name):
    """Take a step as it was recorded."""
    values[name] = as_array(trace[name].value)
    print(f"{{name}}: as recorded, shape {{values[name].shape}}")'''
CLOSING = '''\
worst = max(differences, key=differences.get)
print(f"{len(differences)} steps computed again, largest difference {differences[worst]:.1e} at {worst}")'''


def write_notebook(trace: Trace, path: str | Path, names: Names | None = None) -> None:
    """Write the notebook, and beside it the trace that it loads: `walk.ipynb` and `walk.safetensors`."""
    path = Path(path)
    if path.suffix != ".ipynb":
        raise InputError(f"a notebook's file name ends in .ipynb, and {path.name!r} does not; give such a name")
    saved = path.with_suffix(".safetensors")
    trace.save(saved)
    write_text(path, [json.dumps(notebook(trace, saved.name, names), ensure_ascii=False, indent=1), "\n"])


def notebook(trace: Trace, file: str, names: Names | None = None) -> dict[str, Any]:
    """The notebook as plain values (nbformat 4.5), which loads the trace from `file`."""
    cells = [
        {"id": f"cell-{place}", "metadata": {}, **cell} for place, cell in enumerate(_cells(trace, file, names))
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _cells(trace: Trace, file: str, names: Names | None) -> Iterator[dict[str, Any]]:
    labels = Labels(trace, names)
    read = " ".join(labels.tokens("encoder") or labels.tokens("decoder"))
    yield _text(f"# {_plain(read)}", f"→ {_plain(trace.answer)}" if trace.answer else "", INTRODUCTION)
    yield _code(SETUP.format(file=file))
    yield _code("trace")
    yield _text("The arithmetic of the steps, as it stands in glassformer's table of formulas:")
    yield _code("\n\n\n".join(sources(step.formula.compute for step in trace.values() if computed(step, trace))))
    for chapter in chapters(trace.values()):
        yield _text(f"## {chapter.title}", chapter.opening)
        for step in chapter.steps:
            yield _text(*told(step))
            yield _code(*computing(step, trace))
    yield _text("## Does it all add up?")
    yield _code(CLOSING)


INTRODUCTION = (
    "Every number of this run, computed again step by step in NumPy, in 64 bits, from the parameters and from the steps"
    " before it. Change a number in a cell and run the cells below it: the differences tell what it changed."
)


def told(step: Step) -> Iterator[str]:
    """A step's name, formula and idea."""
    yield f"### {step.name}"
    if step.key != "given":
        yield f"$${step.typeset}$$"
    yield step.formula.says


def computed(step: Step, trace: Trace) -> bool:
    """Whether a step can be computed: it has a formula, no edit replaced it, and its inputs were kept."""
    known = all(name in trace or name in trace.parameters for name in step.inputs)
    return step.key != "given" and not step.edited and known


def computing(step: Step, trace: Trace) -> Iterator[str]:
    """The lines of a cell that computes a step."""
    if not computed(step, trace):
        why = "  # an edit made it" if step.edited else "" if step.key == "given" else "  # an input was not kept"
        yield f"given({step.name!r}){why}"
        return
    given = [f"values[{name!r}]" for name in step.inputs]
    given += [f"{name}={literal(value)}" for name, value in step.constants.items()]
    called = f"{step.formula.compute.__name__}({', '.join(given)})"
    line = f"keep({step.name!r}, {called})"
    if len(line) > 100:
        inside = "".join(f"        {one},\n" for one in given)
        line = f"keep(\n    {step.name!r},\n    {step.formula.compute.__name__}(\n{inside}    ),\n)"
    yield line
    if step.name.endswith("_attention.weights"):
        yield f"trace[{step.name!r}]"


def literal(value: object) -> str:
    """A constant as Python writes it."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


# ------------------------------------------------------------------ the formulas as text


def sources(functions: Iterable[Any]) -> list[str]:
    """The text of functions and of all that they call in their own modules, what is called before what calls it."""
    found: dict[tuple[str, str], str] = {}
    for function in functions:
        _gather(sys.modules[function.__module__], function.__name__, found)
    return list(found.values())


def _gather(module: ModuleType, name: str, found: dict[tuple[str, str], str]) -> None:
    value = getattr(module, name)
    if isinstance(value, ModuleType):
        return  # math and numpy are imported by the first cell
    if isinstance(value, FunctionType):
        module = sys.modules[value.__module__]
    key = module.__name__, name
    if key in found:
        return
    text, node = _definition(module, name)
    for used in _names(node):
        if hasattr(module, used) and used != name and not hasattr(builtins, used):
            _gather(module, used, found)
    found[key] = text


def _definition(module: ModuleType, name: str) -> tuple[str, ast.stmt]:
    """A definition at the top of a module, its hints taken away: they would need imports of their own."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            break
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == name:
            break
    else:
        raise LookupError(f"{name} is not defined at the top of {module.__name__}")
    bare: ast.stmt = _Unhinted().visit(node)
    return ast.unparse(bare), bare


def _names(node: ast.AST) -> list[str]:
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]


class _Unhinted(ast.NodeTransformer):
    """Takes the hints out of definitions."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # noqa: N802 (ast's own name)
        """A function without hints."""
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """An argument without its hint."""
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:  # noqa: N802 (ast's own name)
        """A plain assignment."""
        assert node.value is not None
        plain = ast.Assign([node.target], node.value, lineno=node.lineno)
        return ast.copy_location(ast.fix_missing_locations(plain), node)


# ------------------------------------------------------------------ cells


def _plain(text: str) -> str:
    """A text in which Markdown finds nothing to set."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()#+-.!<>|$~" else letter for letter in text)


def _text(*parts: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": "\n\n".join(part for part in parts if part)}


def _code(*lines: str) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "outputs": [], "source": "\n".join(lines)}
