"""The page of a report: whole, alone, safe, and with no number that the report does not have."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from glassformer.errors import InputError
from glassformer.evaluation.classification import SINGLE, bins, confusion, single
from glassformer.evaluation.report import (
    Case,
    Confusion,
    Mark,
    Part,
    Report,
    apart,
    asked,
    by_length,
    by_name,
    grouped,
    grouped_by_source,
    labelled,
    worst_of,
)
from glassformer.show.report import as_json, page, write_report

EVIL = '<script>alert("x")</script> & "quotes" </style>'
RANDOM = np.random.default_rng(0)
PROBABILITIES = RANDOM.dirichlet(np.ones(3), 90)
WANTED = RANDOM.integers(0, 3, 90)
LABELS = ("bad", EVIL, "good")
VOID = {"meta", "link", "br", "line", "rect", "circle"}


def full(bootstrap: int = 30) -> Report:
    """A report with everything in it."""
    measured = single(WANTED, PROBABILITIES)
    names, numbers = by_length(list(range(1, 91)))
    counts = confusion(WANTED, PROBABILITIES.argmax(-1), 3)
    text = f"{EVIL} Anna Lee"
    marks = (Mark(start=len(text) - 8, end=len(text), name=EVIL, kind="missed"),)
    parts = (Part(name="wanted", text=text, marks=marks), Part(name="text", text="long " * 400))
    return Report(
        task="classification",
        model=EVIL,
        data=(f"folder/{EVIL}",),
        scores=measured.scores(SINGLE, "labels:3", bootstrap=bootstrap),
        counts={"texts": 90},
        settings={"threshold": 0.5, "stemmer": True, EVIL: None},
        notes=(EVIL,),
        groupings=(
            labelled("label", LABELS, measured, measured.resampled(bootstrap)),
            grouped("words", names, numbers, measured, ("accuracy", "nll")),
        ),
        confusion=Confusion(labels=LABELS, counts=tuple(map(tuple, counts.tolist()))),
        calibration=bins(measured),
        worst=(Case(number=7, figures={"nll": 3.25, "errors": 2.0, "probability": 0.125}, parts=parts),),
    )


class Reader(HTMLParser):
    """Which elements there are, whether each is closed, and all text between."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_is_whole_and_stands_alone() -> None:
    html = page(full())
    reader = read(html)
    assert reader.links == []
    assert not re.search(r"https?://|url\(|@import", html)
    assert reader.found.count("script") == 1  # the one that asks for dark colours
    assert reader.found.count("section") == 7
    assert EVIL not in html
    assert reader.text.count("alert(") >= 5


def test_every_figure_is_on_the_page() -> None:
    report = full()
    text = read(page(report)).text
    for score in report.scores.values():
        assert score.written(score.value) in text
        assert score.range in text
        assert score.signature in text
    for grouping in report.groupings:
        for group in grouping.groups:
            assert group.name in text
    for row in report.confusion.counts if report.confusion else ():
        assert all(str(count) in text for count in row)
    for words in ("example 7", "-log p 3.2500", "errors 2", "probability 12.5%", "0.5", "yes", "not set"):
        assert words in text


def test_what_a_report_does_not_have_is_left_out() -> None:
    bare = Report(task="language", scores=full(0).scores, counts={"texts": 1})
    reader = read(page(bare))
    assert reader.found.count("section") == 2
    assert "95 %" not in reader.text
    assert "None" not in reader.text


def test_of_many_labels_the_most_frequent_confusions_are_listed() -> None:
    labels = tuple(f"label {number}" for number in range(40))
    counts = np.diag(np.full(40, 9))
    counts[3, 5], counts[7, 1] = 4, 2
    found = Confusion(labels=labels, counts=tuple(map(tuple, counts.tolist())))
    text = read(page(replace(full(), confusion=found))).text
    assert text.index("label 3label 54") < text.index("label 7label 12")
    right = Confusion(labels=labels, counts=tuple(map(tuple, np.diag(np.ones(40, int)).tolist())))
    assert "every label is right" in read(page(replace(full(), confusion=right))).text


def test_both_files_are_written_and_the_json_holds_it_all(tmp_path: Path) -> None:
    report, folder = full(), tmp_path / "a" / "b"
    assert [path.name for path in write_report(report, folder)] == ["report.json", "report.html"]
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    written = json.loads((folder / "report.json").read_text("utf-8"))
    assert written == json.loads(as_json(report))
    assert written["scores"]["accuracy"]["low"] == report.scores["accuracy"].low
    assert written["worst"][0]["parts"][0]["marks"][0]["kind"] == "missed"
    assert (folder / "report.html").read_text("utf-8") == page(report)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be made a folder"):
        write_report(report, tmp_path / "file")


def test_lengths_double() -> None:
    names, numbers = by_length([1, 4, 5, 8, 9, 16, 17, 100])
    assert [names[number] for number in numbers] == [
        *("1 to 4", "1 to 4", "5 to 8", "5 to 8", "9 to 16", "9 to 16", "17 to 32", "65 to 128")
    ]
    assert by_name(["b", "a", "b"])[0] == ["b", "a"]
    assert by_length([])[0] == []


def test_the_worst_come_first_and_what_costs_nothing_is_not_bad() -> None:
    assert worst_of([0.0, 2.0, 1.0, 2.0]) == [1, 3, 2]
    assert worst_of([0.0, 2.0, 1.0, 2.0], [0.9, 0.1, 0.5, 0.8]) == [3, 1, 2]
    assert worst_of([1.0, 1.0, 1.0], most=2) == [0, 1]


def test_of_two_marks_that_overlap_the_first_stays() -> None:
    marks = [Mark(start=s, end=e, name="", kind="right") for s, e in ((5, 9), (8, 12), (0, 5), (9, 10))]
    assert [(mark.start, mark.end) for mark in apart(marks)] == [(0, 5), (5, 9), (9, 10)]


def test_answers_come_back_in_order_however_they_were_asked_for() -> None:
    asked_for: list[list[int]] = []

    def double(lot: list[int]) -> list[int]:
        asked_for.append(lot)
        return [2 * each for each in lot]

    items = list(range(600, 0, -1))
    told: list[int] = []
    assert asked(items, items, double, told.append) == [2 * each for each in items]
    assert [each for lot in asked_for for each in lot] == sorted(items)
    assert told == [256, 256, 88]


def test_a_source_on_several_lines_has_several_references() -> None:
    assert grouped_by_source(["a", "b", "a", "a"], ["1", "2", "1", "3"]) == (["a", "b"], [["1", "3"], ["2"]])
