"""Data sets by `datasets`, streamed: here from a folder laid out like one of the hub, since no test may go out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from glassformer.data.examples import LabelledText, Pair, TaggedSentence
from glassformer.data.readers import hub_roles, iterate_examples, read_examples
from glassformer.data.reading import Reading
from glassformer.errors import InputError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "reviews"
    folder.mkdir()
    for split, label in (("train", "pos"), ("test", "neg")):
        rows = ({"text": f"{split} {number}", "label": label} for number in range(5))
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_split_is_streamed(home: Path) -> None:
    found = read_examples("labels", f"hub:{home}")
    assert found.examples == [LabelledText(text=f"train {number}", labels=("pos",)) for number in range(5)]
    test = read_examples("labels", f"hub:{home}", Reading(split="test"))
    assert {each.labels for each in test.examples} == {("neg",)}


def test_roles_are_splits(home: Path) -> None:
    (home / "test.jsonl").rename(home / "validation.jsonl")
    roles = hub_roles(f"hub:{home}", Reading(multiple=True))
    assert roles == {
        role: Reading(multiple=True, split=split)
        for role, split in (("train", "train"), ("dev", "validation"))
    }
    with pytest.raises(InputError, match="the hub gives no nobody/nothing here"):
        hub_roles("hub:nobody/nothing", Reading())


def test_what_is_not_there_is_refused(home: Path, tmp_path: Path) -> None:
    for name, split in (
        (str(home), "dev"),
        (str(tmp_path / "nothing"), "train"),
        ("nobody/nothing", "train"),
    ):
        with pytest.raises(InputError, match=f"the hub gives no .*{split}") as refused:
            read_examples("labels", f"hub:{name}", Reading(split=split))
        assert "\n" not in str(refused.value)


class Endless:
    """A stream without end, as a data set larger than memory looks from here."""

    def __init__(self, features: datasets.Features | None, row: dict[str, Any]) -> None:
        self.features, self.row, self.taken = features, row, 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            self.taken += 1
            yield self.row


def given(monkeypatch: pytest.MonkeyPatch, stream: object) -> list[tuple[object, ...]]:
    asked: list[tuple[object, ...]] = []

    def load_dataset(name: str, subset: str | None, *, split: str, streaming: bool) -> object:
        asked.append((name, subset, split, streaming))
        return stream

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_no_more_is_read_than_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    features = datasets.Features(
        tokens=datasets.List(datasets.Value("string")),
        ner_tags=datasets.List(datasets.ClassLabel(names=["O", "B-PER"])),
    )
    stream = Endless(features, {"tokens": ["Ann", "sings"], "ner_tags": [1, 0]})
    asked = given(monkeypatch, stream)
    reading = Reading(subset="en", split="validation", scheme="IOB2")
    rows = iterate_examples("tags", "hub:some/names", reading)
    assert next(rows) == TaggedSentence(words=("Ann", "sings"), tags=("B-PER", "O"))
    assert asked == [("some/names", "en", "validation", True)]
    assert stream.taken < 20_000


def test_a_stream_whose_columns_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, Endless(None, {"translation": {"de": "Ja.", "en": "Yes."}}))
    assert next(iterate_examples("pairs", "hub:opus_books")) == Pair("Ja.", "Yes.")


def test_a_line_that_breaks_off_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows() -> Iterator[dict[str, str]]:
        yield from ({"text": "a"} for _ in range(150))
        raise ConnectionError("the line is dead\nand more")

    stream = Endless(None, {})
    monkeypatch.setattr(Endless, "__iter__", lambda self: rows())
    given(monkeypatch, stream)
    with pytest.raises(
        InputError, match=r"hub/set\[train\] breaks off after row 150 \(the line is dead\); try again"
    ):
        read_examples("texts", "hub:hub/set")


def test_without_the_library_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassformer.data.arrow.import_module", missing)
    with pytest.raises(InputError, match=r"datasets is needed .* pip install 'glassformer\[data\]'"):
        read_examples("texts", "hub:hub/set")


def missing(name: str) -> object:
    raise ModuleNotFoundError(name)
