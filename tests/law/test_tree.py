"""The tree itself: nothing unfinished, nothing of one machine, README and CI in the same words."""

import re
import tomllib
from pathlib import Path

import pytest

import glassformer

ROOT = Path(__file__).parents[2]
PLACES = ("src", "tests", "recipes", "docs", "benchmarks", "examples", ".ci")
SUFFIXES = {".py", ".toml", ".md", ".txt", ".js", ".css", ".html", ".json", ".yml", ""}
SELF = Path(__file__)


def texts() -> list[Path]:
    """Every text file of ours; weights and caches are not read."""
    files = [*ROOT.glob("*"), *(path for place in PLACES for path in (ROOT / place).rglob("*"))]
    ours = [path for path in files if path.suffix in SUFFIXES and "__pycache__" not in path.parts]
    others = {SELF, ROOT / ".git"}  # a work tree has a file of that name, which says where its repository is
    return sorted(path for path in ours if path.is_file() and path not in others)


UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError")
ONE_MACHINE = re.compile(r"(?<![\w./-])/(work|root|home|tmp)/|\.\./shared|\.\./\.library")
REGISTRY = re.compile(r"(pypi\.org|pythonhosted\.org|registry\.npmjs\.org|crates\.io|proxy\.golang\.org)")
EXECUTED = re.compile(r"pickle\.loads?\(|torch\.load\(|(?<![\w.])eval\((?!\))")


@pytest.mark.parametrize(
    "law", [UNFINISHED, ONE_MACHINE, REGISTRY, EXECUTED], ids=lambda law: law.pattern[:20]
)
def test_no_file_breaks(law: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if law.search(line)
    ]
    assert not found, "\n".join(found)


def commands(name: str) -> str:
    """The README's own command under its marker."""
    readme = (ROOT / "README.md").read_text("utf-8")
    return dict(re.findall(r"<!-- (\w+) -->\s*```sh\n(.+?)\n```", readme, re.DOTALL))[name]


def test_the_readme_has_one_line_to_run_and_one_to_test() -> None:
    for name in ("run", "test"):
        assert "\n" not in commands(name)
        assert commands(name).startswith("python3 -m venv ")


def test_ci_runs_the_readmes_own_words() -> None:
    """The script takes the line out of the README, so the two cannot differ."""
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "README.md" in script
    assert "pytest" not in re.sub(r"#.*", "", script)


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "version" not in project
    assert re.fullmatch(r"\d+\.\d+\.\d+", glassformer.__version__)
    assert glassformer.__version__ in (ROOT / "CHANGELOG.md").read_text("utf-8")
