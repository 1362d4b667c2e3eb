"""Each family of encoder and decoder against `transformers`: logits, both ways, and the laws of one forward."""

from itertools import product
from pathlib import Path

import pytest
import torch

from glassformer.glass.trace import Trace
from glassformer.nn.cache import Cache
from glassformer.pretrained import load_transformer, save

from .pairs import LENGTHS, PAIRS, WRITTEN, ours, padded, reference, reopened, texts, theirs

SEEDS = range(3)
CASES = [(family, seed) for family in PAIRS for seed in SEEDS]
EACH = pytest.mark.parametrize(("family", "seed"), CASES, ids=[f"{family}-{seed}" for family, seed in CASES])


@EACH
def test_ours_equals_theirs_and_theirs_opens_ours(family: str, seed: int, tmp_path: Path) -> None:
    pair = PAIRS[family]
    model = reference(pair, pair.generates, seed)
    model.save_pretrained(tmp_path / "theirs")
    checkpoint = load_transformer(tmp_path / "theirs")
    save(checkpoint, tmp_path / "ours")
    sources, targets, pad = texts(LENGTHS, seed), texts(WRITTEN, seed + 1), model.config.pad_token_id
    expected = theirs(model, sources, targets)
    assert expected.abs().max() > 0.1
    for sides in product(("right", "left"), repeat=2):
        found = ours(checkpoint.transformer, sources, targets, pad, sides)
        assert (found - expected).abs().max() <= 1e-10, sides
    again = theirs(reopened(tmp_path / "ours", pair.generates), sources, targets)
    assert (again - expected).abs().max() <= 1e-10


@EACH
def test_traced_is_fused_and_cached_is_whole(family: str, seed: int, tmp_path: Path) -> None:
    pair = PAIRS[family]
    model = reference(pair, pair.generates, seed)
    model.save_pretrained(tmp_path)
    transformer = load_transformer(tmp_path).transformer
    sources, targets, pad = texts(LENGTHS, seed), texts(WRITTEN, seed + 1), model.config.pad_token_id
    fused = ours(transformer, sources, targets, pad, ("left", "right"))
    trace = Trace()
    opened = ours(transformer, sources, targets, pad, ("left", "right"), trace=trace)
    assert (fused - opened).abs().max() <= 1e-12
    verified = trace.verify()
    assert verified.max_error <= 1e-10
    assert not verified.unchecked
    source, source_mask = padded(sources, pad, "right")
    target, target_mask = padded(targets, pad, "left")
    cache = Cache()
    with torch.no_grad():
        memory = transformer.encode(source, source_mask)
        parts = [
            transformer(
                target=target[:, first:last], memory=memory, source_mask=source_mask,
                target_mask=target_mask[:, :last], cache=cache,
            )
            for first, last in ((0, 2), (2, 3), (3, target.shape[1]))
        ]  # fmt: skip
        whole = transformer(target=target, memory=memory, source_mask=source_mask, target_mask=target_mask)
    real = target_mask.bool()
    assert (torch.cat(parts, dim=1)[real] - whole[real]).abs().max() <= 1e-12


@pytest.mark.parametrize("name", [name for pair in PAIRS.values() for name in pair.others])
@pytest.mark.parametrize("seed", range(2))
def test_heads_that_read(name: str, seed: int, tmp_path: Path) -> None:
    """The decoder reads the text once more, behind its own end."""
    pair = PAIRS["mbart" if name.startswith("MBart") else "bart"]
    spans = {"num_labels": 2} if name.endswith("Answering") else {}
    model = reference(pair, name, seed, **spans)
    model.save_pretrained(tmp_path / "theirs")
    checkpoint = load_transformer(tmp_path / "theirs")
    save(checkpoint, tmp_path / "ours")
    sources = texts(LENGTHS, seed, end=model.config.eos_token_id)
    turned = [[row[-1], *row[:-1]] for row in sources]
    expected = theirs(model, sources, None)
    for sides in product(("right", "left"), repeat=2):
        found = ours(checkpoint.transformer, sources, turned, model.config.pad_token_id, sides)
        assert (found - expected).abs().max() <= 1e-10, sides
    again = theirs(reopened(tmp_path / "ours", name), sources, None)
    assert (again - expected).abs().max() <= 1e-10
