"""Every step name and every axis that a run can have is in the glossary, and the formulas have no gap."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from glassformer.config import TransformerConfig
from glassformer.glass.formulas import FORMULAS
from glassformer.glass.step import AXES
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.cache import Cache
from glassformer.nn.heads import guess_of
from glassformer.nn.loss import LossSteps, PretrainingLossSteps, overheard

GLOSSARY = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text("utf-8")

SMALL = {"vocab_size": 20, "d_model": 8, "heads": 2, "d_ff": 12, "dtype": "float64"}
PAIR = {"stack": "encoder-decoder", "encoder_layers": 1, "decoder_layers": 1}
READER = {"stack": "encoder", "encoder_layers": 1, "segments": 2, "embedding_norm": True, "pooler": True}
WRITER = {"stack": "decoder", "decoder_layers": 1, "positions": "rotary"}
CONFIGS = {
    "sinusoidal": {**PAIR, "positions": "sinusoidal", "embedding_scale": True},
    "halves": {**PAIR, "positions": "sinusoidal-halves"},
    "inclusive": {**PAIR, "positions": "sinusoidal-halves-inclusive", "position_offset": 2},
    "relative": {
        **PAIR,
        "positions": "relative",
        "attention_scale": False,
        "norm": "rms",
        "output_scale": True,
    },
    "masked": {**READER, "head": "masked-language-model", "output_transform": True, "pooler": False},
    "labels": {**READER, "head": "sequence-label", "labels": 3},
    "any-labels": {**READER, "head": "sequence-label", "labels": 3, "label_choice": "any"},
    "tags": {**READER, "head": "token-label", "labels": 3, "pooler": False},
    "span": {**READER, "head": "answer-span", "pooler": False},
    "hidden": {**READER, "head": "hidden"},
    "rotary": {"stack": "decoder", "decoder_layers": 1, "positions": "rotary", "kv_heads": 1, "gated": True},
    "part": {
        **WRITER,
        "rotary_size": 2,
        "parallel_residual": True,
        "norm_first": True,
        "attention_output_bias": False,
    },
    "one-norm": {
        **WRITER,
        "parallel_residual": True,
        "one_norm": True,
        "norm_first": True,
        "head_norm": True,
        "norm": "rms-from-one",
    },
    "some-windows": {**WRITER, "decoder_layers": 2, "window": 2, "windowed_layers": (1,)},
    "both-positions": {**READER, "positions": "learned-relative", "head": "hidden"},
    "stretched": {**WRITER, "rotary_stretch": 8.0, "rotary_stretch_length": 40, "window": 2},
    "narrow": {
        **READER,
        "head": "masked-language-model",
        "output_transform": True,
        "pooler": False,
        "embedding_size": 6,
        "encoder_layers": 3,
        "distinct_layers": 2,
    },
    "replaced": {**READER, "head": "token-label", "labels": 2, "label_transform": True, "pooler": False},
    "pooled": {**READER, "head": "sequence-label", "labels": 3, "pooler_activation": "relu"},
    "weighted": {**READER, "head": "sequence-label", "labels": 3},
    "weighted-tags": {**READER, "head": "token-label", "labels": 3, "pooler": False},
    "neighbours": {**READER, "head": "masked-language-model", "pooler": False, "next_sentence": True},
    "last": {
        "stack": "decoder",
        "decoder_layers": 1,
        "head": "sequence-label",
        "labels": 2,
        "pooling": "last",
    },
}


def traces(config: TransformerConfig) -> list[Trace]:
    """A whole run, and for decoders one with a cache too."""
    model, ids = Transformer(config).eval(), torch.arange(6).reshape(2, 3)
    source = ids if config.stack != "decoder" else None
    target = ids if config.stack != "encoder" else None
    whole = Trace()
    model(source, target, trace=whole)
    if target is None or config.head != "language-model":
        return [whole]
    cached, cache = Trace(), Cache()
    memory = None if source is None else model.encode(source)
    model(target=ids[:, :2], memory=memory, cache=cache)
    model(target=ids[:, 2:], memory=memory, cache=cache, trace=cached)
    return [whole, cached]


WEIGHTS = {"weighted": [0.5, 2.0, 1.25], "weighted-tags": [0.5, 2.0, 1.25]}  # of each label
LOSSES = {  # of what a head gives: which loss, its labels for two texts of three tokens, over which axis, smoothed
    "masked": ("choice", [[1, -100, 2], [-100, 3, 4]], "V", 0.0),
    "halves": ("choice", [[1, 0, 2], [-100, 3, 4]], "V", 0.1),
    "tags": ("choice", [[1, -100, 2], [-100, 0, 2]], "L", 0.0),
    "weighted": ("choice", [2, 0], "V", 0.0),
    "weighted-tags": ("choice", [[1, -100, 2], [-100, 0, 2]], "L", 0.1),
    "neighbours": ("both", [[1, -100, 2], [-100, 3, 4]], "V", 0.0),
    "labels": ("choice", [2, 0], "V", 0.0),
    "any-labels": ("any", [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], "V", 0.0),
    "pooled": ("number", [[1.5, -2.0, 0.0], [0.0, 0.25, 3.0]], "V", 0.0),
    "span": ("span", [[0, 2], [1, 1]], "V", 0.0),
}


def with_loss(name: str) -> Trace:
    """A run and the loss of what is wanted of it."""
    config = TransformerConfig.from_dict({**SMALL, **CONFIGS[name]})
    model, ids, trace = Transformer(config).eval(), torch.arange(6).reshape(2, 3), Trace()
    target = None if config.stack == "encoder" else ids
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool)
    loss_of(name, model, ids, target, mask, trace)
    return trace


def loss_of(
    name: str, model: Transformer, source: Any, target: Any, mask: torch.Tensor, trace: Trace
) -> torch.Tensor:
    """The loss of one of these, both of two texts that may be neighbours."""
    kind, labels, over, smoothing = LOSSES[name]
    masks = {"target_mask": mask} if source is None else {"source_mask": mask}
    if kind == "both":
        with overheard(guess_of(model.head)) as guesses:
            logits = model(source, target, **masks, trace=trace)
        follows = torch.tensor([0, 1])
        steps = PretrainingLossSteps(ignored=-100)
        both: torch.Tensor = steps(logits, torch.tensor(labels), guesses[0], follows, trace)
        return both
    weights = torch.tensor(WEIGHTS[name]) if name in WEIGHTS else None
    loss = LossSteps(kind, ignored=-100, smoothing=smoothing, over=over, weights=weights)
    logits = model(source, target, **masks, trace=trace)
    made: torch.Tensor = loss(logits, torch.tensor(labels), mask if kind == "span" else None, trace)
    return made


ALL = {name: traces(TransformerConfig.from_dict({**SMALL, **config})) for name, config in CONFIGS.items()}
for name in LOSSES:
    ALL[name].append(with_loss(name))


def test_every_step_name_is_in_the_glossary() -> None:
    known = set(re.findall(r"`(\w+)`", GLOSSARY))
    used = {name.rsplit(".", 1)[-1] for made in ALL.values() for trace in made for name in trace}
    assert used <= known, f"not in the glossary: {sorted(used - known)}"


def test_every_axis_is_in_the_glossary() -> None:
    assert set(re.findall(r"^\| (\w) \|", GLOSSARY, re.MULTILINE)) == set(AXES)


def test_every_formula_is_used_and_written() -> None:
    used = {step.key for made in ALL.values() for trace in made for step in trace.values()}
    assert used == set(FORMULAS)
    for key, formula in FORMULAS.items():
        assert formula.says or key == "given", f"{key} lacks its sentence"


@pytest.mark.parametrize("name", CONFIGS)
def test_every_formula_gives_the_value(name: str) -> None:
    for trace in ALL[name]:
        verified = trace.verify()
        assert verified.max_error < 1e-12
        assert not verified.unchecked


@pytest.mark.parametrize("name", CONFIGS)
def test_no_gap_from_ids_to_the_last_output(name: str) -> None:
    for trace in ALL[name]:
        known = set(trace.parameters)
        for step in trace.values():
            assert set(step.inputs) <= known, f"{step.name} has an input that nothing made"
            known.add(step.name)


@pytest.mark.parametrize("name", CONFIGS)
def test_formulas_are_written_without_placeholders(name: str) -> None:
    for trace in ALL[name]:
        for step in trace.values():
            for text in (step.written, step.typeset):
                assert not re.search(r"<[a-z_]+>|\{\{", text), f"{step.name}: {text}"
