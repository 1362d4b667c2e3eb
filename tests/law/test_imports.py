"""The import ladder: a file imports from its own rung and below, at its top, and importing does nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "glassformer"

RUNGS = (
    ("errors", "files", "config", "glass", "weights", "quantized", "shipped", "native"),
    ("nn",),
    ("model",),
    ("families",),
    ("pretrained", "surgery", "adapters"),
    ("text", "data", "foreign"),
    ("tasks", "decoding", "engine"),
    ("training", "evaluation", "inspection"),
    ("show", "export"),
    ("models", "serve", "studio", "cli", "__main__"),
)
RUNG = {room: rung for rung, rooms in enumerate(RUNGS) for room in rooms}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
HELP = "from glassformer.cli.main import run; run(['--help'])"
DATA_ONLY = {"families": {"errors", "config", "weights", "families"}}


def room(path: Path) -> str:
    """The room a file belongs to: its first folder, or its own name at the top."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Every import statement with each glassformer module it names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the whole name instead of a relative import"
            if node.module == "glassformer":  # what is taken from it may be a room
                yield from ((node, f"glassformer.{alias.name}") for alias in node.names)
            else:
                yield node, node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_from_its_own_rung_and_below(path: Path) -> None:
    mine = room(path)
    assert mine in RUNG, f"{mine} has no rung; add it to RUNGS"
    for node, module in imports(ast.parse(path.read_text("utf-8"))):
        parts = module.split(".")
        if parts[0] != "glassformer" or len(parts) == 1 or parts[1] == "__version__":
            continue
        assert RUNG[parts[1]] <= RUNG[mine], f"line {node.lineno}: {parts[1]} stands above {mine}"
        if mine in DATA_ONLY:
            assert parts[1] in DATA_ONLY[mine], f"line {node.lineno}: not data: {parts[1]}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if room(path) != "cli"], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_stand_at_the_top_except_in_the_command_line(path: Path) -> None:
    """A command imports torch only when it is run, so that --help is instant; nothing else may."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = [node.lineno for function in functions for node, _ in imports(function)]
    assert not inside, f"imports inside functions on lines {inside}"


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [path for path in FILES if drawers & {path.stem, *path.relative_to(PACKAGE).parent.parts}]


@pytest.mark.parametrize("start", ["import glassformer", HELP], ids=["import", "help"])
def test_neither_the_package_nor_its_help_imports_anything_heavy(start: str) -> None:
    heavy = "{'torch', 'numpy', 'rich', 'tokenizers', 'huggingface_hub'}"
    probe = f"{start}\nimport sys\nprint('heavy:', *sorted({heavy} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1].split() == ["heavy:"]
