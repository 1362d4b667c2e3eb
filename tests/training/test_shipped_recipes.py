"""The recipes inside the package: each trains on a file of examples, and nothing else is needed."""

from pathlib import Path

import pytest
import torch

import glassformer as gf
from glassformer.errors import InputError
from glassformer.shipped import shipped_recipes
from glassformer.training.lessons import LESSONS
from glassformer.training.precision import chosen, multiplies_bfloat16
from glassformer.training.recipe import Recipe
from glassformer.training.run import run_recipe

QUESTION = (
    '{"question": "Where is Ann?", "context": "Ann is in Oslo now.", '
    '"answers": {"text": ["Oslo"], "answer_start": [10]}}\n'
)
FILES = {
    "classification": ("reviews.csv", "text,label\n" + "A good film.,good\nA bad film.,bad\n" * 10),
    "tagging": ("names.conll", "Ann\tB-PER\nlives\tO\nin\tO\nOslo\tB-LOC\n\n" * 20),
    "answering": ("questions.jsonl", QUESTION * 20),
    "summarization": ("packages.csv", "text,summary\n" + "A tool that sorts the files of a folder.,sorts files\n" * 40),
    "translation": ("pairs.tsv", "A cat sleeps here.\tUn chat dort ici.\n" * 60),
    "generation": ("book.txt", "The cat sat on the mat. " * 200),
}


def test_every_task_has_one() -> None:
    assert set(FILES) == set(shipped_recipes())
    assert set(FILES) <= set(LESSONS)


@pytest.mark.parametrize("task", FILES)
def test_it_trains_on_a_file(task: str, tmp_path: Path) -> None:
    name, text = FILES[task]
    (tmp_path / name).write_text(text, "utf-8")
    values = Recipe.read(task).to_dict()
    assert values["task"] == task
    values["training"] = {**values["training"], "max_steps": 2, "precision": "float32"}
    if task == "translation":
        values["tokenizer"]["vocab_size"] = 60
    records = list(run_recipe(Recipe.from_dict(values), [str(tmp_path / name)], tmp_path / "run"))
    assert records[-1].step == 2
    assert any(each.kind == "evaluation" for each in records)
    gf.load(str(tmp_path / "run" / "best"))


def test_a_name_that_no_recipe_has_is_told_which_there_are() -> None:
    with pytest.raises(InputError, match="expected a recipe, a TOML file, or one of answering, classification"):
        Recipe.read("xyzzy")


def test_precision_is_chosen_by_the_device() -> None:
    cpu = torch.device("cpu")
    assert chosen("float32", cpu) == "float32"
    assert chosen("bfloat16", cpu) == "bfloat16"
    assert chosen("auto", cpu) == ("bfloat16" if multiplies_bfloat16(cpu) else "float32")
    flags = Path("/proc/cpuinfo")
    if flags.exists() and "flags" in flags.read_text():
        said = flags.read_text()
        assert multiplies_bfloat16(cpu) == ("avx512_bf16" in said or "amx_bf16" in said)
