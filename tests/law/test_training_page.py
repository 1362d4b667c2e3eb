"""The page about training tells every line of a recipe as the recipe itself does."""

from dataclasses import fields
from pathlib import Path
from typing import get_args

from glassformer.config import TransformerConfig
from glassformer.shipped import shipped_recipes
from glassformer.training.lessons import LESSONS
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


def test_every_field_of_a_model_stands_there() -> None:
    words = {each.name: get_args(each.type) for each in fields(TransformerConfig)}
    missing = [name for name in words if f"| `{name}` | " not in PAGE]
    assert not missing
    positions = next(line for line in PAGE.splitlines() if line.startswith("| `positions` |"))
    assert all(f"`{word}`" in positions for word in words["positions"])


def test_every_figure_that_a_training_can_be_judged_by_stands_there() -> None:
    for task, lesson in LESSONS.items():
        assert f"| `{task}` | {', '.join(f'`{name}`' for name in lesson.figures)} |" in PAGE


def test_every_task_that_has_a_recipe_stands_there() -> None:
    assert all(f"| `{task}` |" in PAGE for task in shipped_recipes())
