"""The verbs classify, tag, answer and summarize on small random models."""

import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import glassformer as gf
from glassformer import pretrained
from glassformer.cli.options import DEFAULTS
from glassformer.config import TransformerConfig
from glassformer.model import Transformer
from glassformer.tasks.model import Model
from glassformer.text.tokenizer import Tokenizer

from .conftest import Call, assert_refused

TEXTS = ["Angela Merkel visited Paris.", "ok", "The cat sat, in [Berlin]; so on and on"]
READER = {"stack": "encoder", "encoder_layers": 1, "segments": 2}
PAIR = {"stack": "encoder-decoder", "encoder_layers": 1, "decoder_layers": 1}
HEADS: dict[str, dict[str, Any]] = {
    "classify": {**READER, "head": "sequence-label", "labels": 3},
    "tag": {**READER, "head": "token-label", "labels": 5},
    "answer": {**READER, "head": "answer-span"},
    "summarize": {**PAIR, "positions": "sinusoidal"},
    "fill": {**READER, "head": "masked-language-model"},
}
LABELS = {"classify": ("negative", "neutral", "positive"), "tag": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A checkpoint folder for a verb; made once for the same wishes."""
    made: dict[str, str] = {}

    def folder(verb: str, **said: Any) -> str:
        key = json.dumps([verb, said])
        if key not in made:
            place = tmp_path_factory.mktemp(verb)
            save(place, verb, said)
            made[key] = str(place)
        return made[key]

    return folder


def save(place: Path, verb: str, said: dict[str, Any]) -> None:
    special = "bert" if HEADS[verb]["stack"] == "encoder" else "translation"
    tokenizer = Tokenizer.train("wordpiece", TEXTS * 3, vocab_size=70, special=special)
    config = TransformerConfig(
        vocab_size=tokenizer.vocab_size,
        d_model=8,
        heads=2,
        d_ff=12,
        max_positions=60,
        dtype="float64",
        **HEADS[verb],
    )
    torch.manual_seed(5)
    transformer = Transformer(config).eval()
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    raw = {"model_type": "transformer", **({"task": "summarization"} if verb == "summarize" else {}), **said}
    generation = {"num_beams": 2, "max_new_tokens": 5} if verb == "summarize" else {}
    checkpoint = pretrained.Checkpoint(
        transformer=transformer,
        family="transformer",
        raw=raw,
        labels=LABELS.get(verb, ()),
        generation=generation,
    )
    Model(checkpoint, tokenizer).save_pretrained(place)


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_name_of_a_file_is_taken_as_a_text_and_that_is_said(call: Call, folder: Any, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"text": TEXTS[0]}])
    result = call("classify", path, TEXTS[0], "a\0b", "--model", folder("classify"))
    hint = f"{path} is a file here, and its name was taken as a text; --input {path} reads it"
    assert result.err == f"glassformer: {hint}\n"
    assert len(result.out.splitlines()) == 3


@pytest.fixture
def threads() -> Iterator[None]:
    """Put back how many threads torch may use."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("number", [1, 2])
def test_no_more_cores_are_used_than_the_user_says(
    call: Call, folder: Any, tmp_path: Path, number: int, threads: None
) -> None:
    torch.set_num_threads(3 - number)
    path = jsonl(tmp_path / "a.jsonl", [{"text": text} for text in TEXTS])
    result = call("classify", "--input", path, "--model", folder("classify"), "--threads", str(number))
    assert result.code == 0, result.err
    assert torch.get_num_threads() == number


# ------------------------------------------------------------------ the contract for programs


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("batch", ["1", "2", "256"])
def test_classify_for_programs(call: Call, folder: Any, tmp_path: Path, end: str, batch: str) -> None:
    name = folder("classify")
    path = jsonl(
        tmp_path / f"a.jsonl{end}", [*({"text": text} for text in TEXTS), {"text": TEXTS[0], "pair": "ok"}]
    )
    result = call("classify", "--input", path, "--model", name, "--json", "--batch", batch)
    assert result.code == 0, result.err
    answers = gf.load(name)([*TEXTS, (TEXTS[0], "ok")])
    for found, answer in zip(objects(result.out), answers, strict=True):
        assert list(found) == ["label", "score", "scores"]
        assert found["label"] == answer.label
        assert found["score"] == found["scores"][answer.label] == pytest.approx(answer.probability, rel=1e-12)
        assert found["scores"] == pytest.approx(dict(answer.probabilities), rel=1e-12)
    assert len(objects(result.out)) == 4


def test_classify_of_many_labels_for_programs(call: Call, folder: Any) -> None:
    name = folder("classify", problem_type="multi_label_classification")
    (found,) = objects(call("classify", TEXTS[0], "--model", name, "--json", "--threshold", "0.3").out)
    answer = gf.load(name)(TEXTS[0], threshold=0.3)
    assert found["labels"] == list(answer.labels)
    assert found["label"] == max(answer.probabilities, key=lambda label: answer.probabilities[label])
    assert found["score"] == max(found["scores"].values())


def test_tag_for_programs(call: Call, folder: Any, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"text": text} for text in TEXTS])
    found = objects(call("tag", "--input", path, "--model", folder("tag"), "--json").out)
    answers = gf.load(folder("tag"))(TEXTS)
    assert sum(len(row["entities"]) for row in found) > 2
    for text, row, answer in zip(TEXTS, found, answers, strict=True):
        assert list(row) == ["entities"]
        for entity, one in zip(row["entities"], answer.entities, strict=True):
            assert list(entity) == ["type", "text", "start", "end", "score"]
            assert entity["text"] == text[entity["start"] : entity["end"]] == one.text
            assert (entity["type"], entity["score"]) == (one.type, pytest.approx(one.probability, rel=1e-12))


def test_answer_for_programs(call: Call, folder: Any, tmp_path: Path) -> None:
    context = " ".join(TEXTS * 4)
    rows = [{"question": text, "context": context} for text in TEXTS] + [{"question": "", "context": "ok"}]
    path = jsonl(tmp_path / "a.jsonl", rows)
    found = objects(call("answer", "--input", path, "--model", folder("answer"), "--json").out)
    answers = gf.load(folder("answer"))([(text, context) for text in TEXTS])
    assert found.pop() == {"answer": "", "start": 0, "end": 0, "score": None}
    for row, answer in zip(found, answers, strict=True):
        assert list(row) == ["answer", "start", "end", "score"]
        assert row["answer"] == context[row["start"] : row["end"]] == answer.text != ""
        assert row["score"] == pytest.approx(answer.probability, rel=1e-12)


def test_answer_may_be_none_and_others_may_be_told(call: Call, folder: Any) -> None:
    words = ("answer", "who", "--context", " ".join(TEXTS), "--model", folder("answer"), "--json")
    (found,) = objects(call(*words, "--no-answer", "--threshold", "-1000", "--keep", "3").out)
    assert (found["answer"], found["start"], found["end"]) == ("", 0, 0)
    assert len(found["others"]) == 2
    (always,) = objects(call(*words).out)
    assert always == {key: found["others"][0][key] for key in always}
    said = folder("answer", no_answer=True, no_answer_threshold=-1000)
    (found,) = objects(call("answer", "who", "--context", "me", "--model", said, "--json").out)
    assert found["answer"] == ""
    (found,) = objects(
        call("answer", "who", "--context", "ok", "--model", said, "--json", "--always-answer").out
    )
    assert found["answer"] == "ok"


def test_summarize_for_programs(call: Call, folder: Any, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [*({"text": text} for text in TEXTS), {"text": " "}])
    found = objects(call("summarize", "--input", path, "--model", folder("summarize"), "--json").out)
    answers = gf.load(folder("summarize"))(TEXTS)
    assert found == [*({"summary": answer.text} for answer in answers), {"summary": ""}]
    assert any(row["summary"] for row in found)


# ------------------------------------------------------------------ plain lines


def test_lines_of_standard_input_in_plain_lines_out(call: Call, folder: Any) -> None:
    stdin = f"{TEXTS[0]}\n\n{TEXTS[1]}\n"
    out = call("classify", "--model", folder("classify"), stdin=stdin).out.split("\n")
    first, second = gf.load(folder("classify"))(TEXTS[:2])
    assert out == [
        f"{first.label}\t{first.probability:.4f}",
        "",
        f"{second.label}\t{second.probability:.4f}",
        "",
    ]
    out = call("tag", "--model", folder("tag"), stdin=stdin).out.split("\n")
    assert out == [
        *("" if text == "" else str(gf.load(folder("tag"))(text)) for text in stdin.split("\n")[:-1]),
        "",
    ]
    out = call("summarize", "--model", folder("summarize"), stdin=stdin).out.split("\n")
    summaries = [answer.text for answer in gf.load(folder("summarize"))(TEXTS[:2])]
    assert out == [summaries[0], "", summaries[1], ""]


def test_a_number_of_a_regression_and_many_labels_in_plain(call: Call, folder: Any) -> None:
    name = folder("classify", problem_type="regression")
    assert call("classify", "ok", "--model", name).out == f"{gf.load(name)('ok')}\n"
    (found,) = objects(call("classify", "ok", "--model", name, "--json").out)
    assert found["scores"] == dict(gf.load(name)("ok").values)
    name = folder("classify", problem_type="multi_label_classification")
    answer = gf.load(name)("ok", threshold=0.01)
    cells = [cell for label in answer.labels for cell in (label, f"{answer.probabilities[label]:.4f}")]
    assert call("classify", "ok", "--model", name, "--threshold", "0.01").out == "\t".join(cells) + "\n"


@pytest.mark.parametrize("way", ["context", "file", "piped", "questions"])
def test_the_context_may_come_in_four_ways(call: Call, folder: Any, tmp_path: Path, way: str) -> None:
    context = f"{TEXTS[0]}\n{TEXTS[2]}\n"
    path = tmp_path / "context.txt"
    path.write_text(context, "utf-8")
    expected = gf.load(folder("answer"))("who", context.removesuffix("\n")).text
    words: dict[str, tuple[tuple[str, ...], str]] = {
        "context": (("who", "--context", context.removesuffix("\n")), ""),
        "file": (("who", "--context", str(path)), ""),
        "piped": (("who",), context),
        "questions": (("--context", str(path)), "who\n"),
    }
    asked, stdin = words[way]
    result = call("answer", *asked, "--model", folder("answer"), stdin=stdin)
    assert result.code == 0, result.err
    assert result.out == expected.replace("\n", " ") + "\n"


def test_a_pair_in_the_command(call: Call, folder: Any) -> None:
    result = call("classify", TEXTS[0], "--pair", "ok", "--model", folder("classify"))
    answer = gf.load(folder("classify"))(TEXTS[0], "ok")
    assert result.out == f"{answer.label}\t{answer.probability:.4f}\n"


def test_top_limits_the_scores(call: Call, folder: Any) -> None:
    (found,) = objects(call("classify", "ok", "--model", folder("classify"), "--json", "--top", "1").out)
    assert found["scores"] == {found["label"]: found["score"]}


# ------------------------------------------------------------------ what people see


class Screen(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def seen(call: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a command shows in a terminal, without colours."""

    def seen(*words: str, stdin: str = "") -> str:
        screen = Screen()
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "dumb")
        result = call(*words, stdin=stdin)
        assert result.code == 0, result.err
        return screen.getvalue()

    return seen


def test_labels_are_shown_as_bars(seen: Callable[..., str], folder: Any) -> None:
    lines = seen("classify", TEXTS[0], "--model", folder("classify")).splitlines()
    answer = gf.load(folder("classify"))(TEXTS[0])
    ranked = sorted(answer.probabilities, key=lambda label: -answer.probabilities[label])
    assert [line.split()[0] for line in lines] == ranked
    for line, label in zip(lines, ranked, strict=True):
        assert f"{answer.probabilities[label]:.2%}" in line
        assert abs(line.count("█") - 30 * answer.probabilities[label]) <= 1
    two = seen("classify", TEXTS[0], "ok", "--model", folder("classify")).splitlines()
    assert two[0] == TEXTS[0]
    assert two[1:4] == lines
    assert two[5] == "ok"


def test_names_are_shown_within_their_text(seen: Callable[..., str], folder: Any) -> None:
    answer = gf.load(folder("tag"))(TEXTS[2])
    shown = seen("tag", TEXTS[2], "--model", folder("tag"))
    expected = "".join(f"{piece} {kind}" if kind else piece for piece, kind in answer.pieces())
    assert shown == expected + "\n"


def test_an_answer_is_shown_in_its_context(seen: Callable[..., str], folder: Any) -> None:
    context = "so it goes on and on " * 30 + "who? Angela! " + "and so it goes on " * 30
    answer = gf.load(folder("answer"))("who", context)
    shown = seen("answer", "who", "--context", context, "--model", folder("answer"), "--keep", "2")
    first, second, *rest = shown.splitlines()
    assert first == f"{answer.text}  {answer.probability:.1%}"
    assert second.endswith("%")
    assert answer.text in " ".join(rest)
    assert len(" ".join(rest)) < len(answer.text) + 600


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("verb", "other", "said"),
    [
        ("classify", "tag", ["finds names", "`glassformer tag`", "labels texts"]),
        ("tag", "answer", ["answers questions", "`glassformer answer`", "finds names in texts"]),
        ("answer", "classify", ["labels texts", "`glassformer classify`", "answers questions"]),
        ("summarize", "tag", ["finds names", "`glassformer tag`", "summarises"]),
        ("translate", "summarize", ["summarises texts", "`glassformer summarize`", "translates"]),
        ("classify", "fill", ["fills in hidden words; give --model one that labels texts"]),
    ],
)
def test_a_model_for_another_verb_is_refused(
    call: Call, folder: Any, verb: str, other: str, said: list[str]
) -> None:
    context = ("--context", "me") if verb == "answer" else ()
    result = call(verb, "who", *context, "--model", folder(other))
    assert_refused(result, *said)


@pytest.mark.parametrize("task", ["classification", "tagging", "answering", "summarization"])
def test_a_verb_whose_model_does_not_ship_says_so(
    call: Call, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glassformer.shipped.shipped", dict)
    verb = {
        "classification": "classify",
        "tagging": "tag",
        "answering": "answer",
        "summarization": "summarize",
    }[task]
    context = ("--context", "me") if verb == "answer" else ()
    assert_refused(call(verb, "who", *context), "ships here", "--model FOLDER")
    assert DEFAULTS[task] in call(verb, "--help").out


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["classify", " "], "", ["the text is empty"]),
        (["classify", "ok", "--top", "0"], "", ["--top"]),
        (["classify", "ok " * 70], "", ["72 tokens", "60 positions", "--truncate"]),
        (["tag", "ok", "--window", "61"], "", ["window of 61", "60 positions"]),
        (["answer", "who"], "", ["context is empty"]),
        (["answer", "who", "--context", " "], "", ["context is empty"]),
        (["answer", "ok " * 70, "--context", "me"], "", ["a window has 60", "question"]),
        (["answer"], "who\n", ["a line of the input is the question alone", "context"]),
        (["answer", "who", "--context", "me", "--threshold", "nan"], "", ["threshold"]),
        (["summarize", "ok", "--beams", "0"], "", ["--beams"]),
        (["summarize", "ok " * 70], "", ["60 positions", "--truncate"]),
    ],
)
def test_bad_input_is_refused(call: Call, folder: Any, words: list[str], stdin: str, said: list[str]) -> None:
    assert_refused(call(*words, "--model", folder(words[0]), stdin=stdin), *said)


@pytest.mark.parametrize("verb", ["classify", "summarize"])
def test_a_text_too_long_at_the_end_of_a_file_leaves_no_output(
    call: Call, folder: Any, tmp_path: Path, verb: str
) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"text": text} for text in ["ok", "", "ok", "ok " * 70]])
    result = call(verb, "--input", path, "--model", folder(verb), "--batch", "1")
    assert_refused(result, "60 positions", "(text 4)")
    cut = call(verb, "--input", path, "--model", folder(verb), "--batch", "1", "--truncate")
    assert cut.code == 0, cut.err
    assert len(cut.out.splitlines()) == 4
