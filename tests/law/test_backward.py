"""Every formula has a rule for the way back, or a reason why it needs none; every rule is autograd's."""

import re
from typing import Any

import pytest
import torch

from glassformer.config import TransformerConfig
from glassformer.glass.backward import BACKWARD, GRADIENTS, RULES, WITHOUT
from glassformer.glass.formulas import FORMULAS
from glassformer.glass.search_formulas import SEARCHES
from glassformer.glass.table import ALL
from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW
from glassformer.glass.update_formulas import UPDATES
from glassformer.model import Transformer
from glassformer.nn.loss import LossSteps

from ..glass.learning import Run, furthest, gapless, learnt
from .test_glossary import CONFIGS as KNOWN
from .test_glossary import GLOSSARY, LOSSES, PAIR, SMALL, loss_of

CONFIGS = {**KNOWN, "scaled": {**PAIR, "output_scale": True, "output_bias": True}}

NEVER_TRAINED = {  # rules of formulas that stand on no way to a loss: beside it, or behind what is cached
    "probabilities.logits",
    "probability_of_each.logits",
    "span_probabilities.logits",
    "append.past",
    "append.new",
}
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool)
IDS = torch.arange(6).reshape(2, 3)


def model_of(name: str) -> Transformer:
    fields = {**SMALL, **CONFIGS[name]}
    if fields.get("head") == "hidden":
        fields |= {"head": "token-label", "labels": 3, "pooler": False}
    torch.manual_seed(3)
    model = Transformer(TransformerConfig.from_dict(fields)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def run_of(name: str, model: Transformer) -> Run:
    config = model.config
    kind: Any = "choice"
    labels: Any = [[1, -100, 0], [-100, 0, 1]]
    over, smoothing = ("V" if "language-model" in config.head else "L"), 0.0
    if config.head == "sequence-label":
        labels = [1, 0]
    loss = LossSteps(kind, ignored=-100, smoothing=smoothing, over=over)
    source = None if config.stack == "decoder" else IDS
    target = None if config.stack == "encoder" else IDS

    def run(trace: Trace) -> torch.Tensor:
        if name in LOSSES:
            return loss_of(name, model, source, target, MASK, trace)
        masks = {"source_mask": MASK} if source is not None else {"target_mask": MASK}
        logits = model(source, target, **masks, trace=trace)
        made: torch.Tensor = loss(logits, torch.tensor(labels), MASK if kind == "span" else None, trace)
        return made

    return run


def test_each_formula_has_a_rule_or_a_reason() -> None:
    assert set(BACKWARD) | set(WITHOUT) == set(FORMULAS)
    assert not set(BACKWARD) & set(WITHOUT)
    assert all(WITHOUT.values())


def test_each_rule_is_written_and_has_a_key_of_its_own() -> None:
    assert len(ALL) == len(FORMULAS) + len(SEARCHES) + len(GRADIENTS) + len(UPDATES)
    for key, formula in {**SEARCHES, **GRADIENTS, **UPDATES}.items():
        assert formula.says, key
        assert formula.symbol, key
        assert formula.text.startswith(f"{formula.symbol} = "), key


@pytest.mark.parametrize("name", CONFIGS)
def test_every_gradient_is_autograd_s_and_its_rule_s(name: str) -> None:
    model = model_of(name)
    trace = learnt(run_of(name, model), AdamW())
    assert furthest(trace, model, run_of(name, model)) <= 1e-12
    verified = trace.verify()
    assert verified.max_error <= 1e-12
    assert not verified.unchecked
    assert gapless(trace)
    for step in trace.values():
        for text in (step.written, step.typeset):
            assert not re.search(r"<[a-z_]+>|\{\{", text), f"{step.name}: {text}"


def test_every_rule_is_met_by_some_model() -> None:
    met = {step.key for name in CONFIGS for step in learnt(run_of(name, model_of(name)), AdamW()).values()}
    assert set(RULES) - met == NEVER_TRAINED
    assert set(UPDATES) <= met


def test_rules_off_the_way_to_a_loss_are_autograd_s_too() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 3, 2, dtype=torch.float64).requires_grad_(), torch.randn(2, 3, 2, dtype=torch.float64)
    makers = {
        "probabilities.logits": x.softmax(-1),
        "probability_of_each.logits": x.sigmoid(),
        "span_probabilities.logits": x.masked_fill(~MASK[..., None], -torch.inf).softmax(1),
    }
    for key, made in makers.items():
        (expected,) = torch.autograd.grad(made, x, y)
        found = ALL[key].compute(y.numpy(), made.detach().numpy())
        assert abs(found - expected.numpy()).max() <= 1e-14
    past, new = (torch.randn(1, 2, count, 3, dtype=torch.float64) for count in (2, 4))
    whole = torch.cat([past, new], dim=2).numpy()
    assert (ALL["append.past"].compute(whole, past.numpy()) == past.numpy()).all()
    assert (ALL["append.new"].compute(whole, past.numpy()) == new.numpy()).all()


def test_names_of_gradients_and_updates_are_in_the_glossary() -> None:
    known = set(re.findall(r"`(\w+)`", GLOSSARY))
    model = model_of("narrow")
    names = set(learnt(run_of("narrow", model), AdamW()))
    parameters = {name for name, _ in model.named_parameters()}
    last = {
        name.rsplit(".", 1)[-1]
        for name in names
        if name.removeprefix("gradient.") not in parameters and ".through." not in name
    }
    assert last <= known, f"not in the glossary: {sorted(last - known)}"
    assert {"gradient", "through", "update"} <= known
