"""A shortlist: what it allows, its file, what is refused, and translations that keep to it, in the engine too."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import glassformer as gf
from glassformer.decoding.shortlist import FILE, NONE, Shortlist
from glassformer.engine.prepare import prepare
from glassformer.errors import InputError
from glassformer.tasks.model import Model

SMALL = Shortlist(torch.tensor([[3, 1], [4, NONE], [NONE, NONE]], dtype=torch.int32), torch.tensor([9, 1]), 12)
TEXTS = ["The tea is cold.", "I saw Tom in Boston.", "Where is the station?", "She sings very well, I think."]


def every_token_of(model: Model, texts: list[str]) -> Shortlist:
    """For the translator that ships: from each token to what these translations hold, and to nothing else."""
    ids, size = sorted({id for answer in model(texts) for id in answer.ids}), model.config.vocab_size
    return Shortlist(torch.empty(size, 0, dtype=torch.int32), torch.tensor(ids), size)


def test_allowed_is_what_the_tokens_become_what_is_frequent_and_what_always_may_be() -> None:
    assert SMALL.allowed([[0, 0, 2]]).tolist() == [1, 3, 9]
    assert SMALL.allowed([[0], [1, 2]], always=[11, 0]).tolist() == [0, 1, 3, 4, 9, 11]
    assert SMALL.allowed([]).tolist() == [1, 9]


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / FILE
    SMALL.save(path)
    again = Shortlist.load(path)
    assert torch.equal(again.tokens, SMALL.tokens)
    assert torch.equal(again.frequent, SMALL.frequent)
    assert again.vocabulary == 12
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("beams", [1, 5])
def test_the_engine_writes_what_the_open_model_writes(beams: int, use_native: bool) -> None:
    model = gf.load("tatoeba-en-fr")
    few = every_token_of(model, TEXTS[:2])
    expected = model(TEXTS, num_beams=beams, shortlist=few)
    alone = model(TEXTS[3], num_beams=beams, shortlist=few)
    prepare(model.transformer, "float32", use_native=use_native)
    assert [one.ids for one in model(TEXTS, num_beams=beams, shortlist=few)] == [one.ids for one in expected]
    assert model(TEXTS[3], num_beams=beams, shortlist=few).ids == alone.ids
    sources = model.task.sources([TEXTS[3]], model.config)
    assert set(alone.ids) <= set(model.task.allowed(few, sources).tolist())
    assert alone.ids != model(TEXTS[3], num_beams=beams).ids  # the list forbids some of its words
    pieces = model.stream(TEXTS[3], shortlist=few)
    assert "".join(pieces) == model(TEXTS[3], num_beams=1, shortlist=few).text


def test_where_it_allows_all_tokens_nothing_changes(use_native: bool) -> None:
    model = gf.load("tatoeba-en-fr")
    expected, size = model(TEXTS), model.config.vocab_size
    whole = Shortlist(torch.empty(size, 0, dtype=torch.int32), torch.arange(size, dtype=torch.int32), size)
    assert [one.ids for one in model(TEXTS, shortlist=whole)] == [one.ids for one in expected]
    prepare(model.transformer, "float32", use_native=use_native)
    assert [one.ids for one in model(TEXTS, shortlist=whole)] == [one.ids for one in expected]


def test_names_of_a_shared_vocabulary_may_stay() -> None:
    model = gf.load("tatoeba-en-fr")
    few = every_token_of(model, TEXTS[:1])
    ids = model.task.sources([TEXTS[1]], model.config)
    assert set(ids[0]) <= set(model.task.allowed(few, ids).tolist())
    assert "Tom" in str(model(TEXTS[1], shortlist=few))


def test_own_is_the_file_in_the_folder(tmp_path: Path) -> None:
    model = gf.load("worked-example")
    model.save_pretrained(tmp_path)
    kept = gf.load(tmp_path)
    with pytest.raises(InputError, match=r"has no shortlist\.safetensors in its folder; learn one"):
        kept("I love data", shortlist="own")
    size, after = model.config.source_vocab_size or model.config.vocab_size, model.config.vocab_size
    ids = model.tokenizer.ids(["j' aime la science"], special=False)[0]
    Shortlist(torch.empty(size, 0, dtype=torch.int32), torch.tensor(ids), after).save(tmp_path / FILE)
    assert "données" not in str(kept("I love data", shortlist="own"))
    assert str(kept("I love data", shortlist=tmp_path / FILE)) == str(kept("I love data", shortlist=kept.shortlist()))
    assert "données" in str(gf.load(tmp_path)("I love data"))  # nobody asked for it


@pytest.mark.parametrize("name", ["sentiment", "shakespeare", "summaries", "answers"])
def test_only_translations_have_one(name: str) -> None:
    with pytest.raises(InputError, match="this model does not translate; leave it out"):
        gf.load(name)("Some text.", shortlist="own")


def test_one_of_other_vocabularies_is_refused() -> None:
    model = gf.load("worked-example")
    with pytest.raises(InputError, match="leads from 3 source tokens to 12, and this model's vocabularies have"):
        model("I love data", shortlist=SMALL)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    model, path = gf.load("worked-example"), tmp_path / "a.safetensors"
    with pytest.raises(InputError, match="there is no file"):
        model.shortlist(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(InputError, match="is not a whole safetensors file"):
        model.shortlist(path)
    save_file({"other": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="is no shortlist"):
        model.shortlist(path)
    Shortlist(SMALL.tokens, torch.tensor([12]), 12).save(path)
    with pytest.raises(InputError, match="names tokens beyond its 12"):
        model.shortlist(path)
