"""Examples of each kind from every format that can hold them, by usual names and by what is said of columns."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from glassformer.data.columns import KindName
from glassformer.data.examples import AnswerSpan, LabelledText, Pair, Question, TaggedSentence
from glassformer.data.readers import iterate_examples, read_examples
from glassformer.data.reading import Reading
from glassformer.errors import InputError

Rows = Sequence[Mapping[str, Any]]
Put = Callable[[str, str | bytes], Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def delimited(rows: Rows, mark: str) -> str:
    return "".join(mark.join(map(str, cells)) + "\n" for cells in (rows[0], *(row.values() for row in rows)))


def parquet(rows: Rows) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


WRITE: Mapping[str, Callable[[Rows], str | bytes]] = {
    "csv": lambda rows: delimited(rows, ","),
    "tsv": lambda rows: delimited(rows, "\t"),
    "jsonl": lambda rows: "".join(json.dumps(row) + "\n" for row in rows),
    "json": lambda rows: json.dumps(rows, indent=2),
    "parquet": parquet,
}


# ------------------------------------------------------------------ the same from every table


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("form", WRITE)
@pytest.mark.parametrize(
    ("kind", "row", "example"),
    [
        ("pairs", {"id": "7", "en": "Run!", "fr": "Cours !"}, Pair("Run!", "Cours !")),
        ("pairs", {"article": "Long.", "highlights": "Short."}, Pair("Long.", "Short.")),
        ("pairs", {"Document": "Long.", "Summary": "Short."}, Pair("Long.", "Short.")),
        ("labels", {"label": "pos", "sentence": "Good."}, LabelledText(text="Good.", labels=("pos",))),
        (
            "labels",
            {"premise": "Rain.", "hypothesis": "Wet.", "label": "yes"},
            LabelledText(text="Rain.", pair="Wet.", labels=("yes",)),
        ),
        (
            "questions",
            {"context": "It rains.", "question": "What?", "answer": "rains", "answer_start": 3},
            Question(
                id="", question="What?", context="It rains.", answers=(AnswerSpan(text="rains", start=3),)
            ),
        ),
        (
            "tags",
            {"tokens": "Ann sings", "ner_tags": "B-PER O"},
            TaggedSentence(words=("Ann", "sings"), tags=("B-PER", "O")),
        ),
        ("texts", {"title": "A", "content": "It rains."}, "It rains."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_by_usual_names(
    kind: KindName, row: Mapping[str, Any], example: object, form: str, packed: str, put: Put
) -> None:
    path = put(f"a.{form}{packed}", WRITE[form]([row, row]))
    found = read_examples(kind, path, Reading(format="tsv" if form == "tsv" else None))
    if isinstance(example, Question):
        found = type(found)([Question(**{**vars(each), "id": ""}) for each in found.examples], found.skipped)
    assert list(found.examples) == [example, example]
    assert list(found.skipped) == []


@pytest.mark.parametrize("form", WRITE)
def test_by_what_is_said(form: str, put: Put) -> None:
    path = put(f"a.{form}", WRITE[form]([{"text": "no", "x": "Good.", "label": "no", "y": "pos"}]))
    expected = [LabelledText(text="Good.", labels=("pos",))]
    assert read_examples("labels", path, Reading(text="x", label="y")).examples == expected
    assert read_examples("labels", path, Reading(text=1, label=3, headings=True)).examples == expected


# ------------------------------------------------------------------ tables


def test_headings_of_a_tsv_are_found_by_their_names(put: Put) -> None:
    assert read_examples("labels", put("a.tsv", "sentence\tlabel\nGood.\t1\n")).examples == [
        LabelledText(text="Good.", labels=("1",))
    ]
    bare = put("b.tsv", "sentence one\t0\nlabel\t1\n")
    assert [each.text for each in read_examples("labels", bare).examples] == ["sentence one", "label"]
    asked = put("c.tsv", "x\ty\nGood.\t1\n")
    assert read_examples("labels", asked, Reading(text="x", label="y")).examples[0].text == "Good."
    assert len(read_examples("labels", asked, Reading(headings=False)).examples) == 2


def test_a_csv_may_have_no_headings_and_another_delimiter(put: Put) -> None:
    semicolons = put("a.csv", 'text;label\n"Good; really";1,5\n')
    assert read_examples("labels", semicolons).examples == [
        LabelledText(text="Good; really", labels=("1,5",))
    ]
    bare = put("b.csv", "Good.,1\nBad.,0\n")
    found = read_examples("labels", bare, Reading(headings=False))
    assert [each.labels for each in found.examples] == [("1",), ("0",)]
    bars = put("c.csv", "Good, really~1\n")
    said = Reading(headings=False, delimiter="~")
    assert read_examples("labels", bars, said).examples[0].text == "Good, really"


def test_a_cell_may_be_longer_than_csv_itself_allows(put: Put) -> None:
    import csv

    usual = csv.field_size_limit()
    path = put("a.csv", f'text,label\n"{"x" * 150_000}",no\n')
    assert len(read_examples("labels", path).examples[0].text) == 150_000
    assert csv.field_size_limit() == usual


def test_a_list_larger_than_a_piece(put: Put) -> None:
    rows = [{"text": f"{number} " + "é" * (number % 3000), "more": [[number]]} for number in range(600)]
    for indent in (None, 1):
        path = put("a.json.gz", json.dumps(rows, ensure_ascii=bool(indent), indent=indent))
        assert list(iterate_examples("texts", path)) == [row["text"] for row in rows]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"text": "a"}, {"text": "b"]', "is not JSON after line 1 .Expecting ',' delimiter"),
        ('[{"text": "a"},\n{"text": "b"}', "is not JSON after line 1 .it breaks off"),
        ('{"text": {"0": "a"}}', "is an object of text; give a list of objects"),
        ("17", "is a single int; give a list of objects"),
        ('{"a": ', "is not JSON"),
        ("[{}, {}]", "item 1 was left out because it has no text in 'text'"),
    ],
)
def test_broken_json_is_refused(content: str, said: str, put: Put) -> None:
    with pytest.raises(InputError, match=said):
        read_examples("texts", put("a.json", content))


def test_json_that_is_objects_line_by_line(put: Put) -> None:
    path = put("a.json", '{"text": "a"}\n{"text": "b"}\n')
    assert list(read_examples("texts", path).examples) == ["a", "b"]
    wrapped = put("b.json", '{"version": 1, "data": [{"text": "a"}, 3]}')
    found = read_examples("texts", wrapped)
    assert list(found.examples) == ["a"]
    assert str(found.skipped[0]) == f"{wrapped}, item 2: it is not a JSON object"


def test_what_utf8_cannot_hold_is_left_out(put: Put) -> None:
    path = put("a.jsonl", '{"text": "\\ud83d"}\n{"text": "\\ud83d\\ude00"}\n{"text": "a\\u0000"}\n')
    found = read_examples("texts", path)
    assert list(found.examples) == ["😀"]
    assert [(each.line, each.reason) for each in found.skipped] == [
        (1, "it is not UTF-8 text"),
        (3, "it has a NUL character"),
    ]
    listed = put("a.json", b'[{"text": "\xff"}, {"text": "b"}]')
    assert list(read_examples("texts", listed).examples) == ["b"]


def test_parquet_names_its_labels(put: Put) -> None:
    table = pyarrow.Table.from_pylist(
        [{"text": "a", "label": 1}, {"text": "b", "label": -1}, {"text": "c", "label": 7}]
    )
    features = {
        "label": {"names": ["no", "yes"], "_type": "ClassLabel"},
        "text": {"dtype": "string", "_type": "Value"},
    }
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    found = read_examples("labels", put("a.parquet", sink.getvalue().to_pybytes()))
    assert found.examples == [LabelledText(text="a", labels=("yes",))]
    assert [(each.unit, each.line, each.reason) for each in found.skipped] == [
        ("row", 2, "it has no label in 'label'"),
        ("row", 3, "its label 7 is none of the 2 of 'label'"),
    ]


def test_what_is_no_parquet_is_refused(put: Put) -> None:
    for name in ("a.parquet", "b.parquet.gz"):
        with pytest.raises(InputError, match="is not a whole Parquet file"):
            read_examples("texts", put(name, b"PAR1 and nothing"))


# ------------------------------------------------------------------ pairs


def test_several_targets_are_several_pairs(put: Put) -> None:
    rows = [{"source": ["One.", "Two."], "target": ["a", "b"], "more": ["c"]}]
    path = put("a.jsonl", WRITE["jsonl"](rows))
    assert read_examples("pairs", path).examples == [Pair("One. Two.", "a"), Pair("One. Two.", "b")]
    with_more = read_examples("pairs", path, Reading(references="more")).examples
    assert with_more == [Pair("One. Two.", each) for each in "abc"]


def test_languages_inside_an_object(put: Put) -> None:
    path = put("a.jsonl", '{"translation": {"en": "Run!", "fr": "Cours !"}}\n')
    assert read_examples("pairs", path).examples == [Pair("Run!", "Cours !")]
    turned = Reading(source="translation.fr", target="translation.en")
    assert read_examples("pairs", path, turned).examples == [Pair("Cours !", "Run!")]


# ------------------------------------------------------------------ labels


def test_labels_by_number(put: Put, tmp_path: Path) -> None:
    path = put("a.tsv", "Good.\t1\nSo.\t0, 1\nBad.\t0\nOdd.\t2\n")
    bare = read_examples("labels", path)
    assert [each.labels for each in bare.examples] == [("1",), ("0, 1",), ("0",), ("2",)]
    said = read_examples("labels", path, Reading(labels=("no", "yes")))
    assert [each.labels for each in said.examples] == [("yes",), ("no",)]
    assert [(each.line, each.reason) for each in said.skipped] == [
        (2, "it has 2 labels; set multiple if a text may have any number"),
        (4, "its label '2' is none of the 2 of the labels given"),
    ]
    put("labels.txt", "negative\npositive\n")
    several = read_examples("labels", path, Reading(multiple=True))
    assert [each.labels for each in several.examples] == [
        ("positive",),
        ("negative", "positive"),
        ("negative",),
    ]
    for given in (str(tmp_path / "labels.txt"), "labels.txt", "negative,positive"):
        assert read_examples("labels", path, Reading(labels=given)).examples[0].labels == ("positive",)
    with pytest.raises(InputError, match="there is no file nowhere.txt with labels"):
        read_examples("labels", path, Reading(labels="nowhere.txt"))
    put("labels.txt", "same\nsame\n")
    with pytest.raises(InputError, match="expected labels that differ"):
        read_examples("labels", path)


def test_any_number_of_labels(put: Put) -> None:
    rows = [
        {"text": "a", "labels": ["x", "y", "x"]},
        {"text": "b", "labels": []},
        {"text": "c", "labels": ["y"]},
    ]
    path = put("a.jsonl", WRITE["jsonl"](rows))
    several = read_examples("labels", path, Reading(multiple=True)).examples
    assert [each.labels for each in several] == [("x", "y"), (), ("y",)]
    single = read_examples("labels", path)
    assert [each.labels for each in single.examples] == [("y",)]
    assert [each.reason[:15] for each in single.skipped] == ["it has 2 labels", "it has 0 labels"]
    columns = put("b.csv", "text,x,y\na,1,1\nb,0,0\nc,0,1.0\nd,2,0\n")
    present = read_examples("labels", columns, Reading(label=("x", "y"), multiple=True))
    assert [each.labels for each in present.examples] == [("x", "y"), (), ("y",)]
    assert present.skipped[0].reason == "'x' is '2', and neither 0 nor 1"
    semicolons = put("c.tsv", "a\tx; y\n")
    found = read_examples("labels", semicolons, Reading(multiple=True, separator=";"))
    assert found.examples[0].labels == ("x", "y")


@pytest.mark.parametrize(
    ("value", "label"), [(True, "true"), (3, "3"), (3.0, "3"), (0.5, "0.5"), (" a ", "a")]
)
def test_a_label_may_be_anything_short(value: object, label: str, put: Put) -> None:
    path = put("a.jsonl", json.dumps({"text": "x", "label": value}))
    assert read_examples("labels", path).examples[0].labels == (label,)


@pytest.mark.parametrize("value", [None, "", float("nan"), {"a": 1}, [[1]]])
def test_what_is_no_label(value: object, put: Put) -> None:
    path = put("a.jsonl", json.dumps({"text": "x", "label": value}) + '\n{"text": "y", "label": "a"}')
    found = read_examples("labels", path)
    assert [each.text for each in found.examples] == ["y"]
    assert "label" in found.skipped[0].reason


# ------------------------------------------------------------------ questions

CONTEXT = "In May it rained. It rained in June."


def squad(*questions: Mapping[str, Any]) -> str:
    return json.dumps(
        {
            "version": "v2.0",
            "data": [{"title": "Rain", "paragraphs": [{"context": CONTEXT, "qas": questions}]}],
        }
    )


def test_squad_with_and_without_answers(put: Put) -> None:
    may, june = {"text": "May", "answer_start": 3}, {"text": "In May", "answer_start": 0}
    path = put(
        "a.json.gz",
        squad(
            {
                "id": "1",
                "question": "When?",
                "answers": [may, june],
            },  # 1.1 does not say whether it is impossible
            {
                "id": "2",
                "question": "Where?",
                "answers": [],
                "is_impossible": True,
                "plausible_answers": [may],
            },
            {"id": "3", "question": "How long?", "answers": []},
        ),
    )
    found = read_examples("questions", path)
    spans = (AnswerSpan(text="May", start=3), AnswerSpan(text="In May", start=0))
    assert [each.answers for each in found.examples] == [spans, (), ()]
    assert [each.id for each in found.examples] == ["1", "2", "3"]
    assert not found.skipped


def test_answers_that_do_not_stand_in_their_context_are_told(put: Put) -> None:
    right = {"text": "May", "answer_start": 3}
    path = put(
        "a.json",
        squad(
            {"id": "1", "question": "When?", "answers": [{"text": "May", "answer_start": 4}]},
            {"id": "2", "question": "When?", "answers": [right, {"text": "July", "answer_start": 99}]},
            {"id": "3", "question": "When?", "answers": [], "is_impossible": False},
            {"id": "4", "question": " ", "answers": [right]},
            {"id": "5", "question": "When?", "answers": [{"text": "", "answer_start": 0}]},
            {"id": "6", "question": "When?", "answers": [{"text": "May", "answer_start": -33}]},
        ),
    )
    found = read_examples("questions", path)
    assert [(each.id, len(each.answers)) for each in found.examples] == [("2", 1)]
    assert [str(each).removeprefix(f"{path}, ") for each in found.skipped] == [
        "question 1: its answer 'May' does not stand at 4 in its context",
        "question 2: its answer 'July' does not stand at 99 in its context; that answer alone is left out",
        "question 3: it has no answer, and is not said to have none",
        "question 4: 'question' is empty",
        "question 5: its answer is empty",
        "question 6: its answer 'May' does not stand at -33 in its context",
    ]


def test_a_span_outside_its_context_alone_is_refused(put: Put) -> None:
    path = put(
        "a.json", squad({"id": "1", "question": "When?", "answers": [{"text": "July", "answer_start": 3}]})
    )
    with pytest.raises(
        InputError, match="no questions in .*; question 1 was left out because its answer 'July'"
    ):
        read_examples("questions", path)


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["May", "June"], "answer_start": [3, 31]},
        [{"text": "May", "answer_start": 3}, {"text": "June", "answer_start": 31}],
        ["May", "June"],
        json.dumps([{"text": "May", "answer_start": 3}, {"text": "June", "answer_start": 31}]),
    ],
)
def test_answers_in_any_form(answers: object, put: Put) -> None:
    path = put("a.jsonl", json.dumps({"id": 5, "question": "When?", "context": CONTEXT, "answers": answers}))
    (found,) = read_examples("questions", path).examples
    assert found.id == "5"
    assert found.answers == (AnswerSpan(text="May", start=3), AnswerSpan(text="June", start=31))


def test_a_paragraph_without_questions_is_told(put: Put) -> None:
    content = {"data": [{"paragraphs": [{"context": CONTEXT}, 3]}, {"paragraphs": [json.loads(squad())]}, 4]}
    with pytest.raises(InputError, match="question 1 was left out because it is not a JSON object"):
        read_examples("questions", put("a.json", json.dumps(content)))


# ------------------------------------------------------------------ tags


def test_columns_of_conll(put: Put) -> None:
    spaces = (
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n# NNP B-NP O\n#rain NN I-NP O\n"
    )
    found = read_examples("tags", put("a.txt", spaces))
    assert found.examples == [
        TaggedSentence(words=("EU", "rejects"), tags=("B-ORG", "O")),
        TaggedSentence(words=("#", "#rain"), tags=("O", "O")),
    ]
    chunks = read_examples("tags", put("a.txt", spaces), Reading(tags=1)).examples
    assert chunks[0].tags == ("NNP", "VBZ")


def test_conllu_with_comments_ranges_and_gaps(put: Put) -> None:
    lines = (
        "# newdoc id = a",
        "# text = vámonos al mar",
        "1-2\tvámonos\t_\t_",
        "1\tvamos\tO\t_",
        "2\tnos\tO\t_",
        "3-4\tal\t_\t_",
        "3\ta\tO\t_",
        "4\tel mar\tB-LOC\t_",
        "4.1\tes\t_\t_",
        "",
        "",
        "# text = = #",
        "1\t#\tO\t_",
    )
    found = read_examples("tags", put("a.iob2", "\n".join(lines)), Reading(tags=2))
    assert [each.words for each in found.examples] == [("vamos", "nos", "a", "el mar"), ("#",)]
    assert found.examples[0].tags == ("O", "O", "O", "B-LOC")
    assert not found.skipped


def test_words_may_hold_spaces_of_other_kinds(put: Put) -> None:
    path = put("a.conll", "New\u00a0York B-LOC\n\u200b O\n")
    assert read_examples("tags", path).examples[0].words == ("New\u00a0York", "\u200b")


def test_tags_by_number(put: Put) -> None:
    rows = [{"tokens": ["Ann", "sings"], "ner_tags": [1, 0]}, {"tokens": ["a"], "ner_tags": [3]}]
    path = put("a.jsonl", WRITE["jsonl"](rows))
    found = read_examples("tags", path, Reading(labels=("O", "B-PER", "I-PER")))
    assert found.examples == [TaggedSentence(words=("Ann", "sings"), tags=("B-PER", "O"))]
    assert found.skipped[0].reason == "its label '3' is none of the 3 of the labels given"
    with pytest.raises(InputError, match="one of its tags is 1; say what the numbers mean with labels"):
        read_examples("tags", path)


def test_tags_by_number_in_a_text_file(put: Put) -> None:
    path = put("a.conll", "Ann\t1\nsings\t0\n\na\t3\n\nLee\tB-ORG\n")
    found = read_examples("tags", path, Reading(labels=("O", "B-PER", "I-PER")))
    assert [each.tags for each in found.examples] == [("B-PER", "O"), ("B-ORG",)]
    assert found.skipped[0].reason == "its label '3' is none of the 3 of the labels given"


@pytest.mark.parametrize(
    ("words", "tags", "reason"),
    [
        (["a", "b"], ["O"], "it has 2 words and 1 tag"),
        ([], [], "it has no words in 'tokens'"),
        (["a", ""], ["O", "O"], "one of its words is ''"),
        (["a"], [None], "one of its tags is None"),
        ("a b", None, "it has no tags in 'ner_tags'"),
    ],
)
def test_what_is_no_tagged_sentence(words: object, tags: object, reason: str, put: Put) -> None:
    rows = [{"tokens": ["x"], "ner_tags": ["O"]}, {"tokens": words, "ner_tags": tags}]
    found = read_examples("tags", put("a.jsonl", WRITE["jsonl"](rows)))
    assert len(found.examples) == 1
    assert found.skipped[0].reason == reason


# ------------------------------------------------------------------ texts


def test_documents(put: Put) -> None:
    path = put("a.txt", "One\ntwo.\n\n \nThree.\n")
    documents = {
        "lines": ["One", "two.", "Three."],
        "paragraphs": ["One\ntwo.", "Three."],
        "files": ["One\ntwo.\n\n \nThree."],
    }
    for how, expected in documents.items():
        assert read_examples("texts", path, Reading(documents=how)).examples == expected  # type: ignore[arg-type]
    told = read_examples("texts", path).skipped
    assert [each.line for each in told] == [3, 4]


def test_a_table_gives_texts_too(put: Put) -> None:
    assert list(read_examples("texts", put("a.tsv", "just this\n")).examples) == ["just this"]
    path = put("b.jsonl", json.dumps({"question": "Why?", "context": "So."}))
    assert list(read_examples("texts", path, Reading(text="context")).examples) == ["So."]


# ------------------------------------------------------------------ what is said has to make sense


def test_what_was_said_of_another_kind_is_refused(put: Put) -> None:
    path = put("a.tsv", "a\tb\n")
    with pytest.raises(
        InputError, match="question was given, but labelled texts have no such thing; they have label,"
    ):
        read_examples("labels", path, Reading(question=0))
    with pytest.raises(InputError, match="no examples of kind 'nothing'; there are pairs, labels"):
        read_examples("nothing", path)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"max_characters": 7}, "max_characters is 7; expected 100 or more, or 0"),
        ({"delimiter": ";;"}, "expected one character"),
        ({"separator": ""}, "separator is empty"),
    ],
)
def test_a_reading_that_makes_no_sense_is_refused(values: Mapping[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Reading(**values)


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (Reading(text="x"), "has no column 'x'; its columns are text, label"),
        (Reading(text=5), "has 2 columns, and column 5 was asked for .the first is 0."),
    ],
)
def test_a_column_that_is_not_there_is_refused(reading: Reading, said: str, put: Put) -> None:
    with pytest.raises(InputError, match=said):
        read_examples("labels", put("a.csv", "text,label\na,b\n"), reading)


def test_a_format_that_holds_something_else_is_refused(put: Put) -> None:
    with pytest.raises(InputError, match="holds question and context .* but text and label was asked for"):
        read_examples("labels", put("a.json", squad({"id": "1", "question": "q", "answers": []})))
    with pytest.raises(InputError, match="has 1 column on most lines; expected a word and its tag"):
        read_examples("tags", put("a.conll", "only\nwords\n"))
    with pytest.raises(InputError, match="has no column 'ner'; its 2 columns go by number"):
        read_examples("tags", put("a.conll", "a O\n"), Reading(tags="ner"))
