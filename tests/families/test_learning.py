"""A step of training on a small random model of every family: gradients are autograd's, rules and update verified."""

from pathlib import Path

import pytest
import torch

from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW
from glassformer.model import Transformer
from glassformer.nn.loss import LossSteps
from glassformer.pretrained import load_transformer

from ..glass.learning import Run, furthest, gapless, learnt, torch_updates
from .pairs import PAIRS, reference
from .stacks import STACKS, built, settings_of

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]], dtype=torch.bool)
SETTINGS = AdamW(learning_rate=0.01, clip_norm=0.5)


def run_of(model: Transformer) -> Run:
    config = model.config
    torch.manual_seed(1)
    ids = torch.randint(4, config.vocab_size, (2, 4))
    source = None if config.stack == "decoder" else ids
    target = None if config.stack == "encoder" else ids.flip(1)
    over = "V" if "language-model" in config.head else "L"

    def run(trace: Trace) -> torch.Tensor:
        masks = {"source_mask": MASK} if source is not None else {"target_mask": MASK}
        logits = model(source, target, **masks, trace=trace)
        shape = logits.shape[:-1]
        if config.head == "answer-span":
            loss, labels, mask = LossSteps("span", ignored=-100), torch.tensor([[0, 2], [1, 1]]), MASK
        else:
            loss = LossSteps("choice", ignored=-100, over=over)
            labels, mask = torch.arange(shape.numel()).reshape(shape) % logits.shape[-1], None
        made: torch.Tensor = loss(logits, labels, mask, trace)
        return made

    return run


def check(model: Transformer) -> None:
    run = run_of(model.eval())
    trace = learnt(run, SETTINGS)
    assert furthest(trace, model, run) <= 1e-10
    verified = trace.verify()
    assert verified.max_error <= 1e-10
    assert not verified.unchecked
    assert gapless(trace)
    for name, value in torch_updates(model, SETTINGS).items():
        # at the first step an update is the sign of a gradient; where that is nothing but rounding, so is its sign
        size = trace[f"gradient.{name.rpartition('.')[0]}"].value.abs()
        told = size > 1e-9
        assert float(((trace[f"update.{name}"].value - value).abs() * told).max()) <= 1e-10, name


def heads(classes: tuple[str, ...]) -> list[str]:
    """The classes whose answers a loss is made of."""
    return [name for name in classes if not name.endswith(("Model", "MultipleChoice")) or "LMHead" in name]


@pytest.mark.parametrize(("family", "name"), [(f, n) for f, s in STACKS.items() for n in heads(s.classes)])
def test_one_stack(family: str, name: str, tmp_path: Path) -> None:
    stack = STACKS[family]
    settings = {**settings_of(stack, name, 5), "num_labels": 2}
    built(stack, name, settings, 5).save_pretrained(tmp_path)
    check(load_transformer(tmp_path).transformer)


@pytest.mark.parametrize("family", PAIRS)
def test_pairs(family: str, tmp_path: Path) -> None:
    pair = PAIRS[family]
    reference(pair, pair.generates, 2).save_pretrained(tmp_path)
    check(load_transformer(tmp_path).transformer)
