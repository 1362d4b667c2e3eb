"""Our figures are seqeval's."""

import random
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
from seqeval.metrics import classification_report
from seqeval.scheme import BILOU, IOB2, IOBES

from glassformer.data.examples import TaggedSentence
from glassformer.errors import InputError
from glassformer.evaluation.tagging import (
    Scheme,
    entities,
    evaluate,
    in_iob2,
    measured,
    report,
    scheme_of,
    score,
    types_of,
)
from glassformer.tasks.tagging import Scheme as Meaning

SCHEMES: dict[Scheme, tuple[str, Any]] = {
    "IOB2": ("BI", IOB2),
    "BIOES": ("BIES", IOBES),
    "BILOU": ("BILU", BILOU),
    "conll": ("BIES", None),
}


def sentences(letters: str, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """Tags in any order, valid or not, and others that agree with them in part."""
    chosen = random.Random(seed)
    tags = ["O", "O", *(f"{letter}-{kind}" for letter in letters for kind in ("PER", "LOC", "ORG-x"))]
    wanted = [chosen.choices(tags, k=chosen.randint(1, 7)) for _ in range(chosen.randint(1, 6))]
    given = [[tag if chosen.random() < 0.6 else chosen.choice(tags) for tag in each] for each in wanted]
    return wanted, given


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_figure(scheme: Scheme) -> None:
    letters, theirs = SCHEMES[scheme]
    strict = {"mode": "strict", "scheme": theirs} if theirs else {}
    for seed in range(150):
        wanted, given = sentences(letters, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a figure without examples
            expected = classification_report(wanted, given, output_dict=True, **strict)
        ours, kinds = measured(wanted, given, scheme).figures(), types_of(wanted, given, scheme)
        micro = expected["micro avg"]
        for name in ("precision", "recall", "f1"):
            long = "f1-score" if name == "f1" else name
            assert ours[name] == pytest.approx(100 * micro[long])
            assert ours[f"label_{name}"].tolist() == pytest.approx(
                [100 * expected[kind][long] for kind in kinds]
            )
        if kinds:
            assert ours["macro_f1"] == pytest.approx(100 * expected["macro avg"]["f1-score"])
        assert set(kinds) == set(expected) - {"micro avg", "macro avg", "weighted avg"}


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["O", "B-PER", "I-PER", "B-PER"], "IOB2"),
        (["O", "I-PER"], "conll"),
        (["B-PER", "I-LOC"], "conll"),
        (["O", "S-PER", "B-LOC", "E-LOC"], "BIOES"),
        (["U-PER", "O"], "BILOU"),
        (["O"], "IOB2"),
    ],
)
def test_the_scheme_is_the_one_in_which_the_tags_are_valid(tags: list[str], scheme: Scheme) -> None:
    assert scheme_of([tags]) == scheme


def test_a_score_says_how_entities_were_read() -> None:
    found = score([["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "O"]], bootstrap=10)["f1"]
    assert found.value == 100
    assert found.signature.startswith("scheme:IOB2|mode:strict|")
    assert score([["I-PER"]], [["O"]])["f1"].signature.startswith("scheme:conll|mode:default|")


def test_tags_are_one_a_word() -> None:
    with pytest.raises(InputError, match="sentence 2 has 1 words, but 2 tags"):
        measured([["O"], ["O"]], [["O"], ["O", "O"]])


class Scripted:
    """A tagger that knows its answers."""

    def __init__(self, labels: Sequence[str], answers: dict[tuple[str, ...], list[str]]) -> None:
        self.labels, self.answers, self.scheme = tuple(labels), answers, Meaning(labels)

    def words(self, model: Any, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        return [self.answers[tuple(words)] for words in sentences]


SENTENCES = [
    TaggedSentence(words=("Anna", "Lee", "left", "Paris"), tags=("B-PER", "I-PER", "O", "B-LOC")),
    TaggedSentence(words=("in", "May"), tags=("O", "O")),
]
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def test_a_task_is_asked() -> None:
    task: Any = Scripted(
        LABELS,
        {SENTENCES[0].words: ["B-PER", "I-PER", "O", "O"], SENTENCES[1].words: ["O", "B-PER"]},
    )
    ours = evaluate(task, None, SENTENCES)  # type: ignore[arg-type]
    assert ours == pytest.approx(
        {"f1": 50, "precision": 50, "recall": 50, "macro_f1": 100 / 3, "token_accuracy": 400 / 6}
    )
    found = report(task, None, SENTENCES, bootstrap=20)  # type: ignore[arg-type]
    assert found.counts == {"sentences": 2, "words": 6, "entities": 2}
    assert [case.number for case in found.worst] == [1, 2]
    wanted, given = found.worst[0].parts
    assert [(wanted.text[m.start : m.end], m.name, m.kind) for m in wanted.marks] == [
        ("Anna Lee", "PER", "right"),
        ("Paris", "LOC", "missed"),
    ]
    assert [(given.text[m.start : m.end], m.kind) for m in given.marks] == [("Anna Lee", "right")]
    assert [m.kind for m in found.worst[1].parts[1].marks] == ["wrong"]


def test_labels_of_another_scheme_are_read_as_the_model_means_them() -> None:
    answers = {SENTENCES[0].words: ["B-PER", "L-PER", "O", "U-LOC"], SENTENCES[1].words: ["O", "O"]}
    task: Any = Scripted(["O", "B-PER", "I-PER", "L-PER", "U-PER", "U-LOC"], answers)
    assert evaluate(task, None, SENTENCES)["f1"] == 100  # type: ignore[arg-type]
    inside = {each.words: [tag.replace("B-", "I-") for tag in each.tags] for each in SENTENCES}
    kinds: Any = Scripted(["O", "I-PER", "I-LOC"], inside)
    assert evaluate(kinds, None, SENTENCES)["f1"] == 100  # type: ignore[arg-type]


def test_entities_as_tags_are_entities_again() -> None:
    spans = [("PER", 0, 2), ("PER", 2, 3), ("LOC", 4, 6)]
    assert entities(in_iob2(spans, 7), "IOB2") == spans


def test_a_type_the_model_has_never_heard_of_is_refused() -> None:
    sentence = TaggedSentence(words=("x",), tags=("B-ANIMAL",))
    with pytest.raises(InputError, match="the tag 'B-ANIMAL', but the model knows O, B-PER"):
        evaluate(Scripted(LABELS, {}), None, [sentence])  # type: ignore[arg-type]


def test_labels_may_be_kinds_of_words() -> None:
    """Parts of speech: what stands side by side under one kind is one entity, as the model itself answers."""
    sentences = [TaggedSentence(words=("the", "old", "dog", "barks"), tags=("DET", "ADJ", "NOUN", "VERB"))]
    task: Any = Scripted(["ADJ", "DET", "NOUN", "VERB"], {sentences[0].words: ["DET", "ADJ", "NOUN", "NOUN"]})
    found = report(task, None, sentences)  # type: ignore[arg-type]
    assert (found.scores["token_accuracy"].value, found.counts["entities"]) == (75, 4)
    assert found.scores["precision"].value == pytest.approx(200 / 3)
    assert found.given == (("DET", "ADJ", "NOUN", "NOUN"),)
    with pytest.raises(InputError, match="the tag 'ADV', but the model knows ADJ, DET"):
        evaluate(task, None, [TaggedSentence(words=("now",), tags=("ADV",))])  # type: ignore[arg-type]


def test_kinds_without_marks_are_compared_with_marked_tags() -> None:
    task: Any = Scripted(["O", "PER"], {("Anna", "left"): ["PER", "O"]})
    sentence = TaggedSentence(words=("Anna", "left"), tags=("B-PER", "O"))
    assert evaluate(task, None, [sentence])["f1"] == 100  # type: ignore[arg-type]


def test_tags_may_say_nothing_but_where_an_entity_is() -> None:
    task: Any = Scripted(["O", "B", "I"], {("New", "York", "sleeps"): ["B", "I", "O"]})
    sentence = TaggedSentence(words=("New", "York", "sleeps"), tags=("B", "I", "O"))
    assert evaluate(task, None, [sentence])["f1"] == 100  # type: ignore[arg-type]
