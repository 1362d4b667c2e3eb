"""The examples of docs/learn.md and docs/workbook.md print what stands below them."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("page", ["learn", "workbook"])
def test_every_example_prints_what_stands_below_it(
    page: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(
        r"```python\n(.*?)```\n```text\n(.*?)```", (root / "docs" / f"{page}.md").read_text("utf-8"), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    assert blocks
    names: dict[str, Any] = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{page}.md", "exec"), names)  # noqa: S102 (our own words)
        assert printed.getvalue() == expected, code
