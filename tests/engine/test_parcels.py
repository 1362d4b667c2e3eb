"""Many texts at once, which each thread takes some of through all layers alone."""

import os
from collections.abc import Iterator, Sequence
from ctypes import c_int64
from pathlib import Path

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.engine.prepare import Precision, prepare
from glassformer.model import Transformer
from glassformer.native.library import loaded

from .models import CONFIGS, apart, model_of, question

LENGTHS = (9, 30, 1, 16, 40, 2, 22) * 6  # 720 tokens


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """So many, and whatever it was before again afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def prepared(model: Transformer, precision: Precision) -> None:
    """Packed, and with as many threads as a large model has."""
    prepare(model, precision)
    model.twin.size = 2**40


def parcels(lengths: Sequence[int], threads: int) -> int:
    """Into how many parcels texts of such lengths are taken apart."""
    return int(loaded().parcels_run((c_int64 * len(lengths))(*lengths), len(lengths), threads))


def test_what_is_taken_apart(engine: None) -> None:
    assert [parcels(LENGTHS, threads) for threads in (1, 2, 3)] == [6, 6, 6], "the tests below need them"
    assert parcels([1] * 140, 2) == 2, "rows of a search too"
    assert parcels([128] * 32, 2) == 32
    assert parcels([128] * 3, 2) == 1, "one would wait for the other"
    assert parcels([300, 10, 10], 2) == 1
    assert parcels([9, 30, 16], 2) == 1, "too little for each"
    assert parcels([500], 1) == 1


@pytest.mark.parametrize("name", CONFIGS)
def test_many_texts_are_read_as_the_model_reads_them(name: str, threads: int, engine: None) -> None:
    model = model_of(name)
    asked = question(model, "right", lengths=LENGTHS)
    with torch.inference_mode():
        expected = model(**asked.inputs)
        prepared(model, "float32")
        assert apart(expected, model(**asked.inputs), asked.real) < 1e-5


@pytest.mark.parametrize("name", ["tiles", "labels"])
@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.02), ("int8", 0.06)])
def test_rounded_texts_of_up_to_forty_tokens_are_near(
    name: str, precision: Precision, most: float, each_engine: None
) -> None:
    """Attention in pairs of bfloat16, with as many keys as fill a tile, and with more."""
    model = model_of(name)
    asked = question(model, "right", lengths=(40, 33, 32, 17, 16, 3))
    with torch.inference_mode():
        expected = model(**asked.inputs)
        prepared(model, precision)
        assert apart(expected, model(**asked.inputs), asked.real) < most


@pytest.mark.parametrize("name", ["labels", "tiles"])
@pytest.mark.parametrize("precision", ["bfloat16", "int8", "int4"])
def test_a_text_is_read_alike_alone_and_among_others(
    precision: Precision, name: str, threads: int, engine: None
) -> None:
    """Which texts share a parcel, and who takes it, is no part of the answer."""
    model = model_of(name)
    prepared(model, precision)
    asked = question(model, "right", lengths=LENGTHS)
    with torch.inference_mode():
        together = model(**asked.inputs)
        for row, length in enumerate(LENGTHS[:7]):
            alone = {name: each[row : row + 1, :length] for name, each in asked.inputs.items()}
            assert torch.allclose(model(**alone), together[row : row + 1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["learned", "halves", "relative"])
def test_many_rows_are_written_as_the_model_writes_them(name: str, threads: int, engine: None) -> None:
    model = model_of(name)
    lengths = LENGTHS[:28] if name == "learned" else LENGTHS
    inputs = question(model, "right", lengths=lengths).inputs
    batch = Batch(
        source=inputs.get("source"),
        source_mask=inputs.get("source_mask"),
        target=inputs["target"][:, :8] if model.encoder is None else torch.full((len(lengths), 1), 2),
    )
    decoding = Decoding(num_beams=5, num_return_sequences=2, max_new_tokens=12)  # 140 or 210 rows at a time
    expected = search(model, batch, decoding, ends=(2,))
    prepared(model, "float32")
    found = search(model, batch, decoding, ends=(2,))
    assert [[each.ids for each in one] for one in found] == [[each.ids for each in one] for one in expected]


@pytest.mark.parametrize("name", ["rotary", "written-tiles"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8", "int4"])
def test_tokens_read_at_once_are_read_as_one_by_one(precision: Precision, name: str, engine: None) -> None:
    """A text written with guesses read ahead has to be the text that is written without them, at every precision."""
    model = model_of(name)
    prepared(model, precision)
    ids = question(model, "none").inputs["target"][:1]
    with torch.inference_mode():
        reader = model.twin.reader(None, None)
        reader.read(ids[:, :3])
        for token in ids[0, 3:].tolist():
            reader.read_on([token])
        singly = reader.logits
        at_once = model.twin.reader(None, None)
        at_once.read(ids[:, :3])
        at_once.read_ahead(ids[0, 3:].tolist(), each=False)
    assert (singly - at_once.logits).abs().max() < 1e-5 * singly.abs().max()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not say where threads may run")
def test_other_threads_keep_off_the_core_of_the_one_who_calls(engine: None) -> None:
    """On one core, two threads that wait for each other by looking are slower than one."""
    cores = os.sched_getaffinity(0)
    if len(cores) == 1:
        pytest.skip("there is one core")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        model = model_of("labels")
        prepared(model, "float32")
        with torch.inference_mode():
            for _ in range(20):  # at the first call the other thread may not have begun yet
                model(**question(model, "right").inputs)
        allowed = [os.sched_getaffinity(int(task.name)) for task in Path("/proc/self/task").iterdir()]
    finally:
        torch.set_num_threads(before)
    assert any(each < cores and len(each) == len(cores) - 1 for each in allowed)
    assert os.sched_getaffinity(0) == cores
