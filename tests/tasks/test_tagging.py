"""Names in texts, against the token-classification pipeline of `transformers` and against seqeval."""

import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from seqeval.metrics.sequence_labeling import get_entities

import glassformer as gf
from glassformer.errors import InputError
from glassformer.tasks.tagging import Entities, Scheme, boundaries, firsts, joined
from glassformer.text.tokenizer import Tokenizer
from glassformer.text.windows import windows

from .published import TEXTS, bert, labels

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
CLASS = "BertForTokenClassification"
STRATEGIES = {"first": "first", "simple": "simple", "mean": "average"}


def pipeline(model: Any, folder: Path, strategy: str) -> Any:
    return transformers.pipeline(
        "token-classification",
        model=model,
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
        aggregation_strategy=strategy,
    )


@pytest.mark.parametrize(
    ("names", "seed"),
    [(BIO, 4), (("O", "PER", "LOC"), 4), (("O", "I-PER", "I-LOC", "B-LOC"), 3)],
    ids=["bio", "plain", "iob"],
)
@pytest.mark.parametrize("aggregation", STRATEGIES)
def test_entities_are_those_of_the_pipeline(
    aggregation: str, names: tuple[str, ...], seed: int, tmp_path: Path
) -> None:
    model, _ = bert(tmp_path, CLASS, seed=seed, **labels(*names))
    ours, theirs = gf.load(tmp_path), pipeline(model, tmp_path, STRATEGIES[aggregation])
    answers = ours(list(TEXTS), aggregation=aggregation)
    several = 0
    for text, answer in zip(TEXTS, answers, strict=True):
        expected = theirs(text)
        assert [(one.type, one.start, one.end) for one in answer.entities] == [
            (one["entity_group"], one["start"], one["end"]) for one in expected
        ]
        assert [one.probability for one in answer.entities] == pytest.approx(
            [one["score"] for one in expected], abs=1e-9
        )
        assert all(one.text == text[one.start : one.end] for one in answer.entities)
        several += sum(" " in one.text for one in answer.entities)
    assert several > 0


def test_tags_are_those_of_the_pipeline_token_by_token(tmp_path: Path) -> None:
    model, _ = bert(tmp_path, CLASS, **labels(*BIO))
    theirs = pipeline(model, tmp_path, "none")
    for text in TEXTS:
        expected = {(one["start"], one["end"]): one for one in theirs(text)}
        tags = gf.load(tmp_path)(text).tags
        for tag in tags:
            one = expected.get((tag.start, tag.end))
            assert (tag.label == "O") == (one is None)
            if one is not None:
                assert (tag.label, tag.token) == (one["entity"], one["word"])
                assert tag.probability == pytest.approx(one["score"], abs=1e-9)


@pytest.mark.parametrize("marks", ["BIO", "IO", "BIOES"])
def test_spans_are_those_of_seqeval(marks: str) -> None:
    names = ["O", *(f"{mark}-{kind}" for mark in marks if mark != "O" for kind in ("X", "Y"))]
    draw, scheme = random.Random(0), Scheme(names)
    for length in range(1, 40):
        tags = draw.choices(names, k=length)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = [(kind, first, last + 1) for kind, first, last in get_entities(tags)]
        assert scheme.spans(tags) == expected


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["B-X", "L-X", "U-X", "O", "I-X"], [("X", 0, 2), ("X", 2, 3), ("X", 4, 5)]),  # BILOU
        (["I-X", "I-X", "B-X"], [("X", 0, 2), ("X", 2, 3)]),  # IOB1
        (["B-X", "I-Y", "I-Y"], [("X", 0, 1), ("Y", 1, 3)]),
        (["I-E-mail", "I-E-mail"], [("E-mail", 0, 2)]),
    ],
)
def test_other_schemes(tags: list[str], spans: list[tuple[str, int, int]]) -> None:
    assert Scheme([*tags, "O", "B-X"]).spans(tags) == spans


def test_labels_without_marks_are_kinds() -> None:
    scheme = Scheme(["O", "PER", "E-mail", "S-Bahn"])
    assert scheme.spans(["PER", "PER", "E-mail", "O", "S-Bahn"]) == [
        ("PER", 0, 2),
        ("E-mail", 2, 3),
        ("S-Bahn", 4, 5),
    ]


def test_it_prints_as_the_text_with_its_names_in_brackets(tmp_path: Path) -> None:
    bert(tmp_path, CLASS, **labels(*BIO))
    for answer in gf.load(tmp_path)(list(TEXTS)):
        assert "".join(piece for piece, _ in answer.pieces()) == answer.text
        assert str(answer).count("[") == len(answer.entities) + answer.text.count("[")
    assert str(Entities(text="so", entities=(), tags=())) == "so"


# ------------------------------------------------------------------ capitals


def test_capitals_are_segment_1(tmp_path: Path) -> None:
    """A published model that is told of them, against transformers given the same segments."""
    published, _ = bert(tmp_path, CLASS, **labels(*BIO))
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "capitals": True}), "utf-8")
    text = "Angela Merkel visited \u00c9VORA, mcDonald"
    model = gf.load(tmp_path)
    (encoding,) = model.task.encoded([text])
    assert sum(encoding.segments) >= 3
    assert encoding.segments[0] == encoding.segments[-1] == 0
    for (start, end), segment in zip(encoding.offsets, encoding.segments, strict=True):
        assert segment == text[start:end][:1].isupper()
    with torch.no_grad():
        ids, segments = torch.tensor([encoding.ids]), torch.tensor([encoding.segments])
        expected = published(input_ids=ids, token_type_ids=segments).logits[0, 1:-1].softmax(-1)
        without = published(input_ids=ids).logits[0, 1:-1].softmax(-1)
    (found,) = model.task.probabilities(model.transformer, [encoding], [text], None, None)
    assert torch.allclose(found, expected, rtol=0, atol=1e-9)
    assert not torch.allclose(found, without, rtol=0, atol=1e-3)
    run = model.task.run(model.transformer, text)
    assert run.batch.segments is not None
    assert run.batch.segments.tolist() == [encoding.segments]


# ------------------------------------------------------------------ words that are cut already


def test_words_get_the_label_of_their_first_token(tmp_path: Path) -> None:
    model, _ = bert(tmp_path, CLASS, **labels(*BIO))
    fast = transformers.AutoTokenizer.from_pretrained(tmp_path)
    sentences = [
        ["Angela", "Merkel", "visited", "U.S.", "unaffordable-coffee"],
        ["ok"],
        [".", "", "\x00", "cat"],
    ]
    found = gf.load(tmp_path).task.words(gf.load(tmp_path).transformer, sentences)
    assert [len(row) for row in found] == [5, 1, 4]
    for sentence, row in zip(sentences, found, strict=True):
        encoded = fast(sentence, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            best = model(**encoded).logits[0].argmax(-1).tolist()
        numbers = encoded.word_ids()
        for number, label in enumerate(row):
            at = numbers.index(number) if number in numbers else None
            assert label == ("O" if at is None else BIO[best[at]])
    assert gf.load(tmp_path).task.words(gf.load(tmp_path).transformer, []) == []


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "bpe", "unigram"])
def test_the_first_token_of_each_word(kind: str) -> None:
    tokenizer = Tokenizer.train(kind, TEXTS, vocab_size=400)
    sentence = ["Zoë's", "", "café-bar", "\u200b", "U.S.", "…"]
    text, starts = joined(sentence)
    encoding = tokenizer.encode(text)
    for word, start, place in zip(sentence, starts, firsts(text, starts, encoding), strict=True):
        if place is not None:
            first, last = encoding.offsets[place]
            assert text[first:last].strip()
            assert word.startswith(text[first:last].strip()[0])
            assert first <= start < last
        else:
            assert word in ("", "\u200b", "…")


# ------------------------------------------------------------------ texts longer than the model


def test_windows_change_nothing_where_tokens_do_not_look_at_each_other(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path, CLASS, **labels(*BIO))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "attention.output.dense" in name or "position_embeddings" in name:
                parameter.zero_()
    model.save_pretrained(tmp_path)
    ours = gf.load(tmp_path)
    long = " ".join(TEXTS)
    assert len(tokenizer.encode(long)) > 150
    whole = ours(long)
    assert len(whole.entities) > 3
    for window, stride in ((None, None), (10, None), (17, 3), (30, 100), (3, 1)):
        found = ours(long, window=window, stride=stride)
        assert found.entities != ()
        assert [(one.type, one.start, one.end) for one in found.entities] == [
            (one.type, one.start, one.end) for one in whole.entities
        ]
        assert [tag.probability for tag in found.tags] == pytest.approx(
            [tag.probability for tag in whole.tags], abs=1e-12
        )


def test_each_token_is_read_in_one_of_its_windows_amid_their_overlap(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path, CLASS, **labels(*BIO))
    ours, long = gf.load(tmp_path), " ".join(text for text in TEXTS if "Llan" not in text)  # a very long word
    lot = windows(tokenizer.encode(long), 30)
    rows = {}
    for window in lot:
        with torch.no_grad():
            said = model(torch.tensor([window.encoding.ids])).logits[0].softmax(-1)
        for number, place in zip(range(window.first, window.last), window.places, strict=True):
            rows[window.first, number] = said[place]
    (found,) = ours.task.probabilities(ours.transformer, [tokenizer.encode(long)], [long], 30, None)
    used = []
    for number, row in enumerate(found):
        near = [
            w
            for w in lot
            if w.first <= number < w.last and torch.allclose(rows[w.first, number], row, atol=1e-12)
        ]
        assert len(near) == 1
        beside = min(number - near[0].first, near[0].last - 1 - number)
        assert beside >= 4 or number < 8 or number >= len(found) - 8
        used.append(near[0].first)
    assert used == sorted(used)
    assert set(used) == {window.first for window in lot}


@pytest.mark.parametrize("stride", [1, 2, 5, 20])
def test_windows_take_over_where_a_word_begins(stride: int) -> None:
    tokenizer = Tokenizer.train("wordpiece", TEXTS, vocab_size=90)
    encoding = tokenizer.encode(" ".join(TEXTS))
    lot = windows(encoding, 22, stride)
    begins = set(range(0, 500, 3))
    cuts = boundaries(lot, begins)
    assert cuts[0] == 0
    assert cuts[-1] == len(encoding.places(0))
    assert cuts == sorted(cuts)
    for window, first, last in zip(lot, cuts, cuts[1:], strict=False):
        assert window.first <= first <= last <= window.last
    if stride < 18:
        assert set(cuts[1:-1]) <= begins


def test_the_trace_of_a_long_text_is_that_of_its_first_window(tmp_path: Path) -> None:
    bert(tmp_path, CLASS, **labels(*BIO))
    model, long = gf.load(tmp_path), " ".join(TEXTS)
    trace = model.trace(long)
    assert len(trace.tokens["encoder"][0]) == 150
    assert trace.answer == str(model(long))
    assert trace.verify().max_error <= 1e-10


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("ok", {"aggregation": "last"}, "'last'.*first, mean, simple"),
        ("ok", {"window": 151}, "window of 151.*150 positions"),
        (("a", "b"), {}, "pair of texts"),
        ("ok " * 50, {"stride": 0}, "stride"),
        (" ", {}, "empty"),
    ],
)
def test_bad_input_is_refused(text: Any, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    bert(tmp_path, CLASS, **labels(*BIO))
    with pytest.raises(InputError, match=said):
        gf.load(tmp_path)(text, **options)
