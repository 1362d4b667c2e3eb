"""Surveys, against the same figures counted another way, and guesses of what a file holds."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from glassformer.data.columns import KindName
from glassformer.data.guess import guess_kind
from glassformer.data.reading import Reading
from glassformer.data.survey import Spread, overlaps, survey
from glassformer.errors import InputError


def test_spreads_are_numpys() -> None:
    chance = random.Random(1)
    for size in (1, 2, 9, 10, 11, 1000):
        values = [chance.randint(0, 50) for _ in range(size)]
        spread = Spread.of(Counter(values))
        quantiles = np.quantile(values, [0, 0.5, 0.9, 0.99, 1], method="inverted_cdf").tolist()
        assert [spread.least, spread.median, spread.percent_90, spread.percent_99, spread.most] == quantiles
        assert spread.mean == pytest.approx(np.mean(values), abs=1e-12)
        assert spread.total == sum(values)


def test_a_survey_counts_everything_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("good film\tpos\nbad\tneg\nbad\tneg\nbad\tpos\nalone\n")

    def ids(texts: Sequence[str]) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    found = survey("labels", [path], Reading(), ids=ids, shown=1, problems=5)
    assert (found.examples, found.left_out, found.repeated, found.contradicted) == (4, 1, 1, 1)
    assert found.counts == {"label": {"pos": 2, "neg": 2}, "labels of a text": {"1": 4}}
    units = found.lengths["text"]
    assert (units["words"].total, units["characters"].most, units["tokens"].total) == (5, 9, 18)
    assert [each.text for each in found.shown] == ["good film"]
    assert [each.line for each in found.problems] == [5]


def test_questions_and_tags_are_counted(tmp_path: Path) -> None:
    questions = tmp_path / "a.jsonl"
    questions.write_text(
        '{"question": "q", "context": "a b", "answers": ["a", "b"]}\n'
        '{"question": "r", "context": "a b", "answers": []}\n'
    )
    found = survey("questions", questions, Reading())
    assert found.counts == {"answers of a question": {"2": 1, "0": 1}}
    assert found.lengths["answer"]["characters"].total == 2
    assert len(found.inputs) == 1  # one context
    tags = tmp_path / "a.conll"
    tags.write_text("Ann S-PER\nLee S-PER\nsings O\n")
    found = survey("tags", tags, Reading())
    assert found.scheme == "BIOES"
    assert found.counts["entity"] == {"PER": 2}


def test_what_sets_share(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("".join(f"text {number}\tpos\n" for number in range(10)))
    (tmp_path / "test.tsv").write_text("text 3\tneg\ntext 4\tneg\nother\tpos\n")
    (tmp_path / "names.txt").write_text("text 3\n")
    train, test = (survey("labels", tmp_path / f"{name}.tsv", Reading()) for name in ("train", "test"))
    names = survey("texts", tmp_path / "names.txt", Reading())
    (shared,) = overlaps([test, train, names])
    assert (shared.smaller, shared.shared, shared.inputs) == (test.name, 2, 3)


GUESSES: list[tuple[str, str, KindName]] = [
    ("a.conll", "Ann B-PER\n", "tags"),
    ("a.txt", "Ann B-PER\nsings O\n\nLee B-PER\n", "tags"),
    ("a.tsv", "Ann\tB-PER\nsings\tO\n", "tags"),
    ("a.txt", "Ann sings.\nO\n", "texts"),
    ("a.txt", "Good.\tpos\nBad.\tneg\n", "labels"),
    ("a.tsv", "".join(f"{n}\t{n % 2}\n" for n in range(30)), "labels"),
    ("a.tsv", "".join(f"{n}\tsentence {n}\n" for n in range(30)), "pairs"),
    ("a.tsv", "one column\n", "texts"),
    ("a.csv", "text,label\na,b\n", "labels"),
    ("a.csv", "en,de\na,b\n", "pairs"),
    ("a.jsonl", '{"text": "a", "summary": "b"}', "pairs"),
    ("a.jsonl", '{"tokens": ["a"], "ner_tags": ["O"]}', "tags"),
    ("a.jsonl", '{"context": "a", "question": "b", "answers": []}', "questions"),
    ("a.json", '{"data": [{"paragraphs": [{"context": "a", "qas": []}]}]}', "questions"),
    ("a.ndjson", '{"content": "a"}', "texts"),
    ("a.en", "a\n", "texts"),
]


@pytest.mark.parametrize(
    ("name", "content", "kind"), GUESSES, ids=[f"{name}-{kind}" for name, _, kind in GUESSES]
)
def test_guesses(name: str, content: str, kind: KindName, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert guess_kind([name], Reading(), tmp_path) == kind


def test_two_languages_are_pairs_and_options_speak_for_a_kind(tmp_path: Path) -> None:
    for name in ("a.en.gz", "a.de.gz", "a.tsv"):
        (tmp_path / name).write_text("a\tb\tc\n")
    assert guess_kind(["a.en.gz", "a.de.gz"], Reading(), tmp_path) == "pairs"
    assert guess_kind(["a.tsv"], Reading(text=0, label=1), tmp_path) == "labels"
    with pytest.raises(InputError, match="has 3 columns without headings; say by number"):
        guess_kind(["a.tsv"], Reading(), tmp_path)
    (tmp_path / "b.csv").write_text("x,y\na,b\n")
    with pytest.raises(InputError, match="has columns named x, y, which does not tell what it holds"):
        guess_kind(["b.csv"], Reading(), tmp_path)
    assert guess_kind(["b.csv"], Reading(text="x"), tmp_path) == "texts"
    assert guess_kind(["b.csv"], Reading(text="x", label="y"), tmp_path) == "labels"
