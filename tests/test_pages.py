"""Examples on pages print what the pages say."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("page", ["inspection.md", "tasks.md"])
def test_every_example_prints_what_stands_below_it(page: str, root: Path) -> None:
    text = (root / "docs" / page).read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", text, re.DOTALL)
    assert blocks
    names: dict[str, Any] = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page, "exec"), names)  # noqa: S102 (our own words)
        assert printed.getvalue() == expected, code
