"""With tokens chosen beforehand: these rows of the head alone give what the open model gives, the others nothing."""

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.engine.prepare import prepare
from glassformer.engine.reader import NativeReader
from glassformer.model import Transformer

from .models import WRITERS, model_of
from .test_answers import WAYS, asked_to_write

ALLOWED = torch.tensor([2, 3, 5, 6, 9, 11, 12, 17, 18, 19, 23, 24, 28, 30, 31, 33, 37, 40, 41, 44, 45, 48])
FORCED = Decoding(num_beams=3, max_new_tokens=12, forced_prefix_ids=(7, 8), forced_eos_token_id=4)


def written(
    model: Transformer, decoding: Decoding, allowed: torch.Tensor | None = ALLOWED
) -> list[list[tuple[int, ...]]]:
    found = search(model, asked_to_write(model, "right"), decoding, ends=(2,), allowed=allowed)
    return [[one.ids for one in each] for each in found]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WRITERS)
def test_every_search_writes_the_same_of_chosen_tokens(name: str, way: str, use_native: bool) -> None:
    model = model_of(name)
    batch = asked_to_write(model, "right")
    expected = search(model, batch, WAYS[way], ends=(2,), allowed=ALLOWED)
    prepare(model, "float32", use_native=use_native)
    found = search(model, batch, WAYS[way], ends=(2,), allowed=ALLOWED)
    for one, other in zip(expected, found, strict=True):
        assert [each.ids for each in one] == [each.ids for each in other]
        for first, second in zip(one, other, strict=True):
            assert first.score == pytest.approx(second.score, abs=1e-4)
    assert {id for each in found for one in each for id in one.ids} <= set(ALLOWED.tolist())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["halves", "two-vocabularies"])
def test_where_all_tokens_may_be_written_nothing_changes(name: str, way: str, use_native: bool) -> None:
    model = model_of(name)
    expected = written(model, WAYS[way], None)
    assert written(model, WAYS[way], torch.arange(50)) == expected
    prepare(model, "float32", use_native=use_native)
    assert written(model, WAYS[way], torch.arange(50)) == expected


def test_what_is_not_chosen_has_probability_0_and_the_rest_adds_up_to_1(use_native: bool) -> None:
    model = model_of("halves")
    batch = asked_to_write(model, "right")
    with torch.inference_mode():
        whole = model(batch.source, batch.target, source_mask=batch.source_mask)[:, -1]
        prepare(model, "float32", use_native=use_native)
        twin = model.twin
        assert twin is not None
        reader = twin.reader(batch.source, batch.source_mask, allowed=ALLOWED)
        assert reader is not None
        reader.read(batch.target)
        logits = reader.logits
    others = torch.ones(50, dtype=torch.bool).index_fill(0, ALLOWED, False)
    assert (logits[:, others] == -torch.inf).all()
    assert torch.allclose(logits[:, ALLOWED], whole[:, ALLOWED], atol=1e-4)
    assert torch.allclose(logits.softmax(-1)[:, ALLOWED], whole[:, ALLOWED].softmax(-1), atol=1e-5)
    if use_native:
        assert isinstance(reader, NativeReader)
        assert reader.room.shape[1] == len(ALLOWED)  # of no other row of the head anything was computed


@pytest.mark.parametrize("precision", ["bfloat16", "int8", "int4"])
def test_packed_alone_a_row_gives_what_it_gives_among_all(precision: str, engine: None) -> None:
    model = model_of("halves")
    batch = asked_to_write(model, "right")
    prepare(model, precision)  # type: ignore[arg-type]
    twin, said = model.twin, []
    assert twin is not None
    with torch.inference_mode():
        for allowed in (None, ALLOWED):
            reader = twin.reader(batch.source, batch.source_mask, allowed=allowed)
            assert reader is not None
            reader.read(batch.target)
            said.append(reader.logits[:, ALLOWED])
    assert torch.equal(*said)


def test_what_is_forced_may_be_written(use_native: bool) -> None:
    model = model_of("halves")
    expected = written(model, FORCED)
    assert all(one[:2] == (7, 8) for each in expected for one in each)
    assert any(one[-1] == 4 for each in expected for one in each)
    prepare(model, "float32", use_native=use_native)
    assert written(model, FORCED) == expected


@pytest.mark.parametrize("name", ["halves", "relative"])
def test_read_ahead_the_tokens_stay(name: str, use_native: bool) -> None:
    model = model_of(name)
    source = asked_to_write(model, "none").source
    assert source is not None
    batch = Batch(source=source[:1], target=torch.tensor([[2]]))
    plain = search(model, batch, Decoding(max_new_tokens=20), ends=(), allowed=ALLOWED)
    ahead = Decoding(max_new_tokens=20, prompt_lookup_num_tokens=3)
    assert [one.ids for one in search(model, batch, ahead, ends=(), allowed=ALLOWED)[0]] == [plain[0][0].ids]
    prepare(model, "float32", use_native=use_native)
    assert [one.ids for one in search(model, batch, ahead, ends=(), allowed=ALLOWED)[0]] == [plain[0][0].ids]
