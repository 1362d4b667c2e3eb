"""Texts that end an answer, words that no answer holds, and what every answer starts with."""

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.pieces import followed
from glassformer.decoding.search import search, stream
from glassformer.decoding.words import in_tokens
from glassformer.errors import InputError
from glassformer.text.tokenizer import Tokenizer

TEXTS = ["the cat sat on the mat. the dog sat on the cat. a cat, a dog\n"] * 4
WAYS = [
    Decoding(),
    Decoding(num_beams=3, num_return_sequences=2),
    Decoding(do_sample=True, num_return_sequences=3, seed=1, top_k=2),
    Decoding(do_sample=True, num_beams=2, seed=1),
    Decoding(penalty_alpha=0.1, top_k=2),
    Decoding(num_beams=4, num_beam_groups=2, diversity_penalty=0.5, num_return_sequences=4),
]
NAMES = ["greedy", "beams", "drawn", "drawn beams", "contrastive", "groups"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train("byte-bpe", TEXTS, vocab_size=290)


def babbler(scripted: type, tokenizer: Tokenizer) -> object:
    """A model that likes, after each beginning, some few tokens: which ones, its length and last token say."""

    def plan(ids: tuple[int, ...]) -> list[float]:
        torch.manual_seed(1000 * len(ids) + ids[-1])
        return (4 * torch.randn(tokenizer.vocab_size, dtype=torch.float64)).tolist()

    return scripted(plan)


def prompt(tokenizer: Tokenizer, *texts: str) -> Batch:
    rows = tokenizer.ids(texts, special=False)
    length = max(map(len, rows))
    ids = torch.tensor([[0] * (length - len(row)) + row for row in rows])
    return Batch(target=ids, target_mask=torch.tensor([[0] * (length - len(r)) + [1] * len(r) for r in rows]))


@pytest.mark.parametrize("options", WAYS, ids=NAMES)
def test_an_answer_ends_with_the_token_that_completes_a_stop(
    scripted: type, tokenizer: Tokenizer, options: Decoding
) -> None:
    model, batch = babbler(scripted, tokenizer), prompt(tokenizer, "the cat", "a")
    free = options.changed(max_new_tokens=16)
    whole = search(model, batch, free, ends=[], tokenizer=tokenizer)
    text = tokenizer.decode(whole[0][0].ids)
    stops = (text[5:8], text[10:11])
    found = search(model, batch, free.changed(stop_strings=stops), ends=[], tokenizer=tokenizer)
    assert any(one.closed for each in found for one in each)
    for before, each in zip(tokenizer.ids(["the cat", "a"], special=False), found, strict=True):
        for one in each:
            said = followed(tokenizer, before, one.ids)
            assert one.closed == any(stop in said for stop in stops)
            earlier = followed(tokenizer, before, one.ids[:-1])
            assert not any(stop in earlier for stop in stops)
            assert one.closed or len(one.ids) == 16
    if options.num_beams == 1:  # a stop changes nothing before it
        for each, ended in zip(whole, found, strict=True):
            for one, shorter in zip(each, ended, strict=True):
                assert one.ids[: len(shorter.ids)] == shorter.ids


@pytest.mark.parametrize("options", WAYS, ids=NAMES)
def test_no_answer_holds_a_banned_word(scripted: type, tokenizer: Tokenizer, options: Decoding) -> None:
    def plan(ids: tuple[int, ...]) -> list[float]:
        """In love with cats: their tokens in turn, a little less the dogs'."""
        logits = [-9.0] * tokenizer.vocab_size
        for word, liking in ((" cat", 3.0), ("cat", 2.0), (" dog", 1.0), (" a", 0.0)):
            for token in tokenizer.ids([word], special=False)[0]:
                logits[token] = liking
        return logits

    model, batch = scripted(plan), prompt(tokenizer, "the")
    free = options.changed(max_new_tokens=5, repetition_penalty=1.1)
    assert " cat" in tokenizer.decode(search(model, batch, free, ends=[], tokenizer=tokenizer)[0][0].ids)
    banned = free.changed(bad_words=["cat"])
    for one in search(model, batch, banned, ends=[], tokenizer=tokenizer)[0]:
        assert "cat" not in tokenizer.decode(one.ids)


@pytest.mark.parametrize("options", WAYS, ids=NAMES)
def test_every_answer_starts_with_the_prefix(scripted: type, tokenizer: Tokenizer, options: Decoding) -> None:
    model, batch = babbler(scripted, tokenizer), prompt(tokenizer, "the cat", "a")
    asked = options.changed(max_new_tokens=12, forced_prefix=" sat on", bad_words=["sat"])
    length = len(tokenizer.ids([" sat on"], special=False)[0])
    for each in search(model, batch, asked, ends=[], tokenizer=tokenizer):
        assert len(each) == options.num_return_sequences
        for one in each:
            assert tokenizer.decode(one.ids).startswith(" sat on")
            assert len(one.ids) > length


def test_words_become_the_tokens_that_spell_them(tokenizer: Tokenizer) -> None:
    options = in_tokens(
        Decoding(bad_words=("cat", "cat"), bad_words_ids=((7,),), forced_prefix="a"), tokenizer
    )
    spelt = {tokenizer.decode(ids) for ids in options.bad_words_ids[1:]}
    assert spelt == {"cat", " cat"}
    assert options.bad_words_ids[0] == (7,)
    assert tokenizer.decode(options.forced_prefix_ids) == "a"
    assert (options.bad_words, options.forced_prefix) == ((), "")
    pieces = Tokenizer.train("wordpiece", TEXTS, vocab_size=60, special="bert")
    assert (
        in_tokens(Decoding(bad_words=("日本",)), pieces).bad_words_ids == ()
    )  # it could not be written anyway


def test_texts_need_the_tokenizer(scripted: type) -> None:
    model = scripted(lambda ids: [0.0, 1.0])
    with pytest.raises(InputError, match="are texts; give the tokenizer as well"):
        search(
            model, Batch(target=torch.zeros(1, 1, dtype=torch.long)), Decoding(stop_strings=("a",)), ends=[]
        )


def test_a_stream_stops_as_well(scripted: type, tokenizer: Tokenizer) -> None:
    model, batch = babbler(scripted, tokenizer), prompt(tokenizer, "the cat")
    text = tokenizer.decode(search(model, batch, Decoding(max_new_tokens=20), ends=[])[0][0].ids)
    options = Decoding(max_new_tokens=20, stop_strings=(text[8:10],))
    tokens = list(stream(model, batch, options, ends=[], tokenizer=tokenizer))
    (found,) = search(model, batch, options, ends=[], tokenizer=tokenizer)[0]
    assert tuple(token.id for token in tokens) == found.ids
    assert len(tokens) < 20
