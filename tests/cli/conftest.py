"""The command line, run inside the test's own process."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from glassformer.cli.main import run


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one command left behind."""

    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run one command as the shell would; `stdin` is what is piped in."""

    def call(*words: str, stdin: str | bytes = "") -> Result:
        piped = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped), encoding="utf-8"))
        capsys.readouterr()
        code = run(words)
        captured = capsys.readouterr()
        return Result(code=code, out=captured.out, err=captured.err)

    return call


def assert_refused(result: Result, *said: str) -> None:
    """Exit code 2 and one sentence that says `said`, with no traceback and nothing on standard output."""
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.startswith("glassformer: ")
    assert result.err.count("\n") == 1, result.err
    assert result.err.endswith("\n")
    assert "Traceback" not in result.err
    for words in said:
        assert words in result.err
