"""What is exported is what is public, and a forward reads no configuration."""

import ast
from pathlib import Path

import pytest

import glassformer

PACKAGE = Path(glassformer.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def test_all_is_sorted_and_each_name_can_be_had() -> None:
    assert list(glassformer.__all__) == sorted(glassformer.__all__)
    for name in glassformer.__all__:
        assert getattr(glassformer, name) is not None
    assert dir(glassformer) == sorted(glassformer.__all__)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="Transformer"):
        glassformer.transformer  # noqa: B018


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_modules_all_equals_its_public_definitions(path: Path) -> None:
    """A file that says what it exports says all of it, and no more."""
    tree = ast.parse(path.read_text("utf-8"))
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    named = [node for node in assigned if ast.unparse(node.targets[0]) == "__all__"]
    if not named or path == PACKAGE / "__init__.py":
        return
    definitions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    defined = {node.name for node in definitions if not node.name.startswith("_")}
    assert defined <= set(ast.literal_eval(named[0].value))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_forward_reads_a_config(path: Path) -> None:
    for part in ast.walk(ast.parse(path.read_text("utf-8"))):
        methods = part.body if isinstance(part, ast.ClassDef) else []
        for method in methods:
            if isinstance(method, ast.FunctionDef) and method.name in ("forward", "body", "encode"):
                reads = [node.lineno for node in ast.walk(method) if names_config(node)]
                assert not reads, f"{method.name} reads a config on lines {reads}; decide in __init__"


def names_config(node: ast.AST) -> bool:
    """`config` or `self.config`."""
    return (isinstance(node, ast.Attribute) and node.attr == "config") or (
        isinstance(node, ast.Name) and node.id == "config"
    )
