"""What a verb is asked about, however it is given."""

import gzip
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from glassformer.cli.inputs import answered, one_line, read_inputs
from glassformer.errors import InputError

QUESTION = ("question", "context")


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def write(path: Path, text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def test_texts_of_the_command_are_the_first_field() -> None:
    assert list(read_inputs(["a", "b"], None)) == [{"text": "a"}, {"text": "b"}]
    assert list(read_inputs(["a"], None, QUESTION, given={"context": "c"})) == [
        {"question": "a", "context": "c"}
    ]


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "x, y\n\nz\n"),
        ("a.en", "x, y\r\n\r\nz"),
        ("a.jsonl", '{"text": "x, y"}\n{"text": ""}\n\n{"text": "z", "more": 1}\n'),
        ("a.ndjson", '{"text": "x, y"}\n{"text": ""}\n{"text": "z"}\n'),
        ("a.tab", "text\tid\nx, y\t1\n\t2\nz\t3\n"),
        ("a.csv", 'id,text\n1,"x, y"\n2,\n\n3,z\n'),
        ("a.tsv", "id\ttext\n1\tx, y\n2\t\n3\tz\n"),
        ("a.csv", '\ufefftext\n"x, y"\n""\nz\n'),
    ],
)
def test_every_form_gives_the_same_rows(tmp_path: Path, name: str, content: str, end: str) -> None:
    path = write(tmp_path / (name + end), content)
    assert list(read_inputs([], path)) == [{"text": "x, y"}, {"text": ""}, {"text": "z"}]


def test_a_quoted_cell_may_hold_lines_and_a_megabyte(tmp_path: Path) -> None:
    long = "word " * 300_000
    path = write(tmp_path / "a.csv", f'question,context\n"a\nb","{long}"\n')
    assert list(read_inputs([], path, QUESTION)) == [{"question": "a\nb", "context": long}]


def test_fields_under_other_names_and_numbers(tmp_path: Path) -> None:
    table = write(tmp_path / "a.tsv", "review\tmore\nfine\t1\n")
    assert list(read_inputs([], table, named=["text=review"])) == [{"text": "fine"}]
    assert list(read_inputs([], table, named=["text=1"])) == [{"text": "more"}, {"text": "1"}]


def test_what_is_optional_may_be_absent(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", '{"text": "a", "pair": "b"}\n{"text": "c"}\n{"text": "d", "pair": null}\n'
    )
    rows = list(read_inputs([], path, ["text"], optional=["pair"]))
    assert rows == [{"text": "a", "pair": "b"}, {"text": "c"}, {"text": "d"}]


def test_what_is_given_need_not_stand_in_the_input(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "who\nwhere\n")
    assert list(read_inputs([], path, QUESTION, given={"context": "c"})) == [
        {"question": "who", "context": "c"},
        {"question": "where", "context": "c"},
    ]


def test_standard_input_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"a\r\n\nb\n\xff\n")
    rows = read_inputs([], None)
    assert [next(rows) for _ in range(3)] == [{"text": "a"}, {"text": ""}, {"text": "b"}]
    with pytest.raises(InputError, match=r"line 4 .* UTF-8"):
        next(rows)


def test_standard_input_in_another_form(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, json.dumps({"question": "q", "context": "c"}).encode())
    assert list(read_inputs([], "-", QUESTION, form="jsonl")) == [{"question": "q", "context": "c"}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "", ["is empty", "at least one text"]),
        ("a.txt", b"a\n\xff\n", ["line 2", "UTF-8"]),
        ("a.json", "[]", [".jsonl"]),
        ("a.jsonl", '{"text": "a"}\n{"text"\n', ["line 2", "not JSON"]),
        ("a.jsonl", '{"text": "a"}\n["b"]\n', ["line 2", "list", "object"]),
        ("a.jsonl", '{"text": 5}\n', ["line 1", "no text in 'text'"]),
        ("a.jsonl", '{"txet": "a"}\n', ["line 1", "'text'", "it has txet", "--field"]),
        ("a.jsonl", '{"text": "\\ud800"}\n', ["line 1", "half a character"]),
        ("a.jsonl", "[" * 200_000 + "\n", ["line 1", "not JSON"]),
        ("a.csv", "id,review\n1,b\n", ["'text'", "id, review", "--field text="]),
        ("a.csv", "id,text\n1,b\n2\n", ["line 3", "1 columns, not 2"]),
        ("a.csv", 'text\n"a\n', ["not csv", "quotes"]),
        ("a.txt.gz", None, ["gzip"]),
        ("missing.txt", None, ["missing.txt"]),
    ],
)
def test_bad_files_are_refused_before_the_first_row(
    tmp_path: Path, name: str, content: str | bytes | None, said: Sequence[str]
) -> None:
    path = tmp_path / name
    if content is not None:
        write(path, content)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(b"text" * 1000)[:-20])
    with pytest.raises((InputError, OSError)) as refused:
        read_inputs([], str(path))
    for words in said:
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("texts", "file", "options", "said"),
    [
        (["a"], "b.txt", {}, "give one of them"),
        (["a", " "], None, {}, "text 2 of 2 is empty"),
        (["a"], None, {"fields": QUESTION}, "its context is needed"),
        (["a"], None, {"named": ["text=a"]}, "names a column of --input"),
        ([], "b.jsonl", {"named": ["txt=a"]}, "text=NAME"),
        ([], "/", {}, "is a folder"),
    ],
)
def test_bad_words_are_refused(
    texts: list[str], file: str | None, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read_inputs(texts, file, **options)


def test_plain_lines_do_not_hold_two_fields(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its context is needed"):
        read_inputs([], write(tmp_path / "a.txt", "who\n"), QUESTION)
    path = write(tmp_path / "a.jsonl", '{"question": "q", "context": " "}\n')
    with pytest.raises(InputError, match="'context' is empty"):
        read_inputs([], path, QUESTION)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_blank_rows_keep_their_place(size: int) -> None:
    texts = ["a", "", "b", "c", " ", "d"]
    found = answered(
        iter([{"text": text} for text in texts]),
        size,
        lambda rows: [row["text"] * 2 for row in rows],
        things="texts",
    )
    assert [(row["text"], answer) for row, answer in found] == [
        ("a", "aa"), ("", None), ("b", "bb"), ("c", "cc"), (" ", None), ("d", "dd"),
    ]  # fmt: skip


def test_one_line() -> None:
    assert one_line("a\r\nb\n\nc") == "a b  c"
