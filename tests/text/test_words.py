"""Words of a text, whatever a tokenizer makes of it."""

import re

import pytest

from glassformer.text.tokenizer import Tokenizer
from glassformer.text.words import words

TEXT = "  Zoë's U.S. café-bar (été 2019), l'eau: 3.5% 🙂 x_y…"
TRAIN = [TEXT, "the eau of the café and the bar of été", "x y z 0 1 2 3 4 5 6 7 8 9"] * 3


@pytest.mark.parametrize("kind", ["wordpiece", "byte-bpe", "bpe", "unigram", "characters"])
@pytest.mark.parametrize("size", [250, 400])
def test_marks_stand_alone_and_what_is_between_spaces_and_marks_is_one_word(kind: str, size: int) -> None:
    tokenizer = Tokenizer.train(kind, TRAIN, vocab_size=size)
    encoding = tokenizer.encode(TEXT)
    found = words(TEXT, encoding.offsets, encoding.places(0))
    starts = {match.start() for match in re.finditer(r"[^\W_]+|[^\w\s]|_", TEXT)}
    own = [encoding.offsets[place] for place in encoding.places(0)]
    within = {  # a token is not cut, even if it holds a mark and letters
        start for start in starts for first, last in own if first < start < last and TEXT[first:start].strip()
    }
    assert [word.start for word in found] == sorted(starts - within)
    assert all(TEXT[word.start : word.end].split() == [TEXT[word.start : word.end]] for word in found)
    told = [place for word in found for place in word.places]
    assert told == sorted(set(told))


def test_scripts_without_spaces_have_a_word_a_token() -> None:
    tokenizer = Tokenizer.train("characters", ["東京はカナです ไทย abc"], vocab_size=50)
    encoding = tokenizer.encode("東京は abc")
    assert [(word.start, word.end) for word in words("東京は abc", encoding.offsets, encoding.places(0))] == [
        (0, 1), (1, 2), (2, 3), (4, 7),
    ]  # fmt: skip


def test_only_the_asked_places_count() -> None:
    tokenizer = Tokenizer.train("wordpiece", ["who is it", "it is me"], vocab_size=60)
    encoding = tokenizer.encode("who is it", "it is me")
    assert [word.start for word in words("it is me", encoding.offsets, encoding.places(1))] == [0, 3, 6]
