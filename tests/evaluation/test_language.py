"""Surprise is the cross-entropy that torch computes, whatever windows and batches the text is read in."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from glassformer.config import TransformerConfig
from glassformer.data.batch import IGNORE
from glassformer.errors import InputError
from glassformer.evaluation.language import evaluate, judged, protocol_of, report, windows_of
from glassformer.model import Transformer
from glassformer.tasks.filling import Filling
from glassformer.tasks.generation import Generation
from glassformer.text.tokenizer import Tokenizer

TEXTS = ["the cat sat on the mat and the dog ran away from the house, été", "one two", "three", "x"]
BYTES = Tokenizer.train("byte-bpe", TEXTS * 2, vocab_size=290)
PIECES = Tokenizer.train("wordpiece", TEXTS * 2, vocab_size=60, special="bert")
WINDOW = 8


def reader(tokenizer: Tokenizer, **fields: Any) -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(
        vocab_size=tokenizer.vocab_size,
        d_model=8,
        heads=2,
        d_ff=8,
        positions="learned",
        max_positions=WINDOW,
        dtype="float64",
        **fields,
    )
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


CAUSAL = reader(BYTES, stack="decoder", decoder_layers=1)
MASKED = reader(PIECES, stack="encoder", encoder_layers=1, head="masked-language-model", segments=2)


@pytest.mark.parametrize("stride", [None, 1, 3, 8])
def test_every_token_is_asked_for_once_in_its_window(stride: int | None) -> None:
    ours = evaluate(Generation(BYTES), CAUSAL, TEXTS, stride=stride)
    nll, tokens, size = 0.0, 0, 0
    for text in TEXTS:
        ids = [BYTES.eos_id, *BYTES.encode(text, special=False).ids]
        done, first = 1, 0
        while done < len(ids):
            last = min(first + WINDOW, len(ids) - 1)
            with torch.no_grad():
                logits = CAUSAL(target=torch.tensor([ids[first:last]]))[0]
            asked = torch.tensor(ids[done : last + 1])
            nll += float(cross_entropy(logits[len(logits) - len(asked) :], asked, reduction="sum"))
            tokens, done, first = tokens + len(asked), last + 1, first + (stride or WINDOW)
        size += len(text.encode())
    assert ours == pytest.approx(
        {"nll": nll / tokens, "perplexity": math.exp(nll / tokens), "bits_per_byte": nll / math.log(2) / size}
    )


def test_bits_per_byte_do_not_depend_on_how_text_is_cut() -> None:
    """A model that knows nothing takes log2 V bits a token; of single bytes that is one a byte."""
    single = Tokenizer.train("byte-bpe", ["a"], vocab_size=257)
    model = reader(single, stack="decoder", decoder_layers=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    found = evaluate(Generation(single), model, ["été", "ab"])
    assert found["bits_per_byte"] == pytest.approx(math.log2(single.vocab_size))
    assert found["perplexity"] == pytest.approx(single.vocab_size)


def test_windows_hold_the_whole_text() -> None:
    for window, stride in ((8, 8), (8, 3), (4, 4), (1, 1)):
        protocol = protocol_of(CAUSAL, BYTES, window, stride)
        windows = windows_of(CAUSAL, BYTES, TEXTS, protocol)
        assert "".join(each.text for each in windows) == "".join(TEXTS)
        assert max(len(each.read) for each in windows) <= window
    masked = windows_of(MASKED, PIECES, TEXTS, protocol_of(MASKED, PIECES))
    assert "".join(each.text for each in masked).replace(" ", "") == "".join(TEXTS).replace(" ", "")


def test_hidden_tokens_are_asked_for() -> None:
    ours = evaluate(Filling(PIECES), MASKED, TEXTS)
    found = judged(Filling(PIECES), MASKED, TEXTS)
    nll, hits, tokens = 0.0, 0, 0
    for window in found.windows:
        asked = torch.tensor(window.asked)
        there = asked != IGNORE
        assert all(window.read[place] == PIECES.mask_id for place in there.nonzero()[:, 0].tolist())
        assert 1 <= int(there.sum()) <= max(1, round(0.15 * len(window.read)))
        with torch.no_grad():
            segments = torch.zeros(1, len(window.read), dtype=torch.long)
            logits = MASKED(torch.tensor([window.read]), segments=segments)[0][there]
        nll += float(cross_entropy(logits, asked[there], reduction="sum"))
        hits += int((logits.argmax(-1) == asked[there]).sum())
        tokens += int(there.sum())
    expected = {"nll": nll / tokens, "perplexity": math.exp(nll / tokens), "accuracy": 100 * hits / tokens}
    assert ours == pytest.approx(expected)
    assert evaluate(Filling(PIECES), MASKED, TEXTS) == ours


def test_a_report_names_the_most_surprising_text() -> None:
    told: list[int] = []
    found = report(Generation(BYTES), CAUSAL, TEXTS, bootstrap=20, told=told.append)
    assert found.counts["bytes"] == sum(len(text.encode()) for text in TEXTS)
    assert found.counts["windows"] == sum(told)
    costs = [case.figures["nll"] for case in found.worst]
    assert costs == sorted(costs, reverse=True)
    score = found.scores["perplexity"]
    assert score.low <= score.value <= score.high
    assert f"window:{WINDOW}|stride:{WINDOW}|start:{BYTES.token(BYTES.eos_id or 0)}|" in score.signature


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": 9}, "expected 1 to 8"),
        ({"window": 0}, "expected 1"),
        ({"window": 4, "stride": 5}, "the stride is 5"),
    ],
)
def test_a_window_that_the_model_does_not_have_is_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        evaluate(Generation(BYTES), CAUSAL, TEXTS, **options)


def test_a_model_that_foretells_nothing_is_refused() -> None:
    hidden = reader(PIECES, stack="encoder", encoder_layers=1, head="hidden")
    with pytest.raises(InputError, match="head hidden"):
        evaluate(Generation(PIECES), hidden, TEXTS)
    with pytest.raises(InputError, match="no token"):
        evaluate(Generation(BYTES), CAUSAL, [""])


def test_long_text_is_no_other_than_its_windows() -> None:
    whole = judged(Generation(BYTES), CAUSAL, [" ".join(TEXTS)])
    assert np.isfinite(whole.measured.statistics["nll"]).all()
    assert whole.measured.statistics["tokens"].sum() == len(BYTES.encode(" ".join(TEXTS), special=False).ids)
