"""Token for token what transformers' generate writes: greedy and beam, one stack and a pair of them."""

import warnings
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.model import Transformer

VOCABULARY, PAD, LAYERS, LONGEST = 40, 2, 2, 9
ENDS = (1, 5, 9, 20)


def gpt2() -> tuple[Any, Transformer]:
    """A small random GPT-2, theirs and ours, with the same weights."""
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=16,
        n_layer=LAYERS,
        n_head=2,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=1,
    )
    theirs = shaken(transformers.GPT2LMHeadModel(config))
    ours = TransformerConfig(
        stack="decoder", vocab_size=VOCABULARY, d_model=16, heads=2, d_ff=64, decoder_layers=LAYERS,
        norm_first=True, final_norm=True, max_positions=64, activation="gelu-tanh",
    )  # fmt: skip
    names = {"transformer.wte": "tokens", "transformer.wpe": "decoder.embedding.positions"}
    names |= {"transformer.ln_f": "decoder.norm", "lm_head": "head.output"}
    for layer in range(LAYERS):
        names |= renamed(f"transformer.h.{layer}.", f"decoder.layers.{layer}.", {
            "ln_1": "self_attention_norm", "attn.c_proj": "self_attention.output",
            "ln_2": "feed_forward_norm", "mlp.c_fc": "feed_forward.up", "mlp.c_proj": "feed_forward.down",
        })  # fmt: skip
    weights = theirs.state_dict()
    for layer in range(LAYERS):
        for kind in ("weight", "bias"):
            thirds = weights.pop(f"transformer.h.{layer}.attn.c_attn.{kind}").chunk(3, dim=-1)
            for name, third in zip(("query", "key", "value"), thirds, strict=True):
                weights[f"decoder.layers.{layer}.self_attention.{name}.{kind}"] = (
                    third.T if third.ndim == 2 else third
                )
    turned = {key for key in weights if key.endswith(("c_proj.weight", "c_fc.weight"))}
    return theirs, filled(ours, {key: w.T if key in turned else w for key, w in weights.items()}, names)


def marian() -> tuple[Any, Transformer]:
    """A small random Marian, theirs and ours, with the same weights."""
    config = transformers.MarianConfig(
        vocab_size=VOCABULARY, d_model=16, encoder_layers=LAYERS, decoder_layers=LAYERS,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        activation_function="silu", scale_embedding=True, max_position_embeddings=64, pad_token_id=PAD,
        eos_token_id=1, bos_token_id=0, decoder_start_token_id=PAD, forced_eos_token_id=None,
    )  # fmt: skip
    theirs = shaken(transformers.MarianMTModel(config))
    ours = TransformerConfig(
        stack="encoder-decoder", vocab_size=VOCABULARY, d_model=16, heads=2, d_ff=32, encoder_layers=LAYERS,
        decoder_layers=LAYERS, positions="sinusoidal-halves", activation="silu", embedding_scale=True,
        output_bias=True,
    )  # fmt: skip
    names = {"model.shared": "tokens", "lm_head": "head.output"}
    for side in ("encoder", "decoder"):
        for layer in range(LAYERS):
            parts = {
                "fc1": "feed_forward.up",
                "fc2": "feed_forward.down",
                "final_layer_norm": "feed_forward_norm",
            }
            for short, long in (("self_attn", "self_attention"), ("encoder_attn", "cross_attention")):
                parts[f"{short}_layer_norm"] = f"{long}_norm"
                for one, part in (("q", "query"), ("k", "key"), ("v", "value"), ("out", "output")):
                    parts[f"{short}.{one}_proj"] = f"{long}.{part}"
            names |= renamed(f"model.{side}.layers.{layer}.", f"{side}.layers.{layer}.", parts)
    weights = {
        key: w
        for key, w in theirs.state_dict().items()
        if "embed_positions" not in key and "embed_tokens" not in key
    }
    weights["head.output.bias"] = weights.pop("final_logits_bias")[0]
    return theirs, filled(ours, weights, names)


def shaken(model: Any) -> Any:
    """Every parameter moved, so that no norm stays at one and no bias at zero."""
    for name, parameter in model.named_parameters():
        if "embed_positions" not in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model.eval()


def renamed(before: str, after: str, parts: dict[str, str]) -> dict[str, str]:
    return {before + theirs: after + ours for theirs, ours in parts.items()}


def filled(config: TransformerConfig, weights: dict[str, Tensor], names: dict[str, str]) -> Transformer:
    model = Transformer(config).eval()
    found = {}
    for key, tensor in weights.items():
        path, kind = key.rsplit(".", 1)
        found[f"{names.get(path, path)}.{kind}"] = tensor
    model.load_state_dict(found)
    return model


def generated(theirs: Any, ids: Tensor, mask: Tensor, options: Decoding, ends: tuple[int, ...]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return theirs.generate(
            ids, attention_mask=mask.long(), do_sample=False, num_beams=options.num_beams,
            max_new_tokens=options.max_new_tokens, length_penalty=options.length_penalty,
            early_stopping=options.early_stopping, num_return_sequences=options.num_return_sequences,
            eos_token_id=list(ends), pad_token_id=PAD, output_scores=True, return_dict_in_generate=True,
            repetition_penalty=float(options.repetition_penalty), min_new_tokens=options.min_new_tokens,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            bad_words_ids=[list(row) for row in options.bad_words_ids] or None,
        )  # fmt: skip


def padded(lengths: list[int], left: bool) -> tuple[Tensor, Tensor]:
    place = torch.arange(max(lengths))
    real = torch.stack([place >= max(lengths) - n if left else place < n for n in lengths])
    ids = torch.randint(3, VOCABULARY, real.shape)
    return ids.masked_fill(~real, PAD), real


OPTIONS = [
    Decoding(max_new_tokens=LONGEST),
    Decoding(max_new_tokens=LONGEST),
    *(
        Decoding(
            num_beams=5,
            num_return_sequences=3,
            max_new_tokens=LONGEST,
            length_penalty=penalty,
            early_stopping=stop,
        )
        for penalty in (1.0, 0.0, 2.0, -1.0)
        for stop in (False, True, "never")
    ),
]
RULES = Decoding(
    max_new_tokens=LONGEST,
    repetition_penalty=1.4,
    no_repeat_ngram_size=2,
    bad_words_ids=((PAD,), (3,), (8, 11), (12, 13)),
    min_new_tokens=4,
)
OPTIONS += [
    RULES,
    RULES.changed(repetition_penalty=0.7, no_repeat_ngram_size=3),
    *(RULES.changed(num_beams=beams, num_return_sequences=2, length_penalty=0.5) for beams in (2, 3, 4, 5)),
]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("make", [gpt2, marian])
def test_generate_writes_the_same_tokens(make: Any, seed: int) -> None:
    torch.manual_seed(seed)
    theirs, ours = make()
    prompted = make is gpt2
    ids, mask = padded([5, 3, 7, 2], left=prompted)
    if prompted:
        batch, given = Batch(target=ids, target_mask=mask), ids.shape[1]
    else:
        batch, given = Batch(source=ids, source_mask=mask, target=torch.full((len(ids), 1), PAD)), 1
    for number, options in enumerate(OPTIONS):
        ends = ENDS if number % 2 else ENDS[:1]
        expected = generated(theirs, ids, mask, options, ends)
        found = [one for each in search(ours, batch, options, ends=ends) for one in each]
        for one, row in zip(found, expected.sequences[:, given:].tolist(), strict=True):
            assert (*one.ids, *[PAD] * (len(row) - len(one.ids))) == tuple(row)
        if options.num_beams > 1:
            scores = [one.score for one in found]
            assert scores == pytest.approx(expected.sequences_scores.tolist(), abs=1e-4)
