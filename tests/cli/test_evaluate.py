"""`glassformer evaluate`: a model of every task, the files it is scored on, and what is refused."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from glassformer.config import TransformerConfig
from glassformer.model import Transformer
from glassformer.pretrained import save_transformer
from glassformer.text.tokenizer import Tokenizer

from .conftest import Call, assert_refused

SENTENCES = {
    "I love data science": "j' aime la science des données",
    "I love data": "j' aime les données",
    "I love science": "j' aime la science",
}
WORDS = "the a film was good bad Anna lives in Paris who where what does she live and it is not"
BERT = {
    "stack": "encoder",
    "vocab_size": 60,
    "d_model": 8,
    "heads": 2,
    "d_ff": 8,
    "encoder_layers": 1,
    "positions": "learned",
    "max_positions": 24,
    "segments": 2,
}


def write(path: Path, rows: Sequence[Sequence[str]]) -> str:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")
    return str(path)


def model(folder: Path, fields: Mapping[str, Any], labels: Sequence[str] = (), **said: Any) -> str:
    """A checkpoint of random numbers that reads these words."""
    special = "bert" if fields["stack"] == "encoder" else None
    tokenizer = Tokenizer.train("words", [WORDS, WORDS], vocab_size=40, special=special)
    torch.manual_seed(0)
    config = TransformerConfig.from_dict({**fields, "vocab_size": tokenizer.vocab_size})
    raw = {"model_type": "transformer", **said}
    save_transformer(folder, Transformer(config), raw=raw, labels=labels)
    tokenizer.save(folder)
    return str(folder)


@pytest.fixture
def classifier(tmp_path: Path) -> str:
    head = {**BERT, "head": "sequence-label", "labels": 2, "pooler": True}
    return model(tmp_path / "classifier", head, ["bad", "good"])


@pytest.fixture
def examples(tmp_path: Path) -> str:
    rows = [*SENTENCES.items(), ("I love data", "j' adore les données")]
    return write(tmp_path / "test.tsv", rows)


@pytest.fixture
def films(tmp_path: Path) -> str:
    rows = [
        ("the film was good", "good"),
        ("a bad film", "bad"),
        ("it was not bad", "good"),
        ("good", "good"),
    ]
    return write(tmp_path / "films.tsv", [("text", "label"), *rows])


def test_translations_are_scored_with_signatures(call: Call, examples: str) -> None:
    result = call("evaluate", "worked-example", "--data", examples)
    assert result.code == 0, result.err
    first, *lines = result.out.splitlines()
    assert first.startswith("3 sentences, 4 references")
    assert [line.split()[:4] for line in lines] == [
        ["all", "references", "BLEU", "100.00"],
        ["all", "references", "chrF2", "100.00"],
        ["one", "reference", "BLEU", lines[2].split()[3]],
        ["one", "reference", "chrF2", lines[3].split()[3]],
    ]
    assert 0 < float(lines[2].split()[3]) < 100
    assert all("bs:1000|" in line and "version:" in line for line in lines)
    plain = call("evaluate", "worked-example", "--data", examples, "--bootstrap", "0")
    assert "95 %" in result.out
    assert "95 %" not in plain.out


def test_what_the_beams_agree_on(call: Call, examples: str) -> None:
    words = ("evaluate", "worked-example", "--data", examples, "--bootstrap", "0", "--num-beams", "4")
    result = call(*words, "--agreement-power", "0.5")
    assert result.out.startswith("3 sentences, 4 references, 4 beams, agreement power 0.5\n")
    assert call(*words).out.startswith("3 sentences, 4 references, 4 beams\n")
    assert_refused(call(*words, "--agreement-power", "-1"), "agreement_power is -1.0; expected a number of 0 or more")


def test_translations_for_programs(call: Call, examples: str) -> None:
    result = call("evaluate", "worked-example", "--data", examples, "--json", "--bootstrap", "20")
    figures = json.loads(result.out)
    assert figures["sentences"] == 3
    assert figures["references"] == 4
    assert figures["all references"]["bleu"]["value"] == pytest.approx(100)
    assert figures["one reference"]["bleu"]["interval"] >= 0
    assert figures["scores"]["bleu"] == figures["all references"]["bleu"]


def test_columns_by_heading_and_two_texts_side_by_side(call: Call, tmp_path: Path) -> None:
    table = tmp_path / "test.csv"
    table.write_text("id,english,french\n1,I love data,j' aime les données\n", "utf-8")
    words = ("--source", "english", "--target", "french")
    named = call("evaluate", "worked-example", "--data", str(table), *words)
    (tmp_path / "x.en").write_text("I love data\n", "utf-8")
    (tmp_path / "x.fr").write_text("j' aime les données\n", "utf-8")
    texts = (str(tmp_path / "x.en"), str(tmp_path / "x.fr"))
    beside = call("evaluate", "worked-example", "--data", texts[0], "--data", texts[1])
    assert named.code == beside.code == 0, (named, beside)
    assert named.out == beside.out


def test_labels(call: Call, classifier: str, films: str, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "report"
    result = call("evaluate", classifier, "--data", films, "--report", str(folder))
    assert result.code == 0, result.err
    assert result.out.startswith("classification: 4 texts\n")
    figures = ["accuracy", "macro F1", "Matthews", "-log p", "Brier", "calibration", "label", "labels:2|"]
    places = [result.out.index(f"\n{figure}") for figure in figures]
    assert places == sorted(places)
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    written = json.loads((folder / "report.json").read_text("utf-8"))
    assert written["data"] == [films]
    assert sum(map(sum, written["confusion"]["counts"])) == 4
    printed = json.loads(call("evaluate", classifier, "--data", films, "--json").out)
    assert printed == written


def test_examples_with_other_labels_are_left_out_if_asked(
    call: Call, classifier: str, examples: str, tmp_path: Path
) -> None:
    rows = [("text", "label"), ("a good film", "good"), ("so so", "mixed"), ("it was bad", "bad")]
    path = write(tmp_path / "films.tsv", rows)
    assert_refused(call("evaluate", classifier, "--data", path), "mixed")
    result = call("evaluate", classifier, "--data", path, "--only", "good, bad")
    assert result.out.startswith("classification: 2 texts\nnote: 1 examples with other labels were left out.\n")
    none = call("evaluate", classifier, "--data", path, "--only", "great")
    assert_refused(none, "no example has only labels of great")
    assert_refused(call("evaluate", "worked-example", "--data", examples, "--only", "good"), "--only names labels")


def test_answers_with_and_without_the_choice_of_none(call: Call, tmp_path: Path) -> None:
    context = "Marie Curie was born in Warsaw in 1867."
    rows = [
        {"id": "1", "question": "Where was Marie Curie born?", "context": context,
         "answers": [{"text": "Warsaw", "answer_start": context.index("Warsaw")}]},
    ]  # fmt: skip
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    figures = {}
    for option in ("--always-answer", "--threshold=-50"):
        told = json.loads(call("evaluate", "answers", "--data", str(path), option, "--json").out)
        figures[option] = told["scores"]["f1"]["value"]
    assert figures == {"--always-answer": 100.0, "--threshold=-50": 0.0}


def test_a_limit_and_lines_left_out_are_told(call: Call, classifier: str, tmp_path: Path) -> None:
    rows = [("text", "label"), ("good", "good"), ("", "bad"), ("a bad film", "bad"), ("it was good", "good")]
    data = write(tmp_path / "broken.tsv", rows)
    result = call("evaluate", classifier, "--data", data, "--limit", "2")
    assert "classification: 2 texts" in result.out
    assert "note: These are the first 2 of 3 examples." in result.out
    assert "note: 1 line of the data holds no example and was left out." in result.out
    assert "broken.tsv, line 3" in result.err


def test_a_text_longer_than_the_model_is_told(call: Call, classifier: str, tmp_path: Path) -> None:
    rows = [("text", "label"), ("good " * 40, "good"), ("a bad film", "bad")]
    result = call("evaluate", classifier, "--data", write(tmp_path / "long.tsv", rows))
    assert (
        "note: 1 text is longer than the 24 tokens that the model reads; its end was not read." in result.out
    )


def test_any_number_of_labels(call: Call, tmp_path: Path) -> None:
    head = {**BERT, "head": "sequence-label", "labels": 3, "pooler": True}
    several = "multi_label_classification"
    name = model(tmp_path / "m", head, ["film", "good", "place"], problem_type=several)
    data = tmp_path / "data.jsonl"
    rows = [("good film", ["film", "good"]), ("in Paris", ["place"]), ("it is", [])]
    data.write_text("".join(json.dumps({"text": t, "labels": ls}) + "\n" for t, ls in rows), "utf-8")
    result = call("evaluate", name, "--data", str(data), "--multiple")
    assert result.code == 0, result.err
    assert "micro F1" in result.out
    assert "subset accuracy" in result.out


def test_entities(call: Call, tmp_path: Path) -> None:
    name = model(tmp_path / "m", {**BERT, "head": "token-label", "labels": 3}, ["O", "B-PER", "I-PER"])
    data = tmp_path / "data.conll"
    data.write_text("Anna\tB-PER\nlives\tO\n\nin\tO\nParis\tO\n", "utf-8")
    result = call("evaluate", name, "--data", str(data))
    assert result.code == 0, result.err
    assert result.out.startswith("tagging: 2 sentences, 4 words, 1 entities\n")
    assert "scheme:IOB2|mode:strict" in result.out


def test_answers(call: Call, tmp_path: Path) -> None:
    name = model(tmp_path / "m", {**BERT, "head": "answer-span"})
    rows = [
        {"id": "1", "question": "where does Anna live", "context": "Anna lives in Paris", "start": 14},
        {"id": "2", "question": "who lives", "context": "it is a film", "start": None},
    ]
    data = tmp_path / "data.jsonl"
    with data.open("w") as file:
        for row in rows:
            start = row.pop("start")
            answers = [] if start is None else [{"text": "Paris", "answer_start": start}]
            file.write(json.dumps({**row, "answers": answers}) + "\n")
    result = call("evaluate", name, "--data", str(data))
    assert result.code == 0, result.err
    assert "answering: 2 questions, 1 without answer" in result.out
    assert "best threshold" in result.out
    assert "squad:2.0|" in result.out


@pytest.mark.parametrize(
    ("stack", "head"), [("encoder", "masked-language-model"), ("decoder", "language-model")]
)
def test_texts(call: Call, tmp_path: Path, stack: str, head: str) -> None:
    layers = {"encoder_layers": 1} if stack == "encoder" else {"encoder_layers": 0, "decoder_layers": 1}
    segments = {"segments": 2 if stack == "encoder" else 0}
    name = model(tmp_path / "m", {**BERT, **layers, **segments, "stack": stack, "head": head})
    data = tmp_path / "data.txt"
    data.write_text("the film was good and it is not bad\nAnna lives in Paris\n", "utf-8")
    result = call("evaluate", name, "--data", str(data), "--window", "6")
    assert result.code == 0, result.err
    assert result.out.startswith("language: 2 texts, ")
    assert "perplexity" in result.out
    assert ("bits per byte" in result.out) == (stack == "decoder")
    assert "window:6" in result.out


def test_what_cannot_be_evaluated_is_refused(call: Call, classifier: str, films: str, tmp_path: Path) -> None:
    unknown = write(tmp_path / "u.tsv", [("text", "label"), ("a film", "dull")])
    (tmp_path / "x.conll").write_text("Anna\tB-PER\n\n", "utf-8")
    empty = write(tmp_path / "empty.tsv", [])
    hidden = model(tmp_path / "h", {**BERT, "head": "hidden"})
    for words, said in [
        ((classifier, "--data", unknown), ["the label 'dull'", "bad, good"]),
        ((classifier, "--data", "nothing.tsv"), ["labelled texts", "nothing.tsv"]),
        ((classifier, "--data", empty), ["empty"]),
        ((classifier, "--data", str(tmp_path / "x.conll")), ["labelled texts"]),
        ((classifier, "--data", films, "--beams", "2"), ["--beams"]),
        ((classifier, "--data", films, "--agreement-power", "0.5"), ["--agreement-power"]),
        ((classifier, "--data", films, "--question", "text"), ["question"]),
        ((classifier, "--data", films, "--report", films), ["is a file"]),
        ((hidden, "--data", films), ["nothing to evaluate"]),
        ((classifier,), ["--data"]),
    ]:
        assert_refused(call("evaluate", *words), *said)
    assert not (tmp_path / "report").exists()
