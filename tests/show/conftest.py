"""Traces to show: the worked example, and small models that between them use every formula."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch

from glassformer.config import TransformerConfig
from glassformer.glass.names import Names
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.heads import guess_of
from glassformer.nn.loss import LossSteps, PretrainingLossSteps, overheard
from glassformer.show.labels import names_of
from glassformer.tasks.model import load


@dataclass(frozen=True)
class Shown:
    """A trace and what its rows and columns are called."""

    trace: Trace
    names: Names


@pytest.fixture(scope="session")
def worked() -> Shown:
    model = load("worked-example")
    return Shown(model.trace("I love data science"), names_of(model, "worked-example"))


SMALL = {"d_model": 8, "heads": 2, "d_ff": 12, "dtype": "float64", "vocab_size": 40}
BERT = {
    **SMALL,
    "stack": "encoder",
    "encoder_layers": 2,
    "embedding_norm": True,
    "segments": 2,
    "max_positions": 9,
    "position_offset": 2,
}
CONFIGS = {
    "masked": {**BERT, "head": "masked-language-model", "output_transform": True, "output_bias": True},
    "label": {**BERT, "head": "sequence-label", "labels": 3, "pooler": True},
    "weighted": {**BERT, "head": "sequence-label", "labels": 3, "pooler": True},
    "weighted-smoothed": {**BERT, "head": "sequence-label", "labels": 3, "pooler": True},
    "neighbours": {**BERT, "head": "masked-language-model", "next_sentence": True},
    "last": {**BERT, "head": "sequence-label", "labels": 3, "pooling": "last"},
    "any": {**BERT, "head": "sequence-label", "labels": 3, "label_choice": "any"},
    "token": {**BERT, "head": "token-label", "labels": 3},
    "span": {**BERT, "head": "answer-span"},
    "hidden": {**BERT, "head": "hidden"},
    "decoder": {
        **SMALL,
        "stack": "decoder",
        "decoder_layers": 2,
        "norm_first": True,
        "final_norm": True,
        "activation": "gelu-tanh",
    },
    "rotary": {
        **SMALL,
        "stack": "decoder",
        "decoder_layers": 2,
        "norm": "rms",
        "norm_first": True,
        "positions": "rotary",
        "heads": 4,
        "kv_heads": 2,
        "activation": "silu",
        "gated": True,
        "attention_bias": False,
        "feed_forward_bias": False,
    },
    "relative": {
        **SMALL,
        "stack": "encoder-decoder",
        "encoder_layers": 1,
        "decoder_layers": 1,
        "norm": "rms",
        "norm_first": True,
        "positions": "relative",
        "attention_scale": False,
        "attention_bias": False,
        "output_scale": True,
    },
    "slow": {
        **SMALL,
        "stack": "decoder",
        "decoder_layers": 2,
        "norm_first": True,
        "parallel_residual": True,
        "one_norm": True,
        "positions": "rotary",
        "rotary_stretch": 8.0,
        "rotary_stretch_length": 4,
        "window": 3,
        "windowed_layers": (1,),
    },
    "from-one": {
        **SMALL,
        "stack": "decoder",
        "decoder_layers": 1,
        "positions": "rotary",
        "norm_first": True,
        "norm": "rms-from-one",
        "head_norm": True,
    },
    "part": {
        **SMALL,
        "stack": "decoder",
        "decoder_layers": 1,
        "positions": "rotary",
        "rotary_size": 2,
    },
    "narrow": {**BERT, "head": "token-label", "labels": 2, "embedding_size": 4, "label_transform": True},
    "inclusive": {
        **SMALL,
        "stack": "encoder-decoder",
        "encoder_layers": 1,
        "decoder_layers": 1,
        "positions": "sinusoidal-halves-inclusive",
        "position_offset": 2,
    },
    "halves": {
        **SMALL,
        "stack": "encoder-decoder",
        "encoder_layers": 2,
        "decoder_layers": 2,
        "positions": "sinusoidal-halves",
        "embedding_scale": True,
        "activation": "silu",
    },
}
LOSSES = {  # of the model's answer: which loss, what is wanted, smoothed
    "masked": ("choice", [[3, -100, 7, -100, -100, -100]], "V", 0.0),
    "decoder": ("choice", [[-100, 4, 39, 0, 1]], "V", 0.1),
    "token": ("choice", [[0, 2, 1, -100, 1, -100]], "L", 0.1),
    "label": ("choice", [2], "L", 0.0),
    "weighted": ("choice", [2], "L", 0.0),
    "weighted-smoothed": ("choice", [1], "L", 0.1),
    "last": ("number", [[0.5, -1.5, 2.0]], "L", 0.0),
    "any": ("any", [[1.0, 0.0, 1.0]], "L", 0.0),
    "span": ("span", [[1, 4]], "L", 0.0),
}
Make = Callable[[str], Shown]


@pytest.fixture(scope="session")
def make() -> Make:
    """The trace of a small random model, every parameter perturbed, with padding where there is a source."""

    @cache
    def make(name: str) -> Shown:
        torch.manual_seed(7)
        config = TransformerConfig(**CONFIGS[name])
        model = Transformer(config).eval()
        trace = Trace()
        source, target = torch.randint(0, 40, (1, 6)), torch.randint(0, 40, (1, 5))
        mask = torch.tensor([[1, 1, 1, 1, 1, 0]])
        given = {"source": source, "source_mask": mask} if "encoder" in config.stack else {}
        if "decoder" in config.stack:
            given["target"] = target
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
            if name == "neighbours":
                with overheard(guess_of(model.head)) as guesses:
                    logits = model(**given, trace=trace)
                labels, follows = torch.tensor([[3, -100, 7, -100, -100, -100]]), torch.tensor([1])
                PretrainingLossSteps(ignored=-100)(logits, labels, guesses[0], follows, trace)
            else:
                logits = model(**given, trace=trace)
            if name in LOSSES:
                kind, wanted, over, smoothing = LOSSES[name]
                weights = torch.tensor([0.5, 1.5, 2.5]) if "weighted" in name else None
                loss = LossSteps(kind, ignored=-100, smoothing=smoothing, over=over, weights=weights)
                loss(logits, torch.tensor(wanted), mask if kind == "span" else None, trace)
        trace.tokens = {
            side: [[f"{side[0]}{place}" for place in range(count)]]
            for side, count in (("encoder", 6), ("decoder", 5))
            if side in config.stack
        }
        trace.answer = "an answer"
        return Shown(trace, Names(model=name, word=lambda number: f"word{number}", labels=("A", "B", "C")))

    return make
