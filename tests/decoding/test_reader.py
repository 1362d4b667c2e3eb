"""What a search reads again and what it does not; and texts longer than the positions."""

import pytest
import torch
from torch import Tensor

from glassformer.data.batch import Batch, pad
from glassformer.decoding.options import Decoding
from glassformer.decoding.reader import Reader
from glassformer.decoding.search import search

from .test_contrastive import writer
from .test_search import close, translator

LIMIT = 12
WAYS = [
    Decoding(max_new_tokens=40),
    Decoding(max_new_tokens=40, num_beams=3, num_return_sequences=2),
    Decoding(max_new_tokens=40, do_sample=True, seed=2),
    Decoding(max_new_tokens=25, penalty_alpha=0.4, top_k=3),
]


def slid(written: list[int], begun: int) -> list[int]:
    """What a model of LIMIT positions still sees of a text: half of what it saw, each time it was full."""
    seen = written[:begun]
    for token in written[begun:]:
        seen = [*seen, token]
        if len(seen) > LIMIT:
            seen = seen[-(LIMIT // 2) :]
    return seen


@pytest.mark.parametrize("positions", ["learned", "rotary", "sinusoidal"])
def test_beyond_its_positions_a_text_goes_on_from_its_second_half(positions: str) -> None:
    model = writer(1, max_positions=LIMIT, positions=positions)
    prompt = [3, 4, 5]
    (found,) = search(model, Batch(target=torch.tensor([prompt])), WAYS[0], ends=[])[0]
    assert len(found.ids) == 40
    written = list(prompt)
    with torch.no_grad():
        for token, said in zip(found.ids, found.log_probabilities, strict=True):
            logs = model(None, torch.tensor([slid(written, len(prompt))]))[0, -1].log_softmax(-1)
            assert said == pytest.approx(float(logs[token]), abs=1e-10)
            assert token == int(logs.argmax())
            written.append(token)


@pytest.mark.parametrize("options", WAYS, ids=["greedy", "beams", "drawn", "contrastive"])
def test_a_batch_slides_as_each_text_does_alone(options: Decoding) -> None:
    model = writer(2, max_positions=LIMIT)
    prompts = [[3, 4, 5, 6, 7, 8, 9, 10, 3], [6], [7, 8, 2, 2]]
    ids, mask = pad(prompts, 0)
    together = search(model, Batch(target=ids, target_mask=mask), options, ends=[])
    alone = [search(model, Batch(target=torch.tensor([p])), options, ends=[])[0] for p in prompts]
    assert all(map(close, together, alone))
    assert {len(one.ids) for each in together for one in each} == {options.max_new_tokens}


def test_texts_without_end_are_not_read_again() -> None:
    model = writer(3, max_positions=LIMIT, positions="relative", relative_buckets=8, relative_distance=9)
    reader = Reader(model)
    with torch.inference_mode():
        reader.read(torch.tensor([[3, 4]]))
        for _ in range(2 * LIMIT):
            reader.read_on([5])
    assert reader.cache.length == 2 + 2 * LIMIT


def kept(reader: Reader, of_source: bool) -> list[Tensor]:
    return [
        key for path, (key, _) in reader.cache.kept.items() if (path in reader.cache.of_source) == of_source
    ]


def test_beams_that_change_places_leave_what_belongs_to_their_source() -> None:
    """Only rows that go to another source, or end, move its keys and values."""
    model = translator(1)
    source = torch.tensor([[3, 4, 1], [5, 6, 1]])
    with torch.inference_mode():
        memory = model.encode(source)
        reader = Reader(model, memory)
        reader.read(torch.zeros(2, 1, dtype=torch.long))
        reader.read_on([3, 4, 5, 6], [0, 0, 1, 1])
        before, own = kept(reader, True), kept(reader, False)
        reader.read_on([7, 8, 9, 10], [1, 0, 2, 2])
        assert all(one is other for one, other in zip(before, kept(reader, True), strict=True))
        for old, new in zip(own, kept(reader, False), strict=True):
            assert torch.equal(new[:, :, :-1], old[[1, 0, 2, 2]])  # and the latest token behind them
        rows = torch.tensor([[0, 4, 7], [0, 3, 8], [0, 5, 9], [0, 5, 10]])
        whole = model(source[[0, 0, 1, 1]], rows)[:, -1]
        torch.testing.assert_close(reader.logits, whole, atol=1e-12, rtol=0)
        reader.read_on([3, 3], [2, 3])
        assert all(len(key) == 2 for key in kept(reader, True))
        assert len(reader.cache.of_source) == 2
