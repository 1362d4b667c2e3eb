"""Labels of texts and of pairs, against `transformers` on small random checkpoints."""

from pathlib import Path
from typing import Any

import pytest
import torch

import glassformer as gf
from glassformer.tasks.classification import Label, Labels, Values

from .published import TEXTS, bart, bert, labels

NAMES = labels("negative", "neutral", "positive")
CLASS = "ForSequenceClassification"
PAIRS = [(first, second) for first, second in zip(TEXTS, TEXTS[1:], strict=False)]


def theirs(model: Any, tokenizer: Any, text: Any) -> torch.Tensor:
    """The logits of one text alone, L."""
    encoding = tokenizer.encode(*([text] if isinstance(text, str) else text))
    inputs = {"input_ids": torch.tensor([encoding.ids])}
    if model.config.model_type == "bert":
        inputs["token_type_ids"] = torch.tensor([encoding.segments])
    with torch.no_grad():
        logits: torch.Tensor = model(**inputs).logits[0]
    return logits


@pytest.mark.parametrize("family", ["bert", "bart"])
def test_probabilities_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    """The second is an encoder with a decoder, whose last row speaks for the text."""
    make, name = (bert, f"Bert{CLASS}") if family == "bert" else (bart, f"Bart{CLASS}")
    model, tokenizer = make(tmp_path, name, seed=4, **NAMES)
    ours = gf.load(tmp_path)
    texts = [*TEXTS, *PAIRS]
    answers = ours(texts)
    chosen = set()
    for text, answer in zip(texts, answers, strict=True):
        expected = theirs(model, tokenizer, text).softmax(-1)
        assert isinstance(answer, Label)
        assert list(answer.probabilities) == list(NAMES["label2id"])
        assert list(answer.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-12)
        assert answer.label == NAMES["id2label"][int(expected.argmax())]
        assert answer.probability == max(answer.probabilities.values())
        chosen.add(answer.label)
    assert len(chosen) > 1
    for text in (TEXTS[0], PAIRS[0]):
        trace = ours.trace(text)
        assert trace.verify().max_error <= 1e-10
        assert trace.answer == str(ours(text))


def test_a_pair_may_be_given_as_text_and_context(tmp_path: Path) -> None:
    bert(tmp_path, f"Bert{CLASS}", **NAMES)
    model = gf.load(tmp_path)
    assert model(*PAIRS[0]) == model(PAIRS[0]) == model([PAIRS[0]])[0]
    assert model(*PAIRS[0]).probabilities != model(PAIRS[0][0]).probabilities


def test_any_number_of_labels_may_hold(tmp_path: Path) -> None:
    names = labels(*"abcdefgh")
    model, tokenizer = bert(tmp_path, f"Bert{CLASS}", problem_type="multi_label_classification", **names)
    counts = set()
    ours = gf.load(tmp_path)
    for text in TEXTS:
        expected = theirs(model, tokenizer, text).sigmoid().tolist()
        answer = ours(text)
        assert isinstance(answer, Labels)
        assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-12)
        for threshold in (0.2, 0.5, 0.8):
            holding = {
                name for name, share in zip(names["label2id"], expected, strict=True) if share > threshold
            }
            assert set(ours(text, threshold=threshold).labels) == holding
            counts.add(len(holding))
        assert answer == ours(text, threshold=0.5)
        ranked = [answer.probabilities[name] for name in answer.labels]
        assert ranked == sorted(ranked, reverse=True)
        assert ours(text, threshold=1.0).labels == ()
        assert str(ours(text, threshold=1.0)) == "no label"
        assert set(ours(text, threshold=0.0).labels) == set(names["label2id"])
    assert len(counts) > 1
    trace = ours.trace(TEXTS[0])
    shares = dict(zip(names["label2id"], trace["head.probabilities"].value[0].tolist(), strict=True))
    assert shares == pytest.approx(dict(ours(TEXTS[0]).probabilities), abs=1e-12)
    assert trace.verify().max_error <= 1e-10
    ours.save_pretrained(tmp_path / "again")
    assert gf.load(tmp_path / "again")(TEXTS[0]) == ours(TEXTS[0])


def test_a_number_is_a_number(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path, f"Bert{CLASS}", problem_type="regression", num_labels=1)
    answer = gf.load(tmp_path)(TEXTS[0])
    assert isinstance(answer, Values)
    assert list(answer.values.values()) == pytest.approx(
        theirs(model, tokenizer, TEXTS[0]).tolist(), abs=1e-12
    )
    assert str(answer) == f"{theirs(model, tokenizer, TEXTS[0]).item():.4g}"
    assert "head.probabilities" not in gf.load(tmp_path).trace(TEXTS[0])


def test_one_label_alone_is_a_yes_or_no(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path, f"Bert{CLASS}", num_labels=1)
    answer = gf.load(tmp_path)(TEXTS[0])
    assert answer.probability == pytest.approx(theirs(model, tokenizer, TEXTS[0]).sigmoid().item(), abs=1e-12)


def test_top_names_the_likeliest(tmp_path: Path) -> None:
    bert(tmp_path, f"Bert{CLASS}", **NAMES)
    model = gf.load(tmp_path)
    whole = model(TEXTS[0])
    ranked = sorted(whole.probabilities.items(), key=lambda item: -item[1])
    assert list(model(TEXTS[0], top=2).probabilities.items()) == ranked[:2]
    assert model(TEXTS[0], top=2).probability == whole.probability
    with pytest.raises(gf.InputError, match="top is 0"):
        model(TEXTS[0], top=0)


def test_a_long_text_is_refused_unless_its_end_may_be_left_out(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path, f"Bert{CLASS}", max_position_embeddings=12, **NAMES)
    ours, long = gf.load(tmp_path), TEXTS[-1]
    assert len(tokenizer.encode(long)) > 12
    with pytest.raises(gf.InputError, match=r"12 positions; .*truncate=True.*--truncate"):
        ours(long)
    ids = tokenizer.encode(long).ids
    with torch.no_grad():
        logits = model(torch.tensor([[*ids[:11], ids[-1]]])).logits[0]
    answer = ours(["ok", long], truncate=True)[1]
    assert list(answer.probabilities.values()) == pytest.approx(logits.softmax(-1).tolist(), abs=1e-12)


def test_an_unknown_kind_of_problem_is_refused(tmp_path: Path) -> None:
    bert(tmp_path, f"Bert{CLASS}", **NAMES)
    path = tmp_path / "config.json"
    path.write_text(path.read_text("utf-8").replace("{", '{"problem_type": "ranking",', 1), "utf-8")
    with pytest.raises(gf.InputError, match="'ranking'.*multi_label_classification"):
        gf.load(tmp_path)
