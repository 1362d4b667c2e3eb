"""Text as it comes: the pieces are the whole, and none of them is taken back."""

import random

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models

from glassformer.decoding.pieces import Pieces, cut, followed
from glassformer.text.tokenizer import Tokenizer

TEXTS = [
    "The naïve café owner's cat didn't sit: “on the mat”, it wouldn't!",
    "Ünïcödé — 日本語のテキスト, emoji 👩‍👩‍👧 and 🇫🇷 flags; كتاب, हिन्दी.",
    "  two  spaces\n\nand lines\tand tabs ",
    "a b c",
]
KINDS = ["bpe", "byte-bpe", "wordpiece", "unigram", "characters", "words"]


@pytest.fixture(scope="module", params=[*KINDS, "byte-fallback"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "byte-fallback":
        return fallback()
    return Tokenizer.train(request.param, TEXTS * 3, vocab_size=400)


def fallback() -> Tokenizer:
    """As Llama's and T5's: a space is part of the word behind it, an unknown character is its bytes."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdehnt"]
    words += ["▁a", "▁the", "th", "he", "an", "and", "日"]
    vocabulary = {word: number for number, word in enumerate(words)}
    backend = Backend(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return Tokenizer(backend, {"unk": "<unk>", "bos": "<s>", "eos": "</s>"})


def rows(tokenizer: Tokenizer, count: int = 60) -> list[list[int]]:
    """Random tokens, special ones and torn characters among them, and the tokens of real texts."""
    chance, size = random.Random(0), tokenizer.vocab_size
    found = [[chance.randrange(size) for _ in range(chance.randint(1, 25))] for _ in range(count)]
    if tokenizer.id("<0xE6>") is None:
        return found + tokenizer.ids(TEXTS)
    spelt = [[tokenizer.id(f"<0x{byte:02X}>") or 0 for byte in text.encode()] for text in TEXTS]
    return found + spelt


def test_the_pieces_together_are_the_text(tokenizer: Tokenizer) -> None:
    for before in ([], rows(tokenizer)[0]):
        for row in rows(tokenizer):
            text = Pieces(tokenizer, before)
            pieces = [*map(text.add, row), text.rest()]
            assert "".join(pieces) == followed(tokenizer, before, row)


def test_whole_characters_come_at_once(tokenizer: Tokenizer) -> None:
    """Nothing is held that is certain: after the last token of a real text there is little left to say."""
    for row in rows(tokenizer)[-len(TEXTS) :]:
        text = Pieces(tokenizer)
        pieces = [text.add(token) for token in row]
        assert all("\ufffd" not in piece for piece in pieces)
        if tokenizer.id("<0xE6>") is None:
            assert text.rest() == ""
            assert sum(bool(piece) for piece in pieces) >= 0.4 * len(row)


def test_torn_characters_do_not_hold_up_what_follows_them() -> None:
    tokenizer = Tokenizer.train("byte-bpe", ["é"], vocab_size=300, special="gpt")
    torn = tokenizer.ids(["é"], special=False)[0]
    first = next(token for token in range(tokenizer.vocab_size) if tokenizer.decode([token]) == "\ufffd")
    assert tokenizer.decode(torn) == "é"
    text = Pieces(tokenizer)
    assert [text.add(first) for _ in range(6)] == ["", "", "", "\ufffd", "\ufffd", "\ufffd"]


def test_the_text_behind_a_prompt_keeps_its_space() -> None:
    tokenizer = fallback()
    the, a = tokenizer.id("▁the"), tokenizer.id("▁a")
    assert tokenizer.decode([the]) == "the"
    assert followed(tokenizer, [], [the]) == "the"
    assert followed(tokenizer, [a], [the]) == " the"


def test_a_run_of_bytes_is_read_together() -> None:
    """One torn character spoils the run that it stands in, which was whole before."""
    tokenizer = fallback()
    run = [tokenizer.id(f"<0x{byte:02X}>") for byte in "中".encode()]
    text = Pieces(tokenizer)
    assert [text.add(token) for token in run] == ["", "", ""]
    assert text.rest() == "中"
    torn = Pieces(tokenizer)
    assert "".join([*map(torn.add, [*run, run[0]]), torn.rest()]) == "\ufffd" * 4
    ended = Pieces(tokenizer)
    assert [ended.add(token) for token in [*run, tokenizer.id("a")]] == ["", "", "", "中a"]


@pytest.mark.parametrize(
    ("text", "stops", "found"),
    [
        ("abc", ["b"], "a"),
        ("abc", ["x"], "abc"),
        ("abcabc", ["ca", "bc"], "a"),
        ("abc", [], "abc"),
        ("a", ["a"], ""),
    ],
)
def test_a_text_is_cut_before_the_first_stop(text: str, stops: list[str], found: str) -> None:
    assert cut(text, stops) == found


def test_what_may_be_the_beginning_of_a_stop_is_held() -> None:
    tokenizer = Tokenizer.train("characters", ["STOP and go\n"], vocab_size=40)
    text = Pieces(tokenizer, stop_strings=["STOP", "\n\n"])
    pieces = [text.add(tokenizer.id(letter) or 0) for letter in "a SO STOP go"]
    assert pieces == ["a", " ", "", "SO", " ", "", "", "", "", "", "", ""]
    assert text.rest() == ""
    text = Pieces(tokenizer, stop_strings=["STOP"])
    assert [text.add(tokenizer.id(letter) or 0) for letter in "go ST"] == ["g", "o", " ", "", ""]
    assert text.rest() == "ST"
