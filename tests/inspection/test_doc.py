"""The page's examples print what the page says."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any


def test_every_example_prints_what_stands_below_it(root: Path) -> None:
    page = (root / "docs" / "inspection.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", page, re.DOTALL)
    assert len(blocks) > 6
    names: dict[str, Any] = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "inspection.md", "exec"), names)  # noqa: S102 (our own words)
        assert printed.getvalue() == expected, code
