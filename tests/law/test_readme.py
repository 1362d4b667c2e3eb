"""What the README shows is what happens."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_its_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 (our own words)
    answer, *rest = capsys.readouterr().out.splitlines()
    assert answer == "j' aime la science des données"
    assert float(rest[-1]) < 1e-10


def test_its_walk_is_what_explain_prints() -> None:
    from click.testing import CliRunner

    from glassformer.cli.explain import explain

    shown = re.search(r"```\n(encoder\.layers.*?)```", README, re.DOTALL)
    assert shown is not None
    result = CliRunner().invoke(explain, ["I love data science", "--model", "worked-example"])
    assert result.exit_code == 0
    for line in shown[1].splitlines():
        assert line.strip() in result.output, line
