"""BPE-dropout: other cuts of the same words, the vocabulary's own where nothing is left out."""

from collections import Counter

import numpy as np
import pytest

from glassformer.errors import InputError
from glassformer.text.tokenizer import Tokenizer
from glassformer.text.varying import WAYS, VariedCuts

TEXTS = [
    "A young man is waiting for the bus.",
    "it'stuff: we've 12.50 élan, naïve <eos> waiting, waited & waits",
    "the the the the  two  spaces\tand a tab",
    "漢字 are letters that the vocabulary lacks",
]


@pytest.fixture(scope="module", params=["bpe", "byte-bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.train(request.param, [*TEXTS[:3] * 20, "waiting waited waits wait bus buses"], vocab_size=340)


def test_with_nothing_left_out_words_are_cut_as_the_library_cuts_them(tokenizer: Tokenizer) -> None:
    cuts, random = VariedCuts(tokenizer, 0.0, seed=1), np.random.default_rng(0)
    words = cuts.words(TEXTS)
    assert [[id for pieces, _ in each for id in pieces] for each in words] == tokenizer.ids(TEXTS)
    assert [cuts.drawn(each, random) for each in words] == tokenizer.ids(TEXTS)


def test_other_cuts_say_the_same_text(tokenizer: Tokenizer) -> None:
    cuts, random = VariedCuts(tokenizer, 0.3, seed=1), np.random.default_rng(0)
    plainly = tokenizer.ids(TEXTS)
    drawn = [cuts.drawn(each, random) for each in cuts.words(TEXTS)]
    assert drawn != plainly
    assert tokenizer.decode_batch(drawn) == tokenizer.decode_batch(plainly)
    assert sum(map(len, drawn)) > sum(map(len, plainly))


def test_all_left_out_leaves_the_letters() -> None:
    tokenizer = Tokenizer.train("bpe", ["waiting waited waits"] * 5, vocab_size=60)
    (word,) = VariedCuts(tokenizer, 0.999999, seed=1).words(["waiting"], special=False)[0]
    cuts = VariedCuts(tokenizer, 0.999999, seed=1)
    assert [tokenizer.token(id) for id in cuts.way(word[0], 0)] == ["▁", *"waiting"]


def test_a_merge_is_left_out_as_often_as_asked() -> None:
    """A word of two letters has one merge: it stays two letters in that share of the draws."""
    tokenizer = Tokenizer.train("byte-bpe", ["ab ab ab"] * 5, vocab_size=260)
    (ab,) = (id for id in range(tokenizer.vocab_size) if tokenizer.token(id) == "ab")
    cuts = VariedCuts(tokenizer, 0.2, seed=5)
    found = Counter(len(cuts._way((ab,), number)) for number in range(20_000))  # noqa: SLF001
    assert set(found) == {1, 2}
    assert found[2] / found.total() == pytest.approx(0.2, abs=0.01)


def test_a_seed_gives_the_same_cuts_whatever_was_drawn_before(tokenizer: Tokenizer) -> None:
    first, second, other = (VariedCuts(tokenizer, 0.3, seed=seed) for seed in (1, 1, 2))
    words = first.words(TEXTS)
    ways = [first.way(pieces, 3) for text in words for pieces, free in text if free]
    assert [second.way(pieces, 3) for text in reversed(words) for pieces, free in reversed(text) if free] == ways[::-1]
    assert [other.way(pieces, 3) for text in words for pieces, free in text if free] != ways
    several = {first.way(pieces, number) for number in range(WAYS) for text in words for pieces, _ in text}
    assert len(several) > len(set(ways))


def test_added_and_unknown_tokens_stay() -> None:
    tokenizer = Tokenizer.train("bpe", ["a waiting bus"] * 5, vocab_size=60)
    words = VariedCuts(tokenizer, 0.5, seed=1).words(["bus 漢 <eos>"])[0]
    assert [pieces for pieces, free in words if not free].count((tokenizer.eos_id,)) == 2
    assert not any(free for pieces, free in words if tokenizer.unk_id in pieces)


def test_a_vocabulary_without_merges_is_refused() -> None:
    tokenizer = Tokenizer.train("wordpiece", ["a waiting bus"] * 5, vocab_size=60)
    with pytest.raises(InputError, match=r"BPE-dropout leaves out merges, and this tokenizer \(WordPiece\) has none"):
        VariedCuts(tokenizer, 0.1, seed=1)
