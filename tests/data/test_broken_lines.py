"""A file in which one line in twenty is broken, in every way at once: the rest is read, and each such line told."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from glassformer.data.columns import KindName
from glassformer.data.readers import read_examples
from glassformer.data.reading import MAX_CHARACTERS, Reading
from glassformer.errors import InputError

EXAMPLES = 2000
EVERY = 20  # one in so many lines is broken
MEGABYTE = b"x" * 1_000_000

Line = Callable[[int], bytes]


def plain(number: int) -> str:
    return f"sentence «{number}», said plainly"


def good(form: str, number: int) -> bytes:
    """The line of one example; in CoNLL a sentence of three words and the empty line after it."""
    text, label = plain(number), ("no", "yes")[number % 2]
    written = {
        "tsv": f"{text}\t{label}\n",
        "csv": f'"{text}",{label}\n',
        "jsonl": json.dumps({"text": text, "label": label}) + "\n",
        "text": f"{text}\n",
        "conll": f"Ann\tB-PER\nLee\tI-PER\n{number}\tO\n\n",
    }
    return written[form].encode()


BROKEN: dict[str, Sequence[tuple[bytes, str]]] = {
    "tsv": [(b"a\tb\tc\n", "3 columns, not 2"), (b"alone\n", "1 column, not 2"), (b"\n", "is empty")],
    "csv": [
        (b"a,b,c\n", "3 columns, not 2"),
        (b"\n", "is empty"),
        (b'"open,no\n', "it"),  # a quote that is never closed, or by another's opening
        (b'"a"b,no\n', "is not csv"),
    ],
    "jsonl": [
        (b'{"text": "a"}\n', "no label"),
        (b'{"text"\n', "not JSON"),
        (b"[1]\n", "object"),
        (b"\n", "is empty"),
    ],
    "text": [(b"\n", "is empty"), (b"  \t\n", "is empty")],
    "conll": [
        (b"alone\n\n", "1 column, not 2"),
        (b"a\tb\tO\n\n", "3 columns, not 2"),
        (b"Ann\t\n\n", "tag is empty"),
    ],
}
ANYWHERE: Sequence[tuple[bytes, str]] = [
    (b"caf\xe9\tno\n", "not UTF-8 text (its byte 4 is 0xe9)"),
    (b"a\0b\tno\n", "NUL"),
    (MEGABYTE + b"\tno\n", f"more characters than max_characters, {MAX_CHARACTERS:,}"),
]


def written(form: str) -> tuple[bytes, list[tuple[int, str]]]:
    """A file's bytes, and each broken line's number with what is said of it."""
    faults = [*BROKEN[form], *ANYWHERE]
    end = b"\n" if form == "conll" else b""
    content, told = [b"text,label\n"] if form == "csv" else [], []
    line = len(content)
    for number in range(EXAMPLES):
        if number % EVERY == EVERY - 1:
            broken, reason = faults[number // EVERY % len(faults)]
            content.append(broken + (end if (broken, reason) in ANYWHERE else b""))
            told.append((line + 1, reason))
            line += content[-1].count(b"\n")
        content.append(good(form, number))
        line += content[-1].count(b"\n")
    return b"".join(content), told


KINDS: dict[str, KindName] = {
    "tsv": "labels",
    "csv": "labels",
    "jsonl": "labels",
    "text": "texts",
    "conll": "tags",
}
ENDINGS = {"text": "txt"}


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("form", KINDS)
def test_one_broken_line_in_twenty(form: str, packed: str, tmp_path: Path) -> None:
    content, told = written(form)
    path = tmp_path / f"file.{ENDINGS.get(form, form)}{packed}"
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    found = read_examples(KINDS[form], path)
    assert len(found.examples) == EXAMPLES
    assert [(each.file, each.line) for each in found.skipped] == [(str(path), line) for line, _ in told]
    for each, (_, reason) in zip(found.skipped, told, strict=True):
        assert reason in each.reason
        assert len(each.reason) < 100  # a line of a megabyte is not repeated


def test_the_examples_are_those_that_were_written(tmp_path: Path) -> None:
    for form in ("tsv", "csv", "jsonl"):
        path = tmp_path / f"file.{form}"
        path.write_bytes(written(form)[0])
        found = read_examples("labels", path).examples
        assert [each.text for each in found] == [plain(number) for number in range(EXAMPLES)]
        assert [each.labels for each in found] == [(("no", "yes")[number % 2],) for number in range(EXAMPLES)]


def test_a_broken_word_costs_its_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("Ann\tB-PER\nLee\n,\tO\n\nhere\tO\n")
    found = read_examples("tags", path)
    assert [each.words for each in found.examples] == [("here",)]
    (told,) = found.skipped
    assert (
        str(told) == f"{path}, line 2: it has 1 column, not 2; the rest of its sentence, 2 words, is left out"
    )


def test_a_stray_quote_costs_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\na,no\n"b,yes\nc,no\n"d\ne",yes\nf,no\n5" g,yes\n')
    found = read_examples("labels", path)
    assert [each.text for each in found.examples] == ["a", "c", "d\ne", "f", '5" g']
    assert [(each.line, each.reason) for each in found.skipped] == [
        (3, "it is not csv (',' expected after '\"')")
    ]


def test_a_bad_line_inside_a_cell_costs_that_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'text,label\n"a\n\xff\nb",no\nc,yes\n' + b"".join(b"d,no\n" for _ in range(9)))
    found = read_examples("labels", path)
    assert [each.text for each in found.examples] == ["c", *"ddddddddd"]
    assert [(each.line, each.reason) for each in found.skipped] == [
        (2, "line 3, inside one of its cells, cannot be read"),
        (3, "it is not UTF-8 text (its byte 1 is 0xff)"),
    ]


@pytest.mark.parametrize("characters", [100, 0])
def test_how_long_a_line_may_be_is_for_the_user_to_say(characters: int, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    lengths = [99, 100, 101, 500_000]
    path.write_text("".join("ä" * length + "\n" for length in lengths), encoding="utf-8")
    reading = Reading(max_characters=characters)
    found = read_examples("texts", path, reading)
    assert [len(each) for each in found.examples] == [n for n in lengths if not characters or n <= characters]
    assert len(found.examples) + len(found.skipped) == len(lengths)
    path.write_bytes(b"x" * 402)  # as long as what is read at once, and the file's end
    assert len(read_examples("texts", path, Reading(max_characters=0)).examples) == 1
    with pytest.raises(InputError, match="it has 402 characters"):
        read_examples("texts", path, Reading(max_characters=100))


def test_a_megabyte_in_one_line_is_not_held(tmp_path: Path) -> None:
    """A line of 200 MB takes no more memory than the limit allows."""
    import tracemalloc

    path = tmp_path / "a.txt.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b"good\n")
        for _ in range(20):
            stream.write(b"x" * 10_000_000)
        stream.write(b"\nalso good\n")
    tracemalloc.start()
    found = read_examples("texts", path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.examples == ["good", "also good"]
    assert [each.line for each in found.skipped] == [2]
    assert peak < 10_000_000


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\0\n", b"\xff\n"])
@pytest.mark.parametrize("form", [*KINDS, "json"])
def test_nothing_usable_is_one_sentence(form: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ENDINGS.get(form, form)}"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_examples(KINDS.get(form, "labels"), path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_another_encoding_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("été\nà la mer\nplage\n".encode("latin-1"))
    with pytest.raises(InputError, match="most lines of .* are not UTF-8 text .line 1: .*; convert it"):
        read_examples("texts", path)
