"""Token for token what `generate` of each family writes, with all that its generation_config.json may ask for."""

import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.pretrained import load_transformer

from .pairs import PAIRS, padded, reference, texts

PROMPTS, LONGEST = 20, 9

PLAIN: dict[str, Any] = {}
ASKED = [
    PLAIN,
    {"forced_bos_token_id": 7, "forced_eos_token_id": 9, "bad_words_ids": [[3], [8, 11]]},
    {"no_repeat_ngram_size": 2, "min_length": 5, "length_penalty": 2.0, "early_stopping": True},
]


def generated(model: Any, sources: list[list[int]], asked: dict[str, Any], beams: int) -> list[list[int]]:
    """What they write, without the start token."""
    ids, mask = padded(sources, model.config.pad_token_id, "right")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model.generate(
            ids, attention_mask=mask, do_sample=False, num_beams=beams, max_length=LONGEST, **asked
        )
    return [row[1:] for row in found.tolist()]


@pytest.mark.parametrize("family", PAIRS)
def test_greedy_and_five_beams_write_the_same_tokens(family: str, tmp_path: Path) -> None:
    pair = PAIRS[family]
    model = reference(pair, pair.generates, 11)
    ends = [model.config.eos_token_id, 6, 13]
    model.generation_config.eos_token_id = ends
    model.save_pretrained(tmp_path)
    checkpoint = load_transformer(tmp_path)
    chance, pad = random.Random(family), model.config.pad_token_id
    sources = texts(tuple(chance.randint(1, 9) for _ in range(PROMPTS)), 5)
    source, mask = padded(sources, pad, "right")
    start = torch.full((PROMPTS, 1), checkpoint.generation["decoder_start_token_id"])
    batch = Batch(source=source, source_mask=mask, target=start)
    for number, asked in enumerate(ASKED):
        for beams in (1, 5) if number < 2 else (5,):
            expected = generated(model, sources, asked, beams)
            said = {**checkpoint.generation, **asked, "max_length": LONGEST, "num_beams": beams}
            found = search(checkpoint.transformer, batch, Decoding.read(said), ends=said["eos_token_id"])
            for (one,), row in zip(found, expected, strict=True):
                assert list(one.ids) == row[: len(one.ids)]
                assert set(row[len(one.ids) :]) <= {pad, ends[0]}  # they fill up with one or the other
