"""What docs/glass.md shows is what happens."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "glass.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n```text\n(.*?)```)?", PAGE, re.DOTALL)


def test_every_example_prints_what_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(BLOCKS) >= 8
    names: dict[str, object] = {}
    for code, shown in BLOCKS:
        exec(compile(code, "docs/glass.md", "exec"), names)  # noqa: S102 (our own words)
        assert capsys.readouterr().out == shown, code
