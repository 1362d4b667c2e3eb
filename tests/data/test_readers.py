"""Pairs from every kind of file, what is left out with its line, and the sentences that refuse bad files."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from glassformer.data.examples import Pair, Skipped
from glassformer.data.readers import iterate_examples, read_examples
from glassformer.data.reading import Reading
from glassformer.errors import InputError

PAIRS = [
    Pair("Run!", "Cours\u202f!"),
    Pair('Say "no", Tom.', "Dis «\u00a0non\u00a0», Tom."),
    Pair("a\u2028b", "c\u0085d"),
]
Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(name: str, content: str | bytes) -> Path:
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return tmp_path

    return put


TABLES = {
    "train.tsv": 'Run!\tCours\u202f!\nSay "no", Tom.\tDis «\u00a0non\u00a0», Tom.\na\u2028b\tc\u0085d\n',
    "train.csv": "source,target\nRun!,Cours\u202f!\n"
    '"Say ""no"", Tom.","Dis «\u00a0non\u00a0», Tom."\na\u2028b,c\u0085d\n',
    "train.jsonl": '{"source": "Run!", "target": "Cours\\u202f!"}\n'
    '{"target": "Dis «\u00a0non\u00a0», Tom.", "source": "Say \\"no\\", Tom."}\n'
    '{"source": "a\u2028b", "target": "c\u0085d", "more": 1}\n',
}


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str, packed: str, write: Write) -> None:
    read = read_examples("pairs", name + packed, folder=write(name + packed, TABLES[name]))
    assert read.examples == PAIRS
    assert read.skipped == []


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_parallel_texts(packed: str, write: Write) -> None:
    write("train.fr" + packed, "".join(pair.target + "\n" for pair in PAIRS))
    folder = write("train.en" + packed, "".join(pair.source + "\n" for pair in PAIRS))
    assert read_examples("pairs", ["train.en" + packed, "train.fr" + packed], folder=folder).examples == PAIRS


def test_a_pattern_reads_its_files_in_order(write: Write) -> None:
    write("train.part2.tsv.gz", "c\td\n")
    write("dev.tsv", "e\tf\n")
    folder = write("train.part1.tsv.gz", "a\tb")
    assert read_examples("pairs", "train.part*.tsv.gz", folder=folder).examples == [Pair("a", "b"), Pair("c", "d")]


def test_columns_by_number_and_by_name(write: Write) -> None:
    write("named.tsv", "id\tde\ten\n1\tHallo\tHello\n")
    write("other.csv", "id,de,en\n1,Hallo,Hello\n")
    write("other.jsonl", '{"de": "Hallo", "en": "Hello"}\n')
    folder = write("plain.tsv", "1\tHallo\tHello\n")
    named = [(name, "en", "de") for name in ("named.tsv", "other.csv", "other.jsonl")]
    for name, source, target in [*named, ("plain.tsv", 2, 1), ("other.csv", 2, "de")]:
        read = read_examples("pairs", name, Reading(source=source, target=target), folder=folder)
        assert read.examples == [Pair("Hello", "Hallo")]


def test_a_third_column_is_no_fault_where_columns_are_asked_for(write: Write) -> None:
    read = read_examples("pairs", "a.tsv", Reading(source=0, target=1), folder=write("a.tsv", "a\tb\tthanks\nc\n"))
    assert read.examples == [Pair("a", "b")]
    assert [(one.line, one.reason[:16]) for one in read.skipped] == [(2, "it has 1 column,")]


def test_line_ends_and_a_byte_order_mark_are_no_content(write: Write) -> None:
    assert read_examples("pairs", "a.tsv", folder=write("a.tsv", b"\xef\xbb\xbfa\tb \r\nc\t d\r\n")).examples == [
        Pair("a", "b"),
        Pair("c", "d"),
    ]


def test_a_cell_of_several_lines_counts_its_lines(write: Write) -> None:
    folder = write("a.csv", 'source,target\n"a\nb",c\nd\ne,f\n')
    first, second, third = iterate_examples("pairs", folder / "a.csv")
    assert (first, third) == (Pair("a\nb", "c"), Pair("e", "f"))
    assert second == Skipped(str(folder / "a.csv"), 4, "it has 1 column, not 2")


@pytest.mark.parametrize(
    ("name", "content", "line", "reason"),
    [
        ("a.tsv", "a\tb\nonly one\n", 2, "it has 1 column, not 2"),
        ("a.tsv", "a\tb\nc\td\te\n", 2, "it has 3 columns, not 2"),
        ("a.tsv", "a\t\u00a0\nc\td\n", 1, "1 is empty"),
        ("a.tsv", "a\tb\n\nc\td\n", 2, "it is empty"),
        ("a.csv", "source,target\na,b\nc\n", 3, "it has 1 column, not 2"),
        ("a.csv", "source,target\na,b\n,c\n", 3, "'source' is empty"),
        ("a.jsonl", '{"source": "a", "target": "b"}\n{"source": "a"}\n', 2, "it has no text in 'target'"),
        (
            "a.jsonl",
            '{"source": "a", "target": "b"}\n{"source": 1, "target": "b"}\n',
            2,
            "it has no text in 'source'",
        ),
        ("a.jsonl", '{"source": "a", "target": "b"}\n[1]\n', 2, "it is not a JSON object"),
        ("a.jsonl", '{"source": "a", "target": "b"}\n{"source\n', 2, "it is not JSON"),
    ],
)
def test_a_line_that_does_not_fit_is_reported(
    name: str, content: str, line: int, reason: str, write: Write
) -> None:
    folder = write(name, content)
    read = read_examples("pairs", name, folder=folder)
    assert read.skipped == [Skipped(str(folder / name), line, reason)]
    assert len(read.examples) + 1 == len(list(iterate_examples("pairs", folder / name)))


def test_an_empty_side_of_parallel_texts_is_reported(write: Write) -> None:
    write("a.fr", "b\n \n")
    folder = write("a.en", "a\nc\n")
    assert read_examples("pairs", ["a.en", "a.fr"], folder=folder).skipped == [
        Skipped(str(folder / "a.en"), 2, "'a.fr' is empty")
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tsv", "", "is empty"),
        ("a.tsv", " \n\n", "is empty"),
        (
            "a.tsv",
            b"\xe9t\xe9\tc\n",
            "most lines of .* not UTF-8 text .line 1: .*its byte 1 is 0xe9",
        ),
        ("a.tsv", b"\xff\xfea\x00\t\x00b\x00", "is UTF-16 text; convert it"),
        (
            "a.tsv",
            "a b\n",
            "has 1 column without headings; say by number, from 0, which holds source and target",
        ),
        ("a.tsv", "a\tb\tc\n", "has 3 columns without headings"),
        ("a.csv", "first,second\na,b\n", "no column known to hold source and target; of first, second"),
        ("a.csv", 'source,target\n"a,b\n', "line 2 was left out because it opens a quote that is not closed"),
        ("a.csv", 'source,target\n"a"x,b\n', "line 2 was left out because it is not csv"),
        ("a.xml", "<a>", "is no table by its name or its first line"),
    ],
)
def test_what_cannot_be_used_is_refused(name: str, content: str | bytes, said: str, write: Write) -> None:
    folder = write(name, content)
    with pytest.raises(InputError, match=said) as refused:
        read_examples("pairs", name, folder=folder)
    assert "\n" not in str(refused.value)


def test_missing_files_are_refused_with_what_there_is(write: Write, tmp_path: Path) -> None:
    folder = write("dev.tsv", "a\tb\n")
    with pytest.raises(InputError, match="has no file train.tsv; it has dev.tsv"):
        read_examples("pairs", "train.tsv", folder=folder)
    with pytest.raises(InputError, match="not a folder"):
        read_examples("pairs", "train.tsv", folder=tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is no file"):
        read_examples("pairs", tmp_path / "nothing")
    with pytest.raises(InputError, match="is a folder; name files in it"):
        read_examples("pairs", tmp_path)
    for name in ("a.txt", "b.txt", "c.txt"):
        write(name, "a\n")
    with pytest.raises(InputError, match="3 plain texts were named"):
        read_examples("pairs", ["a.txt", "b.txt", "c.txt"], folder=folder)


def test_broken_gzip_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"a\tb\n" * 1000)
    damaged = whole[:20] + bytes([whole[20] ^ 0xFF]) + whole[21:]
    for number, content in enumerate((whole[:-12], whole[:15], b"a\tb\n", damaged)):
        path = tmp_path / f"{number}.tsv.gz"
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            read_examples("pairs", path.name, folder=tmp_path)


def test_parallel_texts_must_match(write: Write) -> None:
    write("a.fr", "b\n")
    folder = write("a.en", "a\nc\n")
    with pytest.raises(InputError, match="a.en has 2 lines and .*a.fr has 1"):
        read_examples("pairs", ["a.en", "a.fr"], folder=folder)
    write("b.en", "a\n")
    with pytest.raises(InputError, match="matches 2 files and \\*.fr matches 1"):
        read_examples("pairs", ["*.en", "*.fr"], folder=folder)


def test_a_name_that_looks_like_a_pattern_and_one_that_lies_elsewhere(write: Write, tmp_path: Path) -> None:
    folder = write("reviews[1].tsv", "a\tb\n")
    assert read_examples("pairs", "reviews[1].tsv", folder=folder).examples == [Pair("a", "b")]
    assert read_examples("pairs", str(folder / "reviews[1].tsv"), folder=tmp_path).examples == [Pair("a", "b")]
    for name in ("", "/nowhere/*.tsv"):
        with pytest.raises(InputError, match=r"there is no file '.*'; give one that exists, or a pattern inside"):
            read_examples("pairs", name, folder=folder)
