"""Our figures are rouge-score's, and our stems NLTK's."""

import random
import re
import string
from pathlib import Path
from typing import Any

import pytest
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer

from glassformer.data.examples import Pair
from glassformer.errors import InputError
from glassformer.evaluation.stemming import stem
from glassformer.evaluation.summarization import FIGURES, best, evaluate, rouge, score
from glassformer.tasks.summarization import Summary

WORDS = [
    "the",
    "a",
    "cat",
    "cats",
    "running",
    "ran",
    "quickly",
    "relational",
    "on",
    "mat",
    "house",
    "news",
    "12",
    "l'été",
    "it's",
]
DOCS = Path(__file__).parents[2]


def texts(count: int, seed: int) -> list[str]:
    """Words with marks, over one line or several, some lines empty."""
    chosen = random.Random(seed)

    def line() -> str:
        return chosen.choice([" ", ", "]).join(chosen.choices(WORDS, k=chosen.randint(0, 7)))

    return [
        chosen.choice([" ", "\n"]).join(line() for _ in range(chosen.randint(1, 4))) for _ in range(count)
    ]


GIVEN, FIRST, SECOND = (texts(300, seed) for seed in range(3))


@pytest.mark.parametrize("stemming", [False, True])
def test_every_text_by_itself(stemming: bool) -> None:
    theirs = RougeScorer(list(FIGURES), use_stemmer=stemming)
    for given, first, second in zip(GIVEN, FIRST, SECOND, strict=True):
        expected, ours = theirs.score(first, given), rouge(given, first, stemming=stemming)
        for name in FIGURES:
            assert ours[name] == pytest.approx(tuple(expected[name]))
        several = theirs.score_multi([first, second], given)
        found = best(given, [first, second], stemming=stemming)
        assert {name: several[name].fmeasure for name in FIGURES} == pytest.approx(
            {name: each[2] for name, each in found.items()}
        )


def test_the_mean_of_all_texts() -> None:
    theirs = RougeScorer(list(FIGURES), use_stemmer=True)
    each = [theirs.score(first, given) for given, first in zip(GIVEN, FIRST, strict=True)]
    ours = score(GIVEN, FIRST, stemming=True, bootstrap=30)
    for name in FIGURES:
        assert ours[name].value == pytest.approx(100 * sum(one[name].fmeasure for one in each) / len(each))
        assert ours[name].low < ours[name].value < ours[name].high
    assert ours["rouge1"].signature.startswith("nrefs:1|figure:f1|stemmer:yes|")
    rows = [
        [one, other] if number % 2 else [one]
        for number, (one, other) in enumerate(zip(FIRST, SECOND, strict=True))
    ]
    assert score(GIVEN, rows)["rougeL"].signature.startswith("nrefs:var|figure:f1|stemmer:no|")


def test_stems() -> None:
    """Of the words of our own documents, of their neighbours by suffix, and of words that there are not."""
    stemmer, chosen = PorterStemmer(), random.Random(0)
    known = set()
    for path in (*DOCS.glob("*.md"), *DOCS.glob("docs/*.md"), *DOCS.glob("src/glassformer/*/*.py")):
        known |= set(re.findall(r"[a-z0-9]+", path.read_text("utf-8").lower()))
    endings = [
        "ing",
        "ed",
        "ly",
        "alli",
        "logi",
        "ness",
        "ies",
        "ied",
        "eed",
        "ful",
        "fulli",
        "ational",
        "ization",
        "e",
        "ll",
        "y",
        "ion",
        "ement",
        "s",
        "ss",
        "sses",
        "ibly",
    ]
    known |= {word + chosen.choice(endings) for word in known}
    letters = "aeiouylst" + string.ascii_lowercase
    known |= {
        "".join(chosen.choices(letters, k=chosen.randint(1, 9))) + chosen.choice(endings) for _ in range(8000)
    }
    known |= {
        "skies",
        "dying",
        "news",
        "innings",
        "proceed",
        "flies",
        "dies",
        "spied",
        "died",
        "enjoy",
        "by",
        "geologi",
    }
    different = {word: (stem(word), stemmer.stem(word)) for word in known if stem(word) != stemmer.stem(word)}
    assert not different


class Scripted:
    """A task that says the first words."""

    def rewrite(self, model: Any, texts: list[str], decoding: Any, *, truncate: bool) -> list[Any]:
        assert truncate
        return [
            Summary(
                text=" ".join(text.split()[:3]),
                score=0.0,
                ids=(),
                tokens=(),
                log_probabilities=(),
                complete=True,
            )
            for text in texts
        ]


def test_a_text_on_several_lines_is_summarized_once() -> None:
    pairs = [
        Pair("the cat sat on a mat", "the cat"),
        Pair("a house", "a house"),
        Pair("the cat sat on a mat", "cat sat"),
    ]
    ours = evaluate(Scripted(), None, pairs)  # type: ignore[arg-type]
    expected = score(["the cat sat", "a house"], [["the cat", "cat sat"], ["a house"]])
    assert ours == {name: each.value for name, each in expected.items()}


@pytest.mark.parametrize(
    ("references", "said"), [(["a", "b"], "1 summaries came with 2"), ([[]], "summary 1 has no reference")]
)
def test_what_cannot_be_scored_is_refused(references: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        score(["a"], references)
