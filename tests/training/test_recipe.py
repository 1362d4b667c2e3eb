"""Recipes: what they say is what runs, and what is wrong with one is said in a sentence."""

from dataclasses import fields
from pathlib import Path

import pytest

from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.training.recipe import DataTable, Recipe, TrainingTable, descriptions

WHOLE = """
task = "translation"
seed = 3

[data]
train = ["train.en.gz", "train.de.gz"]
dev = "dev.tsv"

[tokenizer]
kind = "unigram"
vocab_size = 4000

[model]
preset = "base"
d_model = 128
dropout = 0.3

[training]
max_minutes = 30
schedule = "cosine"
learning_rate = 2e-3
betas = [0.9, 0.99]

[decoding]
num_beams = 5
"""
LEAST = """
task = "translation"
data.train = "train.tsv"
training.epochs = 1
"""


def test_a_recipe_says_what_runs() -> None:
    recipe = Recipe.parse(WHOLE)
    assert recipe.data == DataTable(train=("train.en.gz", "train.de.gz"), dev="dev.tsv")
    assert recipe.training.max_minutes == 30.0
    assert recipe.training.betas == (0.9, 0.99)
    assert recipe.decoding == Decoding(num_beams=5)
    assert (recipe.tokenizer.kind, recipe.tokenizer.vocab_size, recipe.seed) == ("unigram", 4000, 3)
    base = {"stack": "encoder-decoder", "d_model": 512, "heads": 8, "d_ff": 2048}
    config = recipe.model.config({**base, "encoder_layers": 6, "decoder_layers": 6}, vocab_size=4000)
    assert (recipe.model.preset, config.d_model, config.heads, config.dropout) == ("base", 128, 8, 0.3)


@pytest.mark.parametrize("text", [WHOLE, LEAST])
def test_written_and_read_again_it_is_the_same(text: str) -> None:
    recipe = Recipe.parse(text)
    assert Recipe.parse(recipe.to_toml()) == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_text_survives_toml() -> None:
    odd = 'a "quoted" \\ name\twith é and 日本.tsv'
    recipe = Recipe(task="translation", data=DataTable(train=odd), training=TrainingTable(epochs=1))
    assert Recipe.parse(recipe.to_toml()).data.train == odd


BROKEN = {
    "seeed = 1": ("the top level of the recipe has no 'seeed'", "did you mean seed?"),
    "[training]\nlearning_rat = 1": ("[training] has no 'learning_rat'", "did you mean learning_rate?"),
    "[model]\nd_modle = 1": ("[model] has no 'd_modle'", "did you mean d_model?"),
    "[decoding]\nbeam = 1": ("[decoding] has no 'beam'", "did you mean num_beams?"),
    "[decoding]\nnum_beams = 0": ("[decoding]: num_beams is 0", "1 or more"),
    "[tokenizer]\nkind = 'bep'": ('[tokenizer]: kind is "bep"', "'bpe'"),
    "[tokenizer]\nlowercase = 1": ("[tokenizer]: lowercase is 1", "true or false"),
    "max_steps = 60": ("the top level of the recipe has no 'max_steps'", "did you mean training.max_steps?"),
    "[model]\nmax_steps = 1": ("[model] has no 'max_steps'", "did you mean training.max_steps?"),
    "[data]\nxyzzy = 1": ("[data] has no 'xyzzy'", "train, dev, test"),
    "[data]\ntrain = [1, 2]": ("[data]: train is", "a text or a list, each a text"),
    "[model]\nstart = 'a'\nfamily = 'bert'": ("[model] has start and family", "give one of them"),
    "[tuning]\nmethod = 'lora'\nrank = 0": ("[tuning]: rank is 0", "1 or more"),
    "[tuning]\nlayer_decay = 1.5": ("[tuning]: layer_decay is 1.5", "at most 1"),
    "[pretraining]\nmask_share = 1.0": ("[pretraining]: mask_share is 1.0", "between 0 and 1"),
    "[training]\nepochs = 1.5": ("[training]: epochs is 1.5", "a whole number"),
    "[training]\nbetas = [0.9]": ("[training]: betas is [0.9]", "a list of 2"),
    "[training]\nepochs = 1\nbetas = [0.9, 1.0]": ("[training]: betas is [0.9, 1.0]", "below 1"),
    "[training]\nmax_tokens = 10": ("[training]: the training has no end", "max_steps"),
    "[training]\nepochs = 1\nlearning_rate = -1": ("learning_rate is -1", "above 0"),
    "[training]\nepochs = 1\nlearning_rate = nan": ("learning_rate is nan", "above 0"),
    "[training]\nepochs = 1\nlearning_rate = inf": ("learning_rate is inf", "above 0"),
    "[training]\nepochs = 1\nclip_norm = nan": ("clip_norm is nan", "0 or more"),
    "[training]\nepochs = 1\nweight_decay = inf": ("weight_decay is inf", "0 or more"),
    "[tuning]\nalpha = nan": ("[tuning]: alpha is nan", "above 0"),
    "[pretraining]\nmean_span = nan": ("[pretraining]: mean_span is nan", "1 or more"),
    "[training]\nepochs = 1\nlabel_smoothing = 1": ("label_smoothing is 1.0", "below 1"),
    "[training]\nepochs = 1\naverage_last = 9": ("average_last is 9", "raise keep_last"),
    "[training]\nepochs = 1\naccumulate = 0": ("accumulate is 0", "1 or more"),
    "[training]\nepochs = 1\nmin_steps = -1": ("min_steps is -1", "0 or more"),
    "[training]\nepochs = true": ("[training]: epochs is true", "a whole number"),
    "training = 3": ("training is 3", "a table"),
    "seed = 'x'": ('seed is "x"', "a whole number"),
    "[training]\nepochs = 1": ("the top level of the recipe lacks task, data", "recipes that come"),
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_wrong_recipe_is_refused_in_one_sentence(text: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        Recipe.read(file)
    for part in (str(file), *BROKEN[text]):
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_broken_toml_is_refused_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "torn.toml"
    file.write_text('task = "translation"\n[training\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"torn\.toml: not valid TOML.*line 2"):
        Recipe.read(file)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml.*expected a recipe"):
        Recipe.read(tmp_path / "none.toml")
    with pytest.raises(InputError, match="expected a recipe"):
        Recipe.read(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        Recipe.read(tmp_path / "binary")


def test_every_key_has_its_line_of_help() -> None:
    tables = descriptions()
    assert list(tables) == ["", "data", "tokenizer", "model", "tuning", "pretraining", "training", "decoding"]
    assert all(line and "\n" not in line for table in tables.values() for line in table.values())
    assert set(tables["decoding"]) == {each.name for each in fields(Decoding)}


@pytest.mark.parametrize("role", ["train", "dev", "test"])
def test_a_role_names_a_file_or_is_left_out(role: str) -> None:
    for none in ("", (), ("a.tsv", "")):
        with pytest.raises(InputError, match=f"{role} names no file"):
            DataTable(**{"train": "a.tsv", role: none})
