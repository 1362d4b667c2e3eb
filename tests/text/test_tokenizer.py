"""Training, round trips, character offsets, saving, and the sentences that refuse bad input."""

import json
import unicodedata
from dataclasses import FrozenInstanceError
from pathlib import Path
from pydoc_data.topics import topics  # English that every Python carries

import pytest
from tokenizers import Tokenizer as Backend

from glassformer.errors import InputError
from glassformer.text.kinds import KINDS
from glassformer.text.special import Special
from glassformer.text.tokenizer import Tokenizer

ENGLISH: list[str] = [line for topic in topics.values() for line in topic.splitlines() if line.strip()][:460]

FRENCH = [
    "Tu veux de l'eau\u202f?",
    "De l'eau.",
    "Est-ce que tu viens\u00a0? Oui\u00a0: à 8\u00a0h\u202f30\u2009!",
    "«\u00a0Qu'est-ce qu'il y a\u202f?\u00a0» demanda-t-elle\u2026",
    "L\u2019été, j'aime les pâtes — et l'œuf à 12,50 €.",
    "Je n'ai pas  deux espaces.",
    " Une espace devant et derrière ",
]
AWKWARD = [
    "don't they've O'Brien rock'n'roll",
    "tab\there, line\nthere, 1234567890",
    "a\u0301 (decomposed) \u00e1 (composed) \u0130stanbul",
    "\u4e2d\u6587 \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4",
    "emoji \U0001f389\U0001f468\u200d\U0001f469\u200d\U0001f467!",
    "[brackets] <angles> #hash_tag @name http://a.b/c?d=e&f",
    "x",
    "...",
]
TEXTS = ENGLISH[:400] + FRENCH * 20
SAMPLES = ENGLISH[400:460] + FRENCH + AWKWARD
OPEN = ("bpe", "byte-bpe", "wordpiece", "unigram")
SPACED = ("bpe", "unigram")


@pytest.fixture(scope="module")
def trained() -> dict[str, Tokenizer]:
    return {kind: Tokenizer.train(kind, TEXTS + SAMPLES, vocab_size=700) for kind in OPEN} | {
        "characters": Tokenizer.train("characters", TEXTS + SAMPLES, vocab_size=9999),
        "words": Tokenizer.train("words", TEXTS + SAMPLES, vocab_size=99999),
    }


def surface(token: str) -> str:
    """What an ordinary token of a spaced vocabulary stands for."""
    return token.replace("\u2581", " ")


@pytest.mark.parametrize("kind", ["bpe", "byte-bpe", "unigram", "characters"])
def test_a_text_comes_back_to_the_last_space(kind: str, trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained[kind]
    for text in SAMPLES:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_words_come_back_with_single_spaces(trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained["words"]
    for text in SAMPLES:
        assert tokenizer.decode(tokenizer.encode(text).ids) == " ".join(text.split())


def test_the_narrow_spaces_of_french_survive(trained: dict[str, Tokenizer]) -> None:
    for kind in SPACED:
        tokenizer = trained[kind]
        decoded = tokenizer.decode_batch(tokenizer.ids(FRENCH))
        assert decoded == FRENCH
        assert sum(text.count("\u202f") + text.count("\u00a0") for text in decoded) == 8


def test_marks_are_cut_from_words_so_that_words_are_shared(trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained["bpe"]
    asked = tokenizer.encode("l'eau\u202f?").tokens
    told = tokenizer.encode("l'eau.").tokens
    assert asked[:-2] == told[:-2]
    assert "".join(asked[-2:]) == "\u202f?<eos>"
    assert tokenizer.encode("d'eau").tokens[-2:] == asked[-3:-2] + ["<eos>"]
    assert tokenizer.encode("année 1984", special=False).tokens[-4:] == ["\u25811", "9", "8", "4"]


@pytest.mark.parametrize("kind", SPACED)
def test_offsets_of_a_spaced_vocabulary_cut_out_the_tokens_surface(
    kind: str, trained: dict[str, Tokenizer]
) -> None:
    for text in SAMPLES:
        encoding = trained[kind].encode(text, special=False)
        cut = [text[start:end] for start, end in encoding.offsets]
        assert "".join(cut) == text
        for token, number, piece in zip(encoding.tokens[1:], encoding.ids[1:], cut[1:], strict=True):
            assert number == trained[kind].unk_id or surface(token) == piece
        assert (
            surface(encoding.tokens[0]).removeprefix(" ") == cut[0].removeprefix(" ")
            or "<unk>" in encoding.tokens
        )


def test_offsets_of_bytes_are_offsets_of_characters(trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained["byte-bpe"]
    split_characters = 0
    for text in SAMPLES:
        encoding = tokenizer.encode(text)
        for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            piece = tokenizer.backend.decode([number])
            if "\ufffd" in piece:  # part of a character: the whole character is its surface
                split_characters += 1
                assert start < end
            else:
                assert text[start:end] == piece
        assert encoding.offsets[0][0] == 0
        assert encoding.offsets[-1][1] == len(text)
        for (_, end), (start, _) in zip(encoding.offsets, encoding.offsets[1:], strict=False):
            assert start <= end
    assert split_characters > 10


def test_offsets_of_wordpieces_cut_out_the_tokens_surface(trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained["wordpiece"]
    for text in SAMPLES:
        encoding = tokenizer.encode(text)
        for number, token, (start, end) in zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True):
            if number in tokenizer.special_ids:
                assert number == tokenizer.unk_id or (start, end) == (0, 0)
            else:
                assert text[start:end] == token.removeprefix("##")


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_offsets_of_whole_pieces(kind: str, trained: dict[str, Tokenizer]) -> None:
    for text in SAMPLES:
        encoding = trained[kind].encode(text, special=False)
        assert [text[start:end] for start, end in encoding.offsets] == encoding.tokens
        assert encoding.tokens == (list(text) if kind == "characters" else text.split())


def test_the_frames(trained: dict[str, Tokenizer]) -> None:
    translation, bert = trained["bpe"], trained["wordpiece"]
    assert [translation.token(number) for number in range(4)] == ["<pad>", "<unk>", "<bos>", "<eos>"]
    encoding = translation.encode("the value", special=True)
    assert encoding.ids[-1] == translation.eos_id
    assert encoding.ids[:-1] == translation.encode("the value", special=False).ids
    assert encoding.offsets[-1] == (0, 0)
    pair = bert.encode("the value", "is here")
    assert (pair.tokens[0], pair.tokens[-1], pair.tokens.count("[SEP]")) == ("[CLS]", "[SEP]", 2)
    second = pair.tokens.index("[SEP]") + 1
    assert pair.segments == [0] * second + [1] * (len(pair) - second)
    assert pair.offsets[second][0] == 0


def test_many_at_once_are_each_alone(trained: dict[str, Tokenizer]) -> None:
    for tokenizer in trained.values():
        alone = [tokenizer.encode(text) for text in SAMPLES]
        assert tokenizer.encode_batch(SAMPLES) == alone
        assert tokenizer.ids(SAMPLES) == [encoding.ids for encoding in alone]
    pairs = trained["wordpiece"].encode_batch(SAMPLES, SAMPLES[::-1])
    assert pairs[3] == trained["wordpiece"].encode(SAMPLES[3], SAMPLES[-4])


def test_lower_case_and_composition() -> None:
    texts = ["De l'E\u0301te\u0301 A\u0300 Paris", "l'été à paris"] * 3
    for kind in ("bpe", "byte-bpe", "unigram", "characters"):
        tokenizer = Tokenizer.train(kind, texts, vocab_size=400, lowercase=True, compose=True)
        wanted = unicodedata.normalize("NFC", texts[0]).lower()
        encoding = tokenizer.encode(texts[0], special=False)
        assert tokenizer.decode(encoding.ids) == wanted
        assert encoding.offsets[-1][1] == len(texts[0])


def test_the_same_texts_train_the_same_vocabulary(tmp_path: Path) -> None:
    for kind in KINDS.keys() - {"unigram"}:  # the library scores the rarest letters in an order of chance
        for again in ("first", "second"):
            Tokenizer.train(kind, TEXTS[:150], vocab_size=300).save(tmp_path / again)
        first, second = ((tmp_path / again / "tokenizer.json").read_text() for again in ("first", "second"))
        assert first == second, kind


def test_a_vocabulary_has_the_size_asked_for(trained: dict[str, Tokenizer]) -> None:
    for kind in OPEN:
        assert trained[kind].vocab_size == 700
    small = Tokenizer.train("words", ["a a a b b c"], vocab_size=5)
    assert (small.vocab_size, small.id("c"), small.id("a")) == (5, None, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_is_the_same(kind: str, trained: dict[str, Tokenizer], tmp_path: Path) -> None:
    before = trained[kind]
    before.save(tmp_path)
    after = Tokenizer.load(tmp_path)
    assert after.parts == before.parts
    assert after.special_ids == before.special_ids
    assert after.closed == before.closed
    assert after.encode_batch(SAMPLES) == before.encode_batch(SAMPLES)
    assert not list(tmp_path.glob("*.partial"))


def test_padding_and_truncation_of_a_file_are_left_to_the_batch(
    trained: dict[str, Tokenizer], tmp_path: Path
) -> None:
    trained["bpe"].save(tmp_path)
    path = tmp_path / "tokenizer.json"
    backend = Backend.from_file(str(path))
    backend.enable_truncation(3)
    backend.enable_padding(length=64)
    backend.save(str(path))
    assert Tokenizer.load(tmp_path).encode(TEXTS[5]) == trained["bpe"].encode(TEXTS[5])


def test_exactly_these_words() -> None:
    tokenizer = Tokenizer.of_words(["I", "love", "data", "<eos>"], Special(eos="<eos>", after="eos"))
    assert tokenizer.encode("I love data").ids == [0, 1, 2, 3]
    assert (tokenizer.vocab_size, tokenizer.eos_id, tokenizer.pad_id) == (4, 3, None)
    assert tokenizer.decode([0, 1, 2, 3]) == "I love data"
    assert tokenizer.decode([0, 3], keep_special=True) == "I <eos>"


def test_a_closed_vocabulary_names_the_word_it_lacks_where_and_what_it_knows() -> None:
    tokenizer = Tokenizer.train("words", ["I love data", "I love science"])
    for refuse in (
        tokenizer.encode,
        lambda text: tokenizer.encode_batch(["I", text]),
        lambda t: tokenizer.ids([t]),
    ):
        with pytest.raises(InputError) as refused:
            refuse("I love tea")
        assert "'tea'" in str(refused.value)
        assert "characters 7 to 10" in str(refused.value)
        assert "I love data science" in str(refused.value)
    with pytest.raises(InputError, match="'é'"):
        Tokenizer.train("characters", ["abc"]).encode("abé")


def test_an_open_word_vocabulary_has_unknown_words() -> None:
    tokenizer = Tokenizer.train("words", ["I love data"], special="translation")
    assert tokenizer.encode("I love tea").tokens == ["I", "love", "<unk>", "<eos>"]


def test_the_empty_text(trained: dict[str, Tokenizer]) -> None:
    assert trained["bpe"].encode("").tokens == ["<eos>"]
    assert trained["wordpiece"].encode("").tokens == ["[CLS]", "[SEP]"]
    assert trained["byte-bpe"].encode("").ids == []
    assert trained["bpe"].decode([]) == ""


def test_an_encoding_cannot_be_changed(trained: dict[str, Tokenizer]) -> None:
    encoding = trained["bpe"].encode("one")
    with pytest.raises(FrozenInstanceError):
        encoding.ids = []  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kind": "bpee"}, "kinds are bpe, byte-bpe"),
        ({"kind": "bpe", "special": "burt"}, "presets are translation"),
        ({"kind": "bpe", "vocab_size": 4}, "special tokens alone take 4"),
        ({"kind": "bpe", "special": Special(eos="<eos>")}, "needs an unknown token"),
        ({"kind": "unigram", "special": Special(eos="<eos>")}, "needs an unknown token"),
        ({"kind": "wordpiece", "special": Special(pad="<pad>")}, "needs an unknown token"),
        ({"kind": "words", "texts": ["", "  "]}, "hold no tokens"),
        ({"kind": "bpe", "texts": []}, "hold no tokens"),
        ({"kind": "unigram", "texts": []}, "hold no tokens"),
    ],
)
def test_what_cannot_be_trained_is_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Tokenizer.train(**({"texts": ["some text"]} | arguments))  # type: ignore[arg-type]


def test_a_frame_of_tokens_that_are_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="only \\['pad'\\]"):
        Special(pad="<pad>", after="eos")


def test_unknown_ids_and_unmatched_pairs_are_refused(trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained["bpe"]
    for number in (-1, 700):
        with pytest.raises(InputError, match="ids 0 to 699"):
            tokenizer.token(number)
        with pytest.raises(InputError, match="ids 0 to 699"):
            tokenizer.decode([4, number])
    with pytest.raises(InputError, match="2 texts came with 1"):
        tokenizer.encode_batch(["a", "b"], ["c"])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no tokenizer; expected tokenizer.json"),
        ({"vocab.json": "{}"}, "holds no tokenizer"),
        ({"tokenizer.json": '{"version": "1.0", "mod'}, "not readable JSON"),
        ({"tokenizer.json": '{"version": "1.0"}'}, "not a readable tokenizer"),
        ({"tokenizer.json": "[]"}, "holds a list, not an object"),
        ({"vocab.txt": "[PAD]\nthe\n"}, "has no \\[UNK\\]"),
        ({"vocab.txt": b"\xff\xfe"}, "not UTF-8"),
        ({"vocab.json": '{"a": 0}', "merges.txt": "b c\n"}, "does not fit its vocab.json"),
        ({"vocab.json": '{"a": 0, "b": 1}', "merges.txt": "ab\n"}, "does not fit its vocab.json"),
        ({"vocab.json": '{"a": "x"}', "merges.txt": ""}, "does not fit|no vocabulary"),
    ],
)
def test_broken_folders_are_refused(files: dict[str, str | bytes], said: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=said) as refused:
        Tokenizer.load(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        Tokenizer.load(tmp_path / "nowhere")


def test_added_tokens_keep_their_ids_or_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<new>": 6}))
    assert Tokenizer.load(tmp_path).encode("the<new>the", special=False).ids == [5, 6, 5]
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<new>": 9}))
    with pytest.raises(InputError, match="'<new>' is token 9, but its vocabulary makes it 6"):
        Tokenizer.load(tmp_path)
