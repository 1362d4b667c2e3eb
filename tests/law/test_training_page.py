"""The page about training tells every line of a recipe as the recipe itself does."""

from pathlib import Path

from glassformer.shipped import shipped_recipes
from glassformer.training.recipe import descriptions

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")


def test_every_line_of_a_recipe_stands_there() -> None:
    missing = [
        f"{table}.{key}"
        for table, meanings in descriptions().items()
        for key, meaning in meanings.items()
        if f"| `{key}` | {meaning} |" not in PAGE
    ]
    assert not missing


def test_every_task_that_has_a_recipe_stands_there() -> None:
    assert all(f"| `{task}` |" in PAGE for task in shipped_recipes())
