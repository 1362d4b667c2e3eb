"""What is saved in parts, or in half precision, opens in `transformers`: nothing missing, every number the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from glassformer.decoding.options import Decoding
from glassformer.pretrained import load_transformer, save

from .pairs import PAIRS, reference
from .stacks import STACKS, built, settings_of

SIZE = 600  # bytes of a part: several parts even of so small a model
STACKED = ("bert", "gpt2", "albert", "llama", "gemma", "phi3", "gpt_neox", "mpnet")
PAIRED = ("bart", "t5", "marian", "m2m_100")
CASES = [
    (name, dtype, size)
    for name in (*STACKED, *PAIRED)
    for dtype, size in (("bfloat16", SIZE), ("float16", None))
]


def made(family: str) -> tuple[Any, str]:
    """A random model of theirs in float32, and its class."""
    if family in PAIRS:
        name = PAIRS[family].generates
        return reference(PAIRS[family], name, 3).float(), name
    name = STACKS[family].classes[0]
    return built(STACKS[family], name, settings_of(STACKS[family], name, 3), 3).float(), name


@pytest.mark.parametrize(
    ("family", "dtype", "size"), [*CASES, ("llama", "float32", SIZE), ("bart", None, SIZE)]
)
def test_a_saved_folder_opens_in_transformers(
    family: str, dtype: str | None, size: int | None, tmp_path: Path
) -> None:
    theirs, name = made(family)
    theirs.save_pretrained(tmp_path / "theirs")
    save(load_transformer(tmp_path / "theirs"), tmp_path / "ours", dtype=dtype, shard_size=size)
    parts = sorted(path.name for path in (tmp_path / "ours").glob("*.safetensors"))
    assert (len(parts) > 2) == (size is not None)
    again, told = getattr(transformers, name).from_pretrained(
        tmp_path / "ours", output_loading_info=True, dtype="auto"
    )
    assert not told["unexpected_keys"]
    assert not told["mismatched_keys"]
    assert not [key for key in told["missing_keys"] if "embed_positions" not in key]  # those are waves
    kind = getattr(torch, dtype or "float32")
    assert again.dtype == kind
    # where the last map has a bias of its own, another that once was it is there, and of no account
    first, second = dict(theirs.named_parameters()), dict(again.named_parameters())
    assert first.keys() == second.keys()
    idle = [place.replace("decoder.bias", "bias") for place in first if place.endswith("decoder.bias")]
    for place, parameter in first.items():
        if place not in idle and (parameter.requires_grad or "embed_positions" not in place):
            assert parameter.to(kind).equal(second[place]), place


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_an_index_says_where_every_tensor_is_and_how_large_all_are(family: str, tmp_path: Path) -> None:
    theirs, _ = made(family)
    theirs.save_pretrained(tmp_path / "theirs")
    save(load_transformer(tmp_path / "theirs"), tmp_path / "ours", dtype="bfloat16", shard_size=SIZE)
    index = json.loads((tmp_path / "ours" / "model.safetensors.index.json").read_text("utf-8"))
    again = load_transformer(tmp_path / "ours", dtype="bfloat16").transformer
    count = sum(parameter.numel() for parameter in again.parameters())
    assert index["metadata"]["total_size"] == 2 * count
    assert {path.name for path in (tmp_path / "ours").glob("model-*")} == set(index["weight_map"].values())


# ------------------------------------------------------------------ how to write

SAID: dict[str, Any] = {
    "decoder_start_token_id": 7,
    "forced_bos_token_id": 9,
    "forced_eos_token_id": 2,
    "eos_token_id": [2, 6],
    "bad_words_ids": [[1], [4, 5]],
    "no_repeat_ngram_size": 3,
    "num_beams": 3,
    "length_penalty": 2.0,
    "early_stopping": True,
    "max_length": 11,
}


@pytest.mark.parametrize("old", [False, True], ids=["generation_config.json", "config.json"])
@pytest.mark.parametrize("family", PAIRS)
def test_how_to_write_is_kept(family: str, old: bool, tmp_path: Path) -> None:
    """In a file of its own, or, as it once was, among the rest of config.json."""
    theirs, name = made(family)
    if not old:
        theirs.generation_config.update(**SAID)
    theirs.save_pretrained(tmp_path / "theirs")
    if old:
        (tmp_path / "theirs" / "generation_config.json").unlink()
        place = tmp_path / "theirs" / "config.json"
        place.write_text(json.dumps({**json.loads(place.read_text("utf-8")), **SAID}), "utf-8")
    checkpoint = load_transformer(tmp_path / "theirs")
    save(checkpoint, tmp_path / "ours")
    again = load_transformer(tmp_path / "ours")
    assert again.generation == checkpoint.generation
    assert (again.generation or again.raw).items() >= SAID.items()
    assert Decoding.read(again.generation or again.raw).forced_bos_token_id == 9
    opened = [getattr(transformers, name).from_pretrained(tmp_path / each) for each in ("theirs", "ours")]
    first, second = (each.generation_config.to_dict() for each in opened)
    assert first == second
    assert first.items() >= SAID.items()
