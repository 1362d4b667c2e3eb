"""Every recipe that comes with the project parses, is documented, and asks for what can be measured."""

from pathlib import Path

import pytest

from glassformer.training.recipe import Recipe
from glassformer.training.run import TASKS, TRANSLATION_FIGURES, config_of

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_can_be_run(path: Path) -> None:
    recipe = Recipe.read(path)
    assert recipe.task in TASKS
    assert recipe.training.metric.lower() in TRANSLATION_FIGURES
    assert config_of(recipe, recipe.tokenizer.vocab_size).stack == "encoder-decoder"
    assert Recipe.parse(recipe.to_toml()) == recipe
    assert path.read_text("utf-8").startswith("# ")


def test_there_are_recipes() -> None:
    assert {path.stem for path in RECIPES} >= {"translate-en-fr", "multi30k"}
