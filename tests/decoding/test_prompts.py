"""A text that begins as an earlier one is gone on with as if it were read anew; what is kept is bounded."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.prompts import LEAST, PromptCache, bytes_of_a_token
from glassformer.decoding.search import search, stream
from glassformer.decoding.speculation import Ahead
from glassformer.engine.prepare import prepare, unprepare
from glassformer.model import Transformer
from glassformer.native.library import native

from .test_speculation import model_of

KINDS = ("learned", "rotary", "relative", "windows")
LONG = [(3 + 5 * n) % 11 for n in range(20)]
PROMPTS = [LONG, LONG, [*LONG, 4, 7, 7], [*LONG[:15], 1, 8], [9, *LONG[1:]], [*LONG, 4, 7], LONG[:12], [5, 6]]
WAYS = {
    "greedy": {},
    "drawn": {"do_sample": True, "seed": 4},
    "ruled": {"no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    "ahead": {"prompt_lookup_num_tokens": 3},
    "long": {"max_new_tokens": 60},
}


@pytest.fixture(params=[True, False], ids=["native", "oneDNN"])
def use_native(request: pytest.FixtureRequest) -> bool:
    if request.param and native() is None:
        pytest.skip("the native engine is not built, or this processor is of another kind")
    return bool(request.param)


def written(model: Transformer, prompt: list[int], options: Decoding, ahead: Ahead | None = None) -> Any:
    ((found,),) = search(model, Batch(target=torch.tensor([prompt])), options, ends=[2], ahead=ahead)
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_is_written_as_if_nothing_were_kept(kind: str, way: str, use_native: bool) -> None:
    model, options = model_of(kind, 1, dtype="float32"), Decoding(**{"max_new_tokens": 9, **WAYS[way]})
    prepare(model, "float32", use_native=use_native, prompt_bytes=0)
    plain = [written(model, prompt, options) for prompt in PROMPTS]
    assert model.twin is not None
    assert model.twin.prompts.reused == 0
    prepare(model, "float32", use_native=use_native)
    for prompt, expected in zip(PROMPTS, plain, strict=True):
        found = written(model, prompt, options)
        assert found.ids == expected.ids
        assert found.log_probabilities == pytest.approx(expected.log_probabilities, abs=1e-4)
    if way != "long":  # what outgrows its positions forgets its beginning, and is not kept
        assert model.twin.prompts.reused >= 19 + 19 + 15


def test_as_much_as_is_shared_is_not_read_again(use_native: bool) -> None:
    model = model_of("learned", 2, dtype="float32")
    prepare(model, "float32", use_native=use_native)
    cache, options = model.twin.prompts, Decoding(max_new_tokens=4)
    first = written(model, LONG, options)
    assert (cache.reused, len(cache.kept)) == (0, 1)
    written(model, LONG, options)
    assert cache.reused == len(LONG) - 1  # the last one is read for what follows it
    written(model, [*LONG, *first.ids, 6], options)  # a conversation goes on from what was answered
    assert cache.reused >= len(LONG) - 1 + len(LONG) + len(first.ids) - 1
    written(model, LONG[: LEAST - 1], options)
    assert len(cache.kept) == 2


def test_what_is_kept_is_bounded_and_the_oldest_go_first(use_native: bool) -> None:
    model = model_of("rotary", 3, dtype="float32")
    each = bytes_of_a_token(model.config)
    assert each == 2 * 4 * 2 * 1 * 8  # key and value, float32, two layers, one head of eight numbers
    prepare(model, "float32", use_native=use_native, prompt_bytes=50 * each)
    cache = model.twin.prompts
    for start in range(6):
        written(model, [(start + n * n) % 11 for n in range(20)], Decoding(max_new_tokens=3))
        assert cache.size <= 50 * each
    assert [remembered.ids[0] for remembered in cache.kept] == [4, 5]
    prepare(model, "float32", use_native=use_native, prompt_bytes=0)
    written(model, LONG, Decoding(max_new_tokens=3))
    assert not model.twin.prompts.kept


def test_other_weights_are_not_answered_from_old_keys(use_native: bool) -> None:
    model, options = model_of("learned", 4, dtype="float32"), Decoding(max_new_tokens=6)
    prepare(model, "float32", use_native=use_native)
    before = written(model, LONG, options)
    with torch.no_grad():
        model.decoder.layers[0].self_attention.value.weight.mul_(-3)
    after = written(model, LONG, options)
    unprepare(model)
    assert after == written(model, LONG, options)
    assert after.log_probabilities != before.log_probabilities
    prepare(model, "float32", use_native=use_native)
    assert written(model, LONG, options).ids == after.ids


def test_a_listener_who_leaves_leaves_what_was_read(use_native: bool) -> None:
    model, options = model_of("learned", 5, dtype="float32"), Decoding(max_new_tokens=12)
    prepare(model, "float32", use_native=use_native)
    heard = stream(model, Batch(target=torch.tensor([LONG])), options, ends=[])
    next(heard), next(heard)
    heard.close()
    assert len(model.twin.prompts.kept) == 1
    assert model.twin.prompts.kept[0].ids[: len(LONG)] == LONG
    written(model, LONG, options)
    assert model.twin.prompts.reused == len(LONG) - 1


def test_searches_side_by_side_share_no_reader(use_native: bool) -> None:
    model, options = model_of("rotary", 6, dtype="float32"), Decoding(max_new_tokens=8)
    prepare(model, "float32", use_native=use_native, prompt_bytes=0)
    expected = [written(model, prompt, options).ids for prompt in PROMPTS]
    prepare(model, "float32", use_native=use_native)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            found = list(pool.map(lambda prompt: written(model, prompt, options).ids, PROMPTS))
            assert found == expected


def test_batches_beams_and_open_models_keep_nothing() -> None:
    model = model_of("learned", 7, dtype="float32")
    both = Batch(target=torch.tensor([LONG, LONG[::-1]]))
    assert written(model, LONG, Decoding(max_new_tokens=3))  # nobody prepared it
    prepare(model, "float32")
    search(model, both, Decoding(max_new_tokens=3), ends=[2])
    written(model, LONG, Decoding(max_new_tokens=3, num_beams=2))
    assert not model.twin.prompts.kept


def test_the_reader_with_most_in_common_is_taken() -> None:
    class Known:
        held = 30

        def crop(self, count: int) -> None:
            self.cropped = count

    cache, readers = PromptCache(each=1), [Known() for _ in range(3)]
    for reader, length in zip(readers, (10, 14, 12), strict=True):
        cache.put([*LONG[:length], *[1] * 16], reader)  # type: ignore[arg-type]
    found = cache.take(LONG)
    assert found == (readers[1], 14)
    assert readers[1].cropped == 16
    assert [remembered.reader for remembered in cache.kept] == [readers[0], readers[2]]
    assert cache.take(LONG[: LEAST]) is None
