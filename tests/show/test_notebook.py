"""The notebook that a trace writes is run, and comes to the trace's own numbers."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.show.conftest import CONFIGS, Make, Shown

from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.glass.verify import as_array
from glassformer.show.notebook import literal, sources, write_notebook

Run = Callable[[Path], dict[str, Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run every cell in turn, as a kernel would, and hand out what it left."""

    def run(path: Path) -> dict[str, Any]:
        monkeypatch.chdir(path.parent)
        space: dict[str, Any] = {}
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                exec(compile(cell["source"], cell["id"], "exec"), space)  # noqa: S102 (our own words)
        return space

    return run


@pytest.mark.parametrize("name", CONFIGS)
def test_every_step_is_computed_again(make: Make, tmp_path: Path, run: Run, name: str) -> None:
    trace = make(name).trace
    trace.to_notebook(tmp_path / "walk.ipynb")
    left = run(tmp_path / "walk.ipynb")
    given = {step.name for step in trace.values() if step.key == "given"}
    assert set(left["differences"]) == set(trace) - given
    assert max(left["differences"].values()) < 1e-12
    for step in trace.values():
        assert np.allclose(left["values"][step.name], as_array(step.value), rtol=0, atol=1e-12)


def test_a_changed_number_changes_what_follows(worked: Shown, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "walk.ipynb"
    write_notebook(worked.trace, path)
    told = path.read_text("utf-8")
    assert "keep('encoder.embedding.tokens', _tokens(" in told
    path.write_text(told.replace("_tokens(values['encoder.ids']", "0.5 * _tokens(values['encoder.ids']"), "utf-8")
    left = run(path)
    assert left["differences"]["encoder.embedding.tokens"] > 0.1
    assert left["differences"]["head.probabilities"] > 1e-6
    assert left["differences"]["decoder.embedding.output"] < 1e-12


def test_what_was_edited_or_not_kept_is_taken_as_it_was(tmp_path: Path, run: Run) -> None:
    from glassformer.tasks.model import load

    model = load("worked-example")
    edits = {"encoder.layers.0.self_attention.mixed": lambda value: value * 2}
    trace = model.trace("I love data science", edits=edits, keep=["*", "!encoder.embedding.tokens"])
    trace.to_notebook(tmp_path / "walk.ipynb")
    text = (tmp_path / "walk.ipynb").read_text("utf-8")
    assert "given('encoder.layers.0.self_attention.mixed')  # an edit made it" in text
    assert "given('encoder.embedding.output')  # an input was not kept" in text
    assert max(run(tmp_path / "walk.ipynb")["differences"].values()) < 1e-12


def test_a_kernel_runs_it(worked: Shown, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    write_notebook(worked.trace, tmp_path / "walk.ipynb", worked.names)
    notebook = nbformat.read(tmp_path / "walk.ipynb", 4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    drawn = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert any("encoder.layers.0.self_attention.weights" in html for html in drawn)
    assert "47 steps computed again" in outputs[-1].text


def test_text_is_not_set_as_markdown(tmp_path: Path) -> None:
    trace = Trace()
    trace.add("encoder.ids", "B T", torch.tensor([[1]]), "given", (), {})
    trace.tokens = {"encoder": [["**$x_1$** <b>"]]}
    trace.to_notebook(tmp_path / "walk.ipynb")
    first = json.loads((tmp_path / "walk.ipynb").read_text("utf-8"))["cells"][0]["source"]
    assert first.startswith(r"# \*\*\$x\_1\$\*\* \<b\>")


def test_another_ending_is_refused(worked: Shown, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.ipynb"):
        worked.trace.to_notebook(tmp_path / "walk.py")
    assert list(tmp_path.iterdir()) == []


def test_constants_are_python() -> None:
    for value in (1.5, -1.7976931348623157e308, "gelu", None, 3, True):
        assert ast.literal_eval(literal(value)) == value
    assert literal(float("-inf")) == 'float("-inf")'


def test_the_text_of_a_function_brings_what_it_calls() -> None:
    from glassformer.glass.formulas import FORMULAS

    texts = "\n" + "\n".join(sources([FORMULAS["scores"].compute, FORMULAS["active"].compute]))
    for definition in ("def _shared(", "def _scores(", "ACTIVATIONS = {", "ERF = ", "def _active("):
        assert texts.count(f"\n{definition}") == 1
