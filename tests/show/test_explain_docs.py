"""What docs/explain.md shows is what happens."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from glassformer.cli.explain import explain
from glassformer.decoding.options import Decoding

PAGE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
OPTIONS = {option for parameter in explain.params for option in parameter.opts if option.startswith("--")}


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("line", [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()])
def test_its_commands_run(line: str, tmp_path: Path) -> None:
    program, verb, *words = shlex.split(line)
    assert (program, verb) == ("glassformer", "explain")
    result = CliRunner().invoke(explain, words, catch_exceptions=False)
    assert result.exit_code == 0
    files = [word for word in words if re.fullmatch(r"[\w.]+\.(html|tex|ipynb|safetensors|png|svg)", word)]
    assert all((tmp_path / file).stat().st_size for file in files)
    assert files or result.output.strip()


def test_its_python_runs(tmp_path: Path) -> None:
    space: dict[str, object] = {}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "explain.md", "exec"), space)  # noqa: S102 (our own words)
    for file in ("page.html", "walk.tex", "walk.ipynb", "walk.safetensors", "run.safetensors"):
        assert (tmp_path / file).exists(), file
    for file in ("attention.png", "residual.svg", "likeliest.pdf", "model.svg"):
        assert (tmp_path / file).exists(), file


def test_every_option_that_writes_is_told() -> None:
    told = set(re.findall(r"`(--\w[\w-]*)", PAGE))
    of_writing = {f"--{field.name.replace('_', '-')}" for field in fields(Decoding)} | {"--beams"}  # docs/decoding.md
    turned_off = {option for option in OPTIONS if option.startswith("--no-")}
    assert OPTIONS - of_writing - turned_off - {"--context", "--model", "--task", "--step"} <= told <= OPTIONS
