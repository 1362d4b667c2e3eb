"""Direct logit attribution and the logit lens: sums to the last digits, by hand where a hand can follow."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.inspection import Number, direct, lens, zero
from glassformer.model import Transformer
from glassformer.nn.low_rank import LowRank

from .models import KINDS, READERS, WRITERS, model_of, shared, text_of

TASKS = [*READERS, *WRITERS]
CHANGES: dict[str, dict[str, Any]] = {
    "narrow": {"embedding_size": 8},
    "from one": {"norm": "rms-from-one", "norm_first": True, "final_norm": True},
    "shared layers": {"distinct_layers": 1},
    "norm first": {"norm_first": True, "final_norm": True},
    "pooled by relu": {"pooler_activation": "relu"},
}


@pytest.mark.parametrize("kind", TASKS)
def test_the_sum_is_the_logit(kind: str) -> None:
    found = direct(shared(kind), text_of(kind))
    assert found.error <= 1e-10
    assert len(found.shares) > 10
    single = direct(model_of(kind, dtype="float32"), text_of(kind))
    assert single.error <= 1e-5 * max(1.0, sum(abs(share.score) for share in single.shares) / 10)
    assert direct(model_of(kind, dtype="float32"), text_of(kind), float64=True).error <= 1e-10
    told = json.loads(json.dumps(found.as_dict()))
    assert told["sum"] == found.total
    assert f"{found.number:.4f}" in str(found)


@pytest.mark.parametrize("name", CHANGES)
def test_other_configurations(name: str) -> None:
    assert direct(model_of("classification", **CHANGES[name]), text_of("classification")).error <= 1e-10


@pytest.mark.parametrize("kind", ["classification", "generation", "rewriting", "tagging"])
def test_a_difference_is_the_difference_of_the_shares(kind: str) -> None:
    model, text = shared(kind), text_of(kind)
    both = direct(model, text, target=1, against=2)
    first, second = direct(model, text, target=1), direct(model, text, target=2)
    assert both.error <= 1e-10
    assert both.number == pytest.approx(first.number - second.number, abs=1e-10)
    for share, one, two in zip(both.shares, first.shares, second.shares, strict=True):
        assert share.part == one.part == two.part
        assert share.score == pytest.approx(one.score - two.score, abs=1e-10)


def test_by_hand_where_norms_stand_first() -> None:
    model, text = shared("generation"), text_of("generation")
    found = {share.part: share.score for share in direct(model, text).shares}
    ids = torch.tensor(model.task.prompts([text], model.config))  # type: ignore[attr-defined]
    trace = Trace()
    with torch.no_grad():
        logits = model.transformer(target=ids, trace=trace)[0, -1]
    column, decoder = int(logits.argmax()), model.transformer.decoder
    assert decoder is not None
    x = trace["decoder.layers.1.after_feed_forward"].value[0, -1]
    pull = model.transformer.head.output.weight[column] * decoder.norm.weight / (x.var(correction=0) + 1e-5).sqrt()  # type: ignore[union-attr,index,operator]
    head = trace["decoder.layers.0.self_attention.mixed"].value[0, 3, -1]
    added = decoder.layers[0].self_attention.output.weight[:, 12:16] @ head  # type: ignore[union-attr,index]
    pull, added = pull.detach(), added.detach()
    expected = float((added - added.mean()) @ pull)
    assert found["decoder.layers.0.self_attention[3]"] == pytest.approx(expected, abs=1e-10)
    token = trace["decoder.embedding.tokens"].value[0, -1]
    assert found["decoder.embedding.tokens"] == pytest.approx(float((token - token.mean()) @ pull), abs=1e-10)


def test_what_no_norm_stands_in_the_way_of_is_what_leaving_it_out_takes() -> None:
    """Without norms the last layer's heads reach the logits by one way alone."""
    model, text = model_of("tagging", norm="none", embedding_norm=False), text_of("tagging")
    found = direct(model, text, position=1)
    shares = {share.part: share.score for share in found.shares}
    name, down = "encoder.layers.1.feed_forward", "encoder.layers.1.feed_forward.down.bias"
    with model.edit(zero(f"{name}.active")):
        without = direct(model, text, position=1, target=found.about.split()[3])
    assert without.number == pytest.approx(found.number - shares[name], abs=1e-10)
    assert down in shares


def test_adapters_are_part_of_the_sum() -> None:
    model = model_of("tagging")
    attention = model.transformer.encoder.layers[0].self_attention  # type: ignore[union-attr]
    attention.output = LowRank(attention.output, 2, 4.0).double()
    torch.nn.init.normal_(attention.output.lora_B)
    assert direct(model, text_of("tagging")).error <= 1e-10
    assert attention.output.own is None


@pytest.mark.parametrize("kind", TASKS)
def test_the_last_line_of_the_lens_is_the_models_own_answer(kind: str) -> None:
    model, text = shared(kind), text_of(kind)
    found = lens(model, text)
    assert found.followed.values[-1] == pytest.approx(direct(model, text).number, abs=1e-10)
    assert len(found.layers) == 3
    assert all(len(row) == len(found.positions) for row in found.guesses)
    assert json.loads(json.dumps(found.as_dict()))["layers"] == list(found.layers)
    assert "by layer" in str(found)
    _, heads, *lines = str(found).splitlines()
    assert heads.endswith(f"at {found.positions[found.at]}")
    assert all(
        line.endswith(str(row[found.at])) for line, row in zip(lines, found.guesses, strict=True)
    )


def test_a_line_of_the_lens_is_a_model_without_the_layers_above() -> None:
    for kind in ("generation", "tagging", "classification"):
        model, text = shared(kind), text_of(kind)
        side = KINDS[kind]["stack"]
        config = replace(model.config, **{f"{side}_layers": 1})
        shorter = Transformer(config).eval()
        shorter.load_state_dict(
            {name: value for name, value in model.transformer.state_dict().items() if ".layers.1." not in name}
        )
        found = lens(model, text, target=1)
        run = model.task.run(model.transformer, text).batch.inputs()
        if kind == "generation":
            ids = torch.tensor(model.task.prompts([text], model.config))  # type: ignore[attr-defined]
            run = {"target": ids}  # type: ignore[assignment]
        with torch.no_grad():
            logits = shorter(**run)
        row = logits[0, -1] if kind == "generation" else logits[0] if kind == "classification" else None
        if row is not None:
            assert found.followed.values[1] == pytest.approx(float(row[1]), abs=1e-10)
        else:
            tags = [guess.answer for guess in found.guesses[1]]
            assert tags == [model.checkpoint.labels[id] for id in logits[0].argmax(-1).tolist()]


def test_what_is_not_read_off_the_residual_stream() -> None:
    model, text = shared("classification"), text_of("classification")
    for function in (direct, lens):
        with pytest.raises(InputError, match="name an answer"):
            function(model, text, target=Number("encoder.output", (0, 0)))


def test_rows_of_a_lens_are_probabilities() -> None:
    found = lens(shared("generation"), text_of("generation"))
    shares = np.array([[guess.probability for guess in row] for row in found.guesses])
    assert (shares > 0).all()
    assert (shares <= 1).all()
