"""The walk on paper: it says the numbers of the trace, takes any text, and compiles."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from tests.show.conftest import CONFIGS, Make, Shown

from glassformer.glass.formulas import FORMULAS
from glassformer.glass.trace import Trace
from glassformer.show.board import Matrix
from glassformer.show.latex import broken, document, write_latex
from glassformer.show.latex_math import escaped, figure, matrix, operator, symbol, worked

NASTY = "\\ { } $ & # ^ _ ~ % < > | \" ' ` - -- [x] é ß ▁in Ġin 中 😀 \n"


def compiled(path: Path) -> str:
    """The log of a compilation that went well."""
    tool = shutil.which("pdflatex")
    if tool is None:
        pytest.skip("pdflatex is not installed")
    words = [tool, "-interaction=nonstopmode", "-halt-on-error", path.name]
    done = subprocess.run(words, cwd=path.parent, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    return path.with_suffix(".log").read_text("utf-8", errors="replace")


def test_the_worked_example_is_set_on_its_pages(worked: Shown, tmp_path: Path) -> None:
    write_latex(worked.trace, tmp_path / "walk.tex", worked.names)
    assert "Overfull" not in compiled(tmp_path / "walk.tex")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_kind_of_model_compiles(make: Make, tmp_path: Path, name: str) -> None:
    shown = make(name)
    write_latex(shown.trace, tmp_path / "walk.tex", shown.names, everything=True)
    compiled(tmp_path / "walk.tex")


def test_any_text_compiles(tmp_path: Path) -> None:
    trace = Trace()
    trace.add("encoder.ids", "B T", torch.tensor([[1, 2]]), "given", (), {})
    trace.tokens, trace.answer = {"encoder": [[NASTY, "]"]]}, NASTY
    trace.to_latex(tmp_path / "walk.tex")
    compiled(tmp_path / "walk.tex")


def test_every_step_is_told_once_with_its_formula(worked: Shown) -> None:
    text = document(worked.trace, worked.names)
    for step in worked.trace.values():
        assert text.count(rf"\step{{{escaped(step.name)}}}{{{step.typeset}}}") == 1, step.name


def test_the_numbers_are_the_traces(worked: Shown) -> None:
    text = document(worked.trace, worked.names, precision=5)
    query = worked.trace["encoder.layers.0.self_attention.query"].value[0, 0]
    for value in query.flatten().tolist():
        assert f"{value:.5f}" in text
    assert r"Q[\text{I}, \text{0}] & = 1.87\cdot (-0.93) + 1.09\cdot (-0.26) = -2.0225" in text
    assert r"\text{\footnotesize love}" in text


def test_digits_are_those_asked_for(worked: Shown) -> None:
    assert "0.8415" in document(worked.trace, precision=4)
    assert "0.8414709848" in document(worked.trace, precision=10)


def test_layers_after_the_first_are_told_when_everything_is(make: Make) -> None:
    shown = make("masked")
    assert "Layer 1 does the same" in document(shown.trace)
    assert "Layer 1 does the same" not in document(shown.trace, everything=True)
    assert r"encoder.layers.1.feed\_forward.up" in document(shown.trace, everything=True)


def test_a_text_is_escaped() -> None:
    assert escaped(r"50% of_{x} \in & #1 ~^$") == (
        r"50\% of\_\{x\} \textbackslash{}in \& \#1 \textasciitilde{}\textasciicircum{}\$"
    )
    assert escaped("café") == "café"
    assert escaped("▁the") == r"\textvisiblespace{}the"
    assert escaped("中") == r"{\footnotesize U+4E2D}"


@pytest.mark.parametrize(
    ("plain", "set_as"),
    [
        ("W_Q", "W_{Q}"),
        ("X̂", r"\hat{X}"),
        ("Kᵀ", r"K^{\top}"),
        ("onehot(ids)", r"\mathrm{onehot}(\text{ids})"),
        ("attention_mask", r"\text{attention\_mask}"),
        ("γ", r"\gamma "),
        ("", ""),
    ],
)
def test_symbols(plain: str, set_as: str) -> None:
    assert symbol(plain) == set_as


@pytest.mark.parametrize(
    ("plain", "set_as"),
    [
        ("e^(−3.7) / (e^2.3 + e^(−1.5))", "e^{-3.7} / (e^{2.3} + e^{-1.5})"),
        ("sin(2 / 10000^(2/4))", r"\sin (2 / 10000^{2/4})"),
        ("(1·2) / √64", r"(1\cdot 2) / \sqrt{64}"),
        ("(x − 1) / √(0.5 + 1e-05)", r"(x - 1) / \sqrt{0.5 + 1\cdot 10^{-5}}"),
        ("hidden by the mask", r"\text{ hidden by the mask }"),
        ("W_P[3, 1]", "W_{P}[3, 1]"),
    ],
)
def test_worked_entries(plain: str, set_as: str) -> None:
    assert worked(plain) == set_as


def test_numbers() -> None:
    assert figure(-1.5, 3, 3) == "-1.500"
    assert figure(1e-9, 3, 3) == r"1.0\cdot10^{-9}"
    assert figure(-1e308, 3, 3) == r"-\infty"
    assert operator("softmax(") == r"\operatorname{softmax}\Bigl("
    assert operator("/ √64") == r"/ \sqrt{64}"


def test_long_matrices_have_dots() -> None:
    text = matrix(Matrix("X", torch.arange(400.0).reshape(20, 20)), 1)
    assert text.count(r"\cdots") == 5
    assert text.count(r"\vdots") == 6
    assert "399" in text
    assert "100" not in re.findall(r"\d+", text)


def test_a_long_sum_is_broken_before_a_plus() -> None:
    lines = broken(" + ".join(["1234567890·(−0.5)"] * 20))
    assert len(lines) > 1
    assert " + ".join(lines) == " + ".join(["1234567890·(−0.5)"] * 20)


def test_every_formula_of_the_table_is_latex() -> None:
    for formula in FORMULAS.values():
        assert formula.latex.count("{") == formula.latex.count("}")
