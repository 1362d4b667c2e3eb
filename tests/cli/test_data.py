"""`glassformer data inspect`: everything on one page, the same as JSON, and refusals of one sentence."""

import json
import sys
from pathlib import Path

import click
import pytest

from glassformer.cli.data import data

from .conftest import Call, assert_refused

ROWS = "good film\tpos\nbad\tneg\nbad\tneg\nalone\n" + "so \u2026\tpos\n" * 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.tsv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "test.tsv").write_text("bad\tpos\nnew\tneg\n")
    (tmp_path / "notes.md").write_text("not data")
    return tmp_path


def test_a_page(call: Call, folder: Path) -> None:
    result = call(
        "data", "inspect", str(folder / "train.tsv"), "--tokenizer", "tatoeba-en-fr", "--examples", "1"
    )
    assert (result.code, result.err) == (0, "")
    for words in (
        "6 labelled texts",
        "tokens",
        "pos 4 66.7%",
        "repeated examples: 3",
        "lines left out: 1",
        f"{folder / 'train.tsv'}, line 4: it has 1 column, not 2",
        "good film",
    ):
        assert words in " ".join(result.out.split()), words
    assert "so \u2026" not in result.out  # one example was asked for


def test_a_folder_is_its_files_and_what_they_share_is_told(call: Call, folder: Path) -> None:
    result = call("data", "inspect", str(folder), "--problems", "0")
    assert result.code == 0
    assert "notes.md" not in result.out
    assert "line 4" not in result.out
    assert result.out.splitlines()[-1] == (
        f"1 of 2 inputs of {folder / 'test.tsv'} (50.0%) also stand in {folder / 'train.tsv'}"
    )


def test_nothing_shared_is_said_too(call: Call, folder: Path) -> None:
    (folder / "test.tsv").write_text("new\tneg\n")
    assert call("data", "inspect", str(folder)).out.splitlines()[-1] == "no input stands in two sets"


def test_json_has_it_all(call: Call, folder: Path) -> None:
    result = call("data", "inspect", str(folder / "test.tsv"), str(folder / "train.tsv"), "--json")
    found = json.loads(result.out)
    test, train = found["sets"]
    assert train["examples"] == 6
    assert train["kind"] == "labels"
    assert train["lengths"]["text"]["words"]["most"] == 2
    assert train["counts"]["label"] == {"pos": 4, "neg": 2}
    assert train["problems"] == [
        {"file": str(folder / "train.tsv"), "line": 4, "reason": "it has 1 column, not 2", "unit": "line"}
    ]
    assert test["shown"][0] == {"text": "bad", "pair": None, "labels": ["pos"]}
    assert found["overlaps"] == [
        {"larger": str(folder / "train.tsv"), "smaller": str(folder / "test.tsv"), "shared": 1, "inputs": 2}
    ]


def test_every_kind_has_its_page(call: Call, tmp_path: Path) -> None:
    files = {
        "a.conll": ("Ann B-PER\nsings O\n", "Ann/B-PER sings"),
        "b.conll": ("Ann NNP\nsings VBZ\n", "VBZ"),
        "a.jsonl": ('{"question": "Who?", "context": "Ann sings", "answers": ["Ann"]}', "Ann (0)"),
        "b.jsonl": ('{"question": "Who?", "context": "Ann sings", "answers": []}', "answers   none"),
        "a.csv": ("source,target\nlong,short\nlong,brief\n", "inputs with several targets: 1"),
        "a.txt": ("Ann sings.\n" + "x" * 400 + "\n", "x …"),
        "c.jsonl": ('{"text": "a", "label": ["x", "y"]}', "labels of a text"),
    }
    for name, (content, _) in files.items():
        (tmp_path / name).write_text(content)
    for name, (_, expected) in files.items():
        result = call("data", "inspect", str(tmp_path / name), *(["--multiple"] if name == "c.jsonl" else []))
        assert result.code == 0, result
        assert expected in result.out


def test_parallel_texts(call: Call, tmp_path: Path) -> None:
    for name, text in (("a.en", "Yes.\n"), ("a.fr", "Oui.\n"), ("b.en", "No.\n"), ("b.fr", "Non.\n")):
        (tmp_path / name).write_text(text)
    names = [str(tmp_path / name) for name in ("a.en", "a.fr", "b.en", "b.fr")]
    assert "1 pair of texts" in call("data", "inspect", *names[:2]).out
    assert call("data", "inspect", *names, "--kind", "pairs").out.count("1 pair of texts") == 2
    assert call("data", "inspect", *names).out.count("1 text\n") == 4
    assert_refused(call("data", "inspect", *names[:3], "--kind", "pairs"), "parallel texts come in twos")


def test_more_values_than_are_listed(call: Call, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"a,{number % 25}\n" for number in range(100)))
    assert "5 more" in call("data", "inspect", str(tmp_path / "a.csv")).out


def test_a_watched_command_says_what_it_does(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "2 labelled texts" in call("data", "inspect", str(folder / "test.tsv")).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.tsv"], "there is no file nothing.tsv"),
        ([], "Missing argument"),
        (["{folder}/notes.md", "--kind", "labels"], "is no table by its name or its first line"),
        (["{folder}/empty"], "has no file with examples"),
        (["{folder}/train.tsv", "--text", "7"], "column 7 was asked for"),
        (["{folder}/train.tsv", "--max-characters", "5"], "max_characters is 5"),
        (["{folder}/train.tsv", "--tokenizer", "./nowhere"], "there is no folder ./nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(call: Call, folder: Path, words: list[str], said: str) -> None:
    (folder / "empty").mkdir()
    given = [word.format(folder=folder) for word in words]
    assert_refused(call("data", "inspect", *given), said)


def test_every_option_has_a_help_text(call: Call) -> None:
    (inspect,) = data.commands.values()
    for option in inspect.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
    assert "--max-characters" in call("data", "inspect", "--help").out
