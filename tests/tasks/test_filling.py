"""Hidden words, against `transformers` on a small random checkpoint."""

from pathlib import Path

import pytest
import torch

import glassformer as gf

from .published import bert

MASKED = ["the [MASK] sat on the mat", "[MASK]", "so [MASK] and [MASK], in Paris"]


def test_the_likeliest_words_are_those_of_transformers(tmp_path: Path) -> None:
    model, tokenizer = bert(tmp_path, "BertForMaskedLM")
    ours = gf.load(tmp_path)
    for text, answer in zip(MASKED, ours(MASKED, top=3), strict=True):
        ids = tokenizer.encode(text).ids
        with torch.no_grad():
            shares = model(torch.tensor([ids])).logits[0].softmax(-1)
        places = [place for place, number in enumerate(ids) if number == tokenizer.mask_id]
        assert len(answer.candidates) == len(places) == text.count("[MASK]")
        for place, candidates in zip(places, answer.candidates, strict=True):
            best = shares[place].topk(3)
            assert [share for _, share in candidates] == pytest.approx(best.values.tolist(), abs=1e-12)
            assert [word for word, _ in candidates] == [
                tokenizer.decode([n]).strip() for n in best.indices.tolist()
            ]
            ids[place] = int(best.indices[0])
        assert answer.text == tokenizer.decode(ids)


def test_what_cannot_be_filled_in_is_refused(tmp_path: Path) -> None:
    bert(tmp_path, "BertForMaskedLM")
    model = gf.load(tmp_path)
    for refuse in (model, lambda text: model.task.check(model.transformer, [text])):
        with pytest.raises(gf.InputError, match=r"no word of the text is hidden; write \[MASK\]"):
            refuse("the cat sat")
    with pytest.raises(gf.InputError, match="top is 0"):
        model(MASKED, top=0)
    assert model.trace("the cat sat").answer == ""
