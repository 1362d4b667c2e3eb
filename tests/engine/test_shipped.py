"""The translator that ships, on sentences made of its own words: prepared and open, greedy and five beams."""

import random

import pytest

import glassformer as gf
from glassformer.engine.prepare import prepare

WHO = ("I", "You", "We", "They", "My sister", "The old man", "Her brother", "Nobody", "The teacher", "Tom")
DID = ("saw", "wanted", "forgot", "bought", "opened", "found", "liked", "lost", "needed", "broke")
WHAT = ("the book", "a new car", "your letter", "the door", "some water", "this house", "it", "nothing")
WHEN = ("yesterday", "again", "too late", "in the morning", "before the war", "at school", "for him")


def sentences(count: int) -> list[str]:
    """So many different ones."""
    chance, found = random.Random(5), set()
    while len(found) < count:
        found.add(" ".join(chance.choice(words) for words in (WHO, DID, WHAT, WHEN)) + ".")
    return sorted(found)


@pytest.mark.parametrize("beams", [1, 5])
def test_two_hundred_sentences_are_translated_alike(beams: int, use_native: bool) -> None:
    model, texts = gf.load("tatoeba-en-fr"), sentences(200)
    expected = model(texts, num_beams=beams)
    prepare(model.transformer, "float32", use_native=use_native)
    found = model(texts, num_beams=beams)
    assert [answer.ids for answer in found] == [answer.ids for answer in expected]
    worst = max(abs(one.score - other.score) for one, other in zip(found, expected, strict=True))
    assert worst < 1e-4


@pytest.mark.parametrize(("precision", "least"), [("bfloat16", 0.95), ("int8", 0.85), ("int4", 0.3)])
def test_most_translations_stay_at_lower_precisions(precision: str, least: float, engine: None) -> None:
    model, texts = gf.load("tatoeba-en-fr"), sentences(100)
    expected = [answer.ids for answer in model(texts)]
    model.prepare(precision)
    same = sum(answer.ids == ids for answer, ids in zip(model(texts), expected, strict=True))
    assert same / len(texts) >= least
