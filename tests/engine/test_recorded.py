"""The twin for a GPU: the same tokens as the open model's, by every way of searching.

Where there is no GPU its steps run unrecorded, on the processor: the same memory, the same work. Its own kernels run
there only where Triton is installed, interpreted: `TRITON_INTERPRET=1 pytest tests/engine/test_recorded.py`.
"""

import gc
import importlib.util
import os
import weakref
from typing import Any

import pytest
import torch

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search, stream
from glassformer.engine.gpu import reader as reader_module
from glassformer.engine.gpu.reader import as_rows
from glassformer.engine.gpu.rows import RowBody
from glassformer.engine.gpu.step import Step
from glassformer.engine.gpu.twin import RecordedTwin, has_kernels
from glassformer.engine.prepare import prepare
from glassformer.errors import InputError
from glassformer.model import Transformer

from .models import TURNING, WRITER, WRITERS, model_of, question
from .test_answers import WAYS, asked_to_write

CUDA = torch.cuda.is_available()
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1" and importlib.util.find_spec("triton") is not None
BY_KERNELS: dict[str, dict[str, Any]] = {
    "norms": {**WRITER, "activation": "gelu-tanh", "output_bias": True},
    "exact gelu": {**WRITER, "activation": "gelu", "attention_bias": False},
    "gates, groups": {**TURNING, "kv_heads": 1, "gated": True, "activation": "silu", "norm": "rms"},
    "turned in part": {**TURNING, "rotary_size": 4, "feed_forward_bias": False},
    "heads of their own size": {**WRITER, "head_size": 16, "positions": "none", "final_norm": False},
}


@pytest.fixture(params=["cpu", *(["cuda"] if CUDA else [])])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def found(model: Transformer, batch: Batch, options: Decoding) -> list[list[tuple[int, ...]]]:
    return [[each.ids for each in row] for row in search(model, batch, options, ends=(3,))]


def left(twin: RecordedTwin) -> list[Step]:
    """The steps that no reader holds."""
    return [*twin.steps.idle, *twin.steps.given]


def both(name: str, device: str, side: str = "left") -> tuple[Transformer, RecordedTwin, Batch]:
    model = model_of(name).double()
    batch = asked_to_write(model, side).to(device)
    model.to(device)
    return model, RecordedTwin(model, "float64"), batch


@pytest.mark.parametrize("side", ["left", "none"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WRITERS)
def test_every_way_of_searching_finds_the_same(name: str, way: str, side: str, device: str) -> None:
    model, twin, batch = both(name, device, side)
    twin.layers = None
    expected = found(model, batch, WAYS[way])
    model.twin = twin
    assert found(model, batch, WAYS[way]) == expected
    assert found(model, batch, WAYS[way]) == expected  # by the steps that the first search left
    assert bool(left(twin)) == ("windows" not in name)


@pytest.mark.parametrize("way", ["greedy", "beams"])
@pytest.mark.parametrize("name", ["learned", "rotary", "no-positions", "halves"])
def test_steps_grow(name: str, way: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "ROOM", 4)
    model, twin, batch = both(name, device)
    expected = found(model, batch, WAYS[way])
    model.twin, twin.layers = twin, None
    assert found(model, batch, WAYS[way]) == expected
    assert len({step.shape.capacity for step in left(twin)}) > 1


@pytest.mark.parametrize("name", ["learned", "rotary", "no-positions"])
def test_a_text_that_outgrows_the_positions_goes_on_alike(name: str, device: str) -> None:
    model, twin, batch = both(name, device)
    options = Decoding(max_new_tokens=70)
    expected = found(model, batch, options)
    model.twin, twin.layers = twin, None
    assert found(model, batch, options) == expected


@pytest.mark.parametrize(
    "options", [{}, {"num_beams": 3}, {"do_sample": True, "seed": 1}, {"prompt_lookup_num_tokens": 3}]
)
def test_one_text_and_its_prompt_remembered(options: dict[str, Any], device: str) -> None:
    model, twin, _ = both("learned", device)
    decoding = Decoding(max_new_tokens=12, **options)
    texts = [list(range(4, 18)), list(range(4, 20)), [*range(4, 16), 30, 31]]
    batches = [Batch(target=torch.tensor([text], device=device)) for text in texts]
    expected = [found(model, batch, decoding) for batch in batches]
    model.twin, twin.layers = twin, None
    assert [found(model, batch, decoding) for batch in batches] == expected
    if not options:
        assert twin.prompts.reused >= 13 + 12
        assert len(left(twin)) == 1  # what is remembered holds no step


def test_a_model_that_nobody_uses_goes_with_its_steps(device: str) -> None:
    model, twin, _ = both("learned", device)
    model.twin = twin
    found(model, Batch(target=torch.tensor([[5, 6, 7, 8]], device=device)), Decoding(max_new_tokens=6))
    (step,) = left(twin)
    gone = [weakref.ref(each) for each in (model, twin, step)]
    del model, twin, step
    gc.collect()
    assert [each() for each in gone] == [None, None, None]


def test_steps_that_wait_hold_no_more_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    model, twin, batch = both("learned", "cpu")
    model.twin, twin.layers = twin, None
    found(model, batch, WAYS["greedy"])
    (first,) = left(twin)
    monkeypatch.setattr(reader_module, "IDLE", 2 * first.size)
    found(model, batch, WAYS["beams"])  # four times as many rows
    found(model, batch, WAYS["greedy"])
    assert sum(step.size for step in twin.steps.idle) <= 2 * first.size


def test_a_row_of_no_numbers_spoils_no_later_text() -> None:
    model, twin, batch = both("learned", "cpu")
    twin.layers = None
    expected = found(model, batch, WAYS["greedy"])
    model.twin = twin
    found(model, batch, WAYS["greedy"])
    for kept in left(twin)[0].kept.values():
        kept.key.fill_(torch.nan)
        kept.value.fill_(torch.inf)
    assert found(model, batch, WAYS["greedy"]) == expected


def test_what_follows_is_told_twice_alike() -> None:
    _, twin, _ = both("learned", "cpu")
    twin.layers = None
    reader = twin.reader(None, None)
    assert reader is not None
    with torch.inference_mode():
        reader.read(torch.tensor([[5, 6, 7]]))
        reader.read_on([8])
        for _ in range(3):
            first, second = (reader.best([0.0], 1, 1) for _ in range(2))
            assert first.tokens == second.tokens
            assert first.totals == pytest.approx(second.totals)
            reader.read_on(first.tokens)


def test_a_stream_may_be_left_and_another_begun(device: str) -> None:
    model, twin, _ = both("learned", device)
    batch = Batch(target=torch.tensor([[5, 6, 7]], device=device))
    options = Decoding(max_new_tokens=20)
    expected = [token.id for token in stream(model, batch, options, ends=(), alternatives=2)]
    model.twin, twin.layers = twin, None
    one, other = (stream(model, batch, options, ends=(), alternatives=2) for _ in range(2))
    assert [next(one).id for _ in range(7)] == expected[:7]
    assert [token.id for token in other] == expected
    assert [token.id for token in one] == expected[7:]


def test_a_reader_reads_ahead_only_while_the_likeliest_is_chosen() -> None:
    model, twin, _ = both("learned", "cpu")
    twin.layers, played = None, []
    reader = twin.reader(None, None)
    assert reader is not None
    with torch.inference_mode():
        reader.read(torch.tensor([[5, 6, 7]]))
        reader.read_on([8])
        assert reader.step is not None
        play = reader.step.play
        reader.step.play = lambda: (played.append(1), play())
        for likeliest in (False, True, True, True):
            told = reader.best([0.0], 1, 1).tokens[0]
            reader.read_on([told if likeliest else (told + 1) % 50])
        assert (len(played), reader.is_ahead) == (4, False)
        reader.best([0.0], 1, 1)
        assert (len(played), reader.is_ahead, reader.held) == (5, True, 8)
        logits = reader.logits
        reader.read_on([9 if reader.likeliest != [9] else 10])  # not what was read ahead
        assert (len(played), reader.held) == (6, 9)
        again = model(target=torch.tensor([[*reader.ids[0].tolist(), *(read.tokens[0] for read in reader.tail)]]))
        assert torch.allclose(again[:, -1], reader.logits)
        assert torch.allclose(again[:, -2], logits)


@pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")  # of the interpreter
@pytest.mark.skipif(not (CUDA or INTERPRETED), reason="Triton needs a GPU, or is told to interpret")
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", BY_KERNELS)
def test_kernels_say_what_the_parts_say(name: str, rows: int) -> None:
    """Logits after each of several tokens, beside a row that begins with padding."""
    device = "cuda" if CUDA else "cpu"
    config = {"vocab_size": 50, "d_model": 24, "heads": 3, "d_ff": 40, "max_positions": 200, **BY_KERNELS[name]}
    torch.manual_seed(0)
    model = Transformer(TransformerConfig.from_dict(config)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    model.to(device)
    if not has_kernels(model):
        pytest.skip("Triton or a C compiler is missing")
    twin = RecordedTwin(model, "float32")
    ids = torch.randint(4, 50, (rows, 150), device=device)
    real = torch.ones_like(ids, dtype=torch.bool)
    real[-1, :2] = rows == 1
    with torch.inference_mode():
        whole = model(target=ids, target_mask=real)
        reader = twin.reader(None, None)
        assert reader is not None
        reader.read(ids[:, :140], real[:, :140])
        for place in range(140, 150):
            reader.read_on(ids[:, place].tolist())
            assert reader.step is not None
            assert isinstance(reader.step.body, RowBody)
            torch.testing.assert_close(reader.logits, whole[:, place], atol=2e-5, rtol=2e-5)


def test_rows_are_powers_of_two() -> None:
    assert list(map(as_rows, (1, 2, 3, 4, 5, 9))) == [1, 2, 4, 4, 8, 16]


def test_what_is_prepared_elsewhere_is_refused() -> None:
    with pytest.raises(InputError, match="no engine for meta"):
        prepare(model_of("learned").to("meta"))


@pytest.mark.skipif(not CUDA, reason="there is no GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8", "auto"])
def test_prepared_on_a_gpu(precision: Any) -> None:
    model = model_of("learned").to("cuda")
    asked = question(model, "left").inputs["target"].to("cuda")
    expected = model(target=asked)
    preparation = prepare(model, precision)
    assert preparation.way == "recorded"
    assert preparation.precision == ("float32" if precision == "float32" else "bfloat16")
    assert bool(preparation.note) == (precision == "int8")
    with torch.inference_mode():
        near = 1e-5 if precision == "float32" else 0.05
        torch.testing.assert_close(model(target=asked), expected, atol=near, rtol=near)
    batch = Batch(target=asked)
    assert all(row[0] for row in found(model, batch, Decoding(max_new_tokens=4)))
