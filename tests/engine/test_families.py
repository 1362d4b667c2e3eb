"""Two hundred prompts written on by a small random model of every family: open and prepared, the same tokens."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.engine.prepare import prepare
from glassformer.model import Transformer
from glassformer.pretrained import load_transformer

from ..families import pairs, stacks

PROMPTS, NEW = 200, 8
WRITERS = {
    family: name
    for family, stack in stacks.STACKS.items()
    for name in stack.classes
    if name.endswith(("ForCausalLM", "LMHeadModel")) and family not in ("bert", "roberta", "electra")
}


def in_float32(folder: Path) -> Transformer:
    """What a checkpoint holds, computed as most models are."""
    wide = load_transformer(folder).transformer
    model = Transformer(replace(wide.config, dtype="float32"))
    model.load_state_dict({name: value.float() for name, value in wide.state_dict().items()})
    return model.eval()


def texts(vocabulary: int, seed: int, side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ones of one to six tokens, and their masks."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, vocabulary, (PROMPTS, 6), generator=generator)
    real = torch.arange(6) < torch.randint(1, 7, (PROMPTS, 1), generator=generator)
    return ids, real if side == "right" else real.flip(1)


def equal(model: Transformer, batch: Batch, native: bool) -> int:
    """How many tokens both write, each the same."""
    options = Decoding(max_new_tokens=NEW)
    expected = [best.ids for (best,) in search(model, batch, options, ends=(2,))]
    prepare(model, "float32", use_native=native)
    assert [best.ids for (best,) in search(model, batch, options, ends=(2,))] == expected
    return sum(map(len, expected))


@pytest.mark.parametrize("family", WRITERS)
def test_decoders(family: str, use_native: bool, tmp_path: Path) -> None:
    stack = stacks.STACKS[family]
    stacks.built(stack, WRITERS[family], stacks.settings_of(stack, WRITERS[family], 3), 3).save_pretrained(
        tmp_path
    )
    model = in_float32(tmp_path)
    ids, mask = texts(model.config.vocab_size, 4, "left")
    assert equal(model, Batch(target=ids, target_mask=mask), use_native) > PROMPTS


@pytest.mark.parametrize("family", pairs.PAIRS)
def test_pairs(family: str, use_native: bool, tmp_path: Path) -> None:
    pair = pairs.PAIRS[family]
    pairs.reference(pair, pair.generates, 3).save_pretrained(tmp_path)
    model = in_float32(tmp_path)
    ids, mask = texts(pairs.VOCABULARY, 4, "right")
    begun = torch.full((PROMPTS, 1), 1)
    assert equal(model, Batch(source=ids, source_mask=mask, target=begun), use_native) > PROMPTS
