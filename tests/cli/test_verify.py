"""`glassformer verify`: the table, JSON, exit codes and refusals."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Call, assert_refused
from tests.tasks.published import TEXTS, bert, labels

from glassformer.inspection.verification import WHATS


def test_the_worked_example(call: Call) -> None:
    result = call("verify", "worked-example", "I love data", "I love science", "--beams", "2")
    assert result.code == 0
    head, columns, *rows = result.out.splitlines()
    assert head == "worked-example in float64, 2 texts"
    assert columns.split() == ["largest", "relative", "where", "compared"]
    names = [row.split()[0] for row in rows]
    assert names == list(WHATS)
    assert all(float(row.split()[1]) <= 1e-10 for row in rows[:-1])
    assert "left out" in rows[-1]


def test_a_file_of_texts_as_json(call: Call, tmp_path: Path) -> None:
    bert(tmp_path / "model", "BertForTokenClassification", **labels("O", "B-A", "I-A"))
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS[:2]) + "\n\n", "utf-8")
    result = call("verify", str(tmp_path / "model"), "--texts", str(tmp_path / "texts.txt"), "--json")
    assert result.code == 0, result
    found = json.loads(result.out)
    assert (found["texts"], found["dtype"], found["within"], found["left_out"]) == (2, "float64", True, [])
    assert {each["what"] for each in found["differences"]} >= {"formulas", "answer", "transformers"}
    narrow = call("verify", str(tmp_path / "model"), TEXTS[0], "--dtype", "float32", "--no-transformers", "--json")
    assert narrow.code == 0
    found = json.loads(narrow.out)
    assert found["dtype"] == "float32"
    assert all(not each["exact"] and each["bound"] == 1e-4 for each in found["differences"])
    assert "transformers" not in {each["what"] for each in found["differences"]}


def test_questions_have_a_context(call: Call, tmp_path: Path) -> None:
    bert(tmp_path, "BertForQuestionAnswering")
    one = call("verify", str(tmp_path), "Who visited Paris?", "--context", " ".join(TEXTS), "--window", "60")
    assert one.code == 0, one
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": "Who?", "context": TEXTS[0]}) + "\n", "utf-8")
    assert call("verify", str(tmp_path), "--texts", str(tmp_path / "q.jsonl")).code == 0
    assert_refused(call("verify", str(tmp_path), "Who?"), "its context is needed too")


def test_a_pair_is_one_text(call: Call, tmp_path: Path) -> None:
    bert(tmp_path, "BertForSequenceClassification", **labels("a", "b"))
    (tmp_path / "p.tsv").write_text(f"text\tpair\n{TEXTS[0]}\t{TEXTS[3]}\n", "utf-8")
    assert call("verify", str(tmp_path), "--texts", str(tmp_path / "p.tsv")).code == 0
    assert call("verify", str(tmp_path), stdin=f"{TEXTS[0]}\n").code == 0


def test_what_is_over_its_bound_ends_with_one(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from glassformer.nn.attention import Attention

    mix = Attention.mix

    def astray(self: Any, *given: Any) -> Any:
        return mix(self, *given) if given[-1] is not None else mix(self, *given) * 1.01

    monkeypatch.setattr(Attention, "mix", astray)
    result = call("verify", "worked-example", "I love data")
    assert result.code == 1
    assert "above 1e-10" in result.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("worked-example", "I love cats"), "cats"),
        (("worked-example", "I love data", "--window", "3"), "no option 'window'"),
        (("worked-example", "--texts", "nowhere.txt"), "nowhere.txt"),
        (("worked-example", "I love data", "--transformers"), "this library's own"),
        (("minilm-l6", "a", "--beams", "2"), "writes no text"),
        (("worked-example", "I", "--penalty-alpha", "0.5"), "contrastive search weighs the top_k likeliest"),
        (("nothing-of-the-kind", "a"), "nothing-of-the-kind"),
    ],
)
def test_what_cannot_be_verified_is_refused(call: Call, words: tuple[str, ...], said: str) -> None:
    assert_refused(call("verify", *words), said)


def test_nothing_to_verify(call: Call) -> None:
    assert_refused(call("verify", "worked-example", stdin="\n\n"), "no text to verify")


def test_without_transformers_it_is_left_out(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import importlib.util

    bert(tmp_path, "BertModel")
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "glassformer.cli.verify.find_spec", lambda name: None if name == "transformers" else real(name)
    )
    result = call("verify", str(tmp_path), TEXTS[0])
    assert result.code == 0
    assert "left out: transformers is not installed" in result.out
    assert_refused(call("verify", str(tmp_path), TEXTS[0], "--transformers"), "pip install")
