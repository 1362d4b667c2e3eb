"""The 2017 Transformer against torch.nn.Transformer, on ten random small configurations, float64."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glassformer.config import TransformerConfig
from glassformer.families.transformer import TRANSFORMER
from glassformer.model import Transformer
from glassformer.pretrained import load_transformer, save_transformer
from glassformer.weights import THIRDS, Rule, exported, imported, rule

from .harness import apart, padded, perturb

HEADS: dict[str, dict[str, Any]] = {
    "language-model": {"output_bias": True, "tied_output": False},
    "sequence-label": {"labels": 3, "pooling": "last", "pooler": True},
    "token-label": {"labels": 4},
    "answer-span": {},
    "hidden": {},
}


def torch_names(side: str) -> tuple[Rule, ...]:
    """How torch.nn.Transformer calls the weights of one stack."""
    theirs, ours = f"{side}.layers.{{i}}", f"{side}.layers.{{i}}"
    parts = [("self_attn", "self_attention")]
    if side == "decoder":
        parts.append(("multihead_attn", "cross_attention"))
    rules = []
    for number, (attention, part) in enumerate(parts, start=1):
        for kind in ("weight", "bias"):
            thirds = (f"{ours}.{part}.{each}.{kind}" for each in ("query", "key", "value"))
            rules.append(rule(f"{theirs}.{attention}.in_proj_{kind}", *thirds, reshape=THIRDS))
        rules.append(rule(f"{theirs}.{attention}.out_proj.*", f"{ours}.{part}.output.*"))
        rules.append(rule(f"{theirs}.norm{number}.*", f"{ours}.{part}_norm.*"))
    return (
        *rules,
        rule(f"{theirs}.linear1.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.linear2.*", f"{ours}.feed_forward.down.*"),
        rule(f"{theirs}.norm{len(parts) + 1}.*", f"{ours}.feed_forward_norm.*"),
        rule(f"{side}.norm.*", f"{side}.norm.*"),
    )


TORCH_NAMES = (rule("tokens.*", "tokens.*"), *torch_names("encoder"), *torch_names("decoder"))


def drawn(seed: int) -> TransformerConfig:
    """A small random configuration of the 2017 family."""
    chance = random.Random(seed)
    heads = chance.choice([1, 2, 3, 4])
    return TransformerConfig(
        stack="encoder-decoder",
        vocab_size=chance.randint(20, 60),
        d_model=heads * chance.choice([2, 4, 8]),
        heads=heads,
        d_ff=chance.randint(5, 40),
        encoder_layers=chance.randint(1, 3),
        decoder_layers=chance.randint(1, 3),
        norm_eps=chance.choice([1e-5, 1e-12, 1e-3]),
        norm_first=seed % 2 == 1,
        final_norm=seed % 4 in (1, 2),
        positions="sinusoidal",
        embedding_scale=True,
        activation=chance.choice(["relu", "gelu"]),
        dtype="float64",
    )


def reference(config: TransformerConfig) -> nn.Transformer:
    """The same in torch's own words."""
    layer: dict[str, Any] = {
        "d_model": config.d_model,
        "nhead": config.heads,
        "dim_feedforward": config.d_ff,
        "dropout": 0.0,
        "activation": config.activation,
        "layer_norm_eps": config.norm_eps,
        "batch_first": True,
        "norm_first": config.norm_first,
        "dtype": torch.float64,
    }

    def norm() -> nn.LayerNorm | None:
        return (
            nn.LayerNorm(config.d_model, config.norm_eps, dtype=torch.float64) if config.final_norm else None
        )

    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(**layer), config.encoder_layers, norm(), enable_nested_tensor=False
    )
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**layer), config.decoder_layers, norm())
    return nn.Transformer(
        config.d_model, config.heads, custom_encoder=encoder, custom_decoder=decoder, batch_first=True
    ).eval()


def embedded(table: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Section 3.4 and 3.5 of the paper, position by position, number by number."""
    d_model = table.shape[1]
    rows = table[ids] * math.sqrt(d_model)
    for text in range(ids.shape[0]):
        for place in range(ids.shape[1]):
            position = max(int(mask[text, : place + 1].sum()) - 1, 0)
            for i in range(0, d_model, 2):
                angle = position / 10_000 ** (i / d_model)
                rows[text, place, i] += math.sin(angle)
                rows[text, place, i + 1] += math.cos(angle)
    return rows


@torch.no_grad()
def compared(seed: int) -> float:
    """The largest difference between the two, over padded batches."""
    config = drawn(seed)
    theirs = reference(config)
    perturb(theirs, seed)
    table = torch.randn(config.vocab_size, config.d_model, generator=torch.Generator().manual_seed(seed))
    table = table.double()
    ours = Transformer(config).eval()
    shapes = {name: tuple(parameter.shape) for name, parameter in ours.named_parameters()}
    stored = {"tokens.weight": table, **theirs.state_dict()}
    ours.load_state_dict(imported(stored, shapes, TORCH_NAMES), strict=False)
    back = exported(dict(ours.named_parameters()), TORCH_NAMES)
    assert back.keys() == stored.keys()
    assert all(torch.equal(back[name], stored[name]) for name in stored)
    worst = 0.0
    for side in ("right", "left"):
        source = padded(config.vocab_size, 0, 0, seed, side)
        target = padded(config.vocab_size, 0, 0, seed + 100, "right", (5, 6, 2))
        hidden = theirs(
            embedded(table, source.ids, source.mask),
            embedded(table, target.ids, target.mask),
            tgt_mask=nn.Transformer.generate_square_subsequent_mask(target.ids.shape[1]).isinf(),
            src_key_padding_mask=~source.mask.bool(),
            memory_key_padding_mask=~source.mask.bool(),
            tgt_key_padding_mask=~target.mask.bool(),
        )
        found = ours(source.ids, target.ids, source_mask=source.mask, target_mask=target.mask)
        worst = max(worst, apart(hidden @ table.T, found, target))
    return worst


@pytest.mark.parametrize("seed", range(10))
def test_ours_equals_torchs(seed: int) -> None:
    assert compared(seed) <= 1e-10


@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_our_own_layout_keeps_every_bit(head: str, tmp_path: Path) -> None:
    config = TransformerConfig.from_dict({**drawn(2).to_dict(), "head": head, **HEADS[head]})
    model = Transformer(config).eval()
    perturb(model, 2)
    save_transformer(tmp_path, model)
    again = load_transformer(tmp_path)
    assert again.transformer.config == config
    source, target = padded(20, 0, 0, 1, "left"), padded(20, 0, 0, 2, "right")
    answers = [
        each(source.ids, target.ids, source_mask=source.mask, target_mask=target.mask)
        for each in (model, again.transformer)
    ]
    assert torch.equal(*answers)


@pytest.mark.parametrize(("name", "parameters"), [("base", 63e6), ("big", 214e6)])
def test_the_papers_sizes(name: str, parameters: float) -> None:
    """Table 3 counts 65 and 213 million, with a vocabulary of about 37,000."""
    config = TransformerConfig.from_dict({**TRANSFORMER.presets[name], "vocab_size": 37_000})
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Transformer(config).parameters())
    assert count == pytest.approx(parameters, rel=0.02)
