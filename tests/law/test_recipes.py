"""Every recipe that comes with the project parses, is documented, and asks for what can be measured."""

from pathlib import Path

import pytest

from glassformer.shipped import shipped
from glassformer.training.lessons import LESSONS
from glassformer.training.recipe import Recipe
from glassformer.training.run import checked, decided
from glassformer.training.start import config_of

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_can_be_run(path: Path) -> None:
    recipe = Recipe.read(path)
    lesson = checked(recipe)
    assert recipe.training.metric in lesson.figures
    if recipe.model.start is None:
        fields = {"vocab_size": recipe.tokenizer.vocab_size, **decided(lesson, recipe, 2)}
        assert config_of(recipe.model, lesson.fields, fields)[0].head == lesson.head
    else:
        assert recipe.model.start in shipped() or recipe.model.start.startswith("runs/")
    assert Recipe.parse(recipe.to_toml()) == recipe
    assert path.read_text("utf-8").startswith("# ")


def test_every_task_has_a_recipe() -> None:
    assert {Recipe.read(path).task for path in RECIPES} <= set(LESSONS)
    assert {path.stem for path in RECIPES} >= {"translate-en-fr", "multi30k"}
