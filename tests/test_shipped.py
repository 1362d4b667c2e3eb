"""The models inside the package: what programs may rely on, and that each answers sensibly."""

import re
from pathlib import Path

import pytest

import glassformer as gf
from glassformer.shipped import shipped

MOST = 90 * 2**20  # bytes of all models together


@pytest.mark.parametrize("name", shipped())
def test_a_model_has_a_card_that_says_where_it_comes_from(name: str) -> None:
    card = (shipped()[name] / "README.md").read_text("utf-8")
    assert card.startswith(f"# {name}")
    for word in ("licence", "glassformer explain"):
        assert word in card.lower()
    for recipe in re.findall(r"recipes/[\w-]+\.toml", card):
        assert (Path(__file__).parents[1] / recipe).is_file(), recipe
    for log in re.findall(r"docs/runs/[\w.-]+", card):
        assert (Path(__file__).parents[1] / log.rstrip(".")).is_file(), log


def test_together_they_are_small() -> None:
    files = [path for folder in shipped().values() for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST


def test_sentiment() -> None:
    model = gf.load("sentiment")
    answers = model(["I love this!", "What a waste of an evening.", "The train leaves at nine."])
    assert [answer.label for answer in answers] == ["positive", "negative", "neutral"]
    assert set(answers[0].probabilities) == {"negative", "neutral", "positive"}


def test_entities() -> None:
    model = gf.load("entities")
    answer = model("Angela Merkel lives in Berlin.")
    assert [(one.type, one.text) for one in answer.entities] == [("PER", "Angela Merkel"), ("LOC", "Berlin")]
    assert set(model.task.kinds) == {"PER", "LOC", "ORG"}


def test_answers() -> None:
    model = gf.load("answers")
    context = "Marie Curie was born in Warsaw in 1867. She moved to Paris in 1891."
    answer = model("Where was Marie Curie born?", context)
    assert answer.text == "Warsaw"
    assert context[answer.start : answer.end] == "Warsaw"


def test_summaries() -> None:
    model = gf.load("summaries")
    text = (
        "Tidyfolder is a small command line program that sorts the files of a folder by their type and date. It can be "
        "run from cron and keeps a log of what it has moved."
    )
    assert model.task.decoding.by_agreement
    summary = model(text)
    words = summary.text.lower().split()
    assert 2 <= len(words) <= 16
    assert {"files", "folder", "sort", "sorts", "program", "tool", "command"} & set(words)


def test_shakespeare() -> None:
    model = gf.load("shakespeare")
    text = model("ROMEO:", seed=7, max_new_tokens=120)
    assert str(text) == str(model("ROMEO:", seed=7, max_new_tokens=120))
    assert str(text).startswith("ROMEO:")
    words = str(text)[6:].lower().split()
    assert len(words) > 10
    assert {"the", "and", "to", "of", "my", "you", "i", "thou", "not", "a", "that"} & set(words)
