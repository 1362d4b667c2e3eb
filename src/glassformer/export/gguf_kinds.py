"""The decoders that llama.cpp runs: what each is made of, its numbers and the names of its weights.

llama.cpp, by Gerganov and others; the names are those of its `gguf` package.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.export.program import Kind
from glassformer.nn.position import Rotary
from glassformer.weights import AS_IS, THIRDS, Reshape, Rule, pairs, rule

Value = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Decoder(Kind):
    """A kind of decoder, and what its file says beside its weights."""

    keys: Callable[[TransformerConfig], Mapping[str, Value]]


# ------------------------------------------------------------------ weights


def outside(config: TransformerConfig, norm: Reshape = AS_IS) -> tuple[Rule, ...]:
    """What stands around the layers; an output that is the tokens' own rows is not written again."""
    output = () if config.tied_output else (rule("output.weight", "head.output.weight"),)
    bias = (rule("output.bias", "head.output.bias"),) if config.output_bias else ()
    last = rule("output_norm.*", "decoder.norm.*", reshape=norm)
    return rule("token_embd.weight", "tokens.weight"), last, *output, *bias


def layers(
    query: Reshape = AS_IS, key: Reshape = AS_IS, fused: bool = False, norm: Reshape = AS_IS
) -> tuple[Rule, ...]:
    """One layer."""
    theirs, ours = "blk.{i}", "decoder.layers.{i}"
    own = ("query", query), ("key", key), ("value", AS_IS)
    attention = tuple(
        rule(f"{theirs}.attn_{part[0]}.*", f"{ours}.self_attention.{part}.*", reshape=reshape)
        for part, reshape in own
    )
    if fused:
        thirds = (f"{ours}.self_attention.{part}.*" for part, _ in own)
        attention = (rule(f"{theirs}.attn_qkv.*", *thirds, reshape=THIRDS),)
    return (
        *attention,
        rule(f"{theirs}.attn_norm.*", f"{ours}.self_attention_norm.*", reshape=norm),
        rule(f"{theirs}.attn_q_norm.*", f"{ours}.self_attention.query_norm.*"),
        rule(f"{theirs}.attn_k_norm.*", f"{ours}.self_attention.key_norm.*"),
        rule(f"{theirs}.attn_output.*", f"{ours}.self_attention.output.*"),
        rule(f"{theirs}.ffn_norm.*", f"{ours}.feed_forward_norm.*", reshape=norm),
        rule(f"{theirs}.ffn_gate.*", f"{ours}.feed_forward.gate.*"),
        rule(f"{theirs}.ffn_up.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.ffn_down.*", f"{ours}.feed_forward.down.*"),
    )


def gpt2_weights(config: TransformerConfig) -> tuple[Rule, ...]:
    """Query over key over value, and a table of positions."""
    table = rule("position_embd.weight", "decoder.embedding.positions.weight")
    return *outside(config), table, *layers(fused=True)


def gpt_neox_weights(config: TransformerConfig) -> tuple[Rule, ...]:
    """Query over key over value, all heads of each together; the output is always there."""
    again = (rule("output.weight", "tokens.weight", role="spare"),) if config.tied_output else ()
    return *outside(config), *again, *layers(fused=True)


def llama_weights(config: TransformerConfig) -> tuple[Rule, ...]:
    """Queries and keys turn in neighbouring pairs."""
    own = layers(pairs(config.heads), pairs(config.kv_heads or config.heads))
    return *outside(config), *own, rule("rope_freqs.weight", "rope_freqs")


def qwen2_weights(config: TransformerConfig) -> tuple[Rule, ...]:
    """Queries and keys turn in halves, as ours."""
    return *outside(config), *layers()


FROM_ONE = Reshape(  # norms that stretch by one plus what is learned are stored as what they stretch by
    ours=lambda w: (w - 1.0,), theirs=lambda pieces: pieces[0] + 1.0
)


def gemma_weights(config: TransformerConfig) -> tuple[Rule, ...]:
    """As Qwen 2, but for the norms."""
    return *outside(config, FROM_ONE), *layers(norm=FROM_ONE)


def phi2_weights(config: TransformerConfig) -> tuple[Rule, ...]:
    """Query over key over value; the output is always there."""
    again = (rule("output.weight", "tokens.weight", role="spare"),) if config.tied_output else ()
    return *outside(config), *again, *layers(fused=True)


# ------------------------------------------------------------------ numbers


def sizes(config: TransformerConfig) -> dict[str, Value]:
    """What every decoder says. A window is kept by never being left: the text may be as long as it, and no longer."""
    return {
        "vocab_size": config.vocab_size,
        "context_length": min(config.max_positions, config.window or config.max_positions),
        "embedding_length": config.d_model,
        "block_count": config.decoder_layers,
        "feed_forward_length": config.d_ff,
        "attention.head_count": config.heads,
    }


def turning(config: TransformerConfig) -> dict[str, Value]:
    """How positions turn; turns that are not all slowed alike are a tensor of their own."""
    said: dict[str, Value] = {
        "rope.dimension_count": config.rotary_size or config.size_of_head,
        "rope.freq_base": float(config.rotary_base),
    }
    if config.rotary_stretch != 1.0 and config.rotary_stretch_length is None:
        said |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(config.rotary_stretch)}
    return said


def gpt2_keys(config: TransformerConfig) -> dict[str, Value]:
    """Sizes and the norm."""
    return {**sizes(config), "attention.layer_norm_epsilon": float(config.norm_eps)}


def gpt_neox_keys(config: TransformerConfig) -> dict[str, Value]:
    """The same, turns, and whether both sub-layers read the same row."""
    own: dict[str, Value] = {"use_parallel_residual": config.parallel_residual}
    return {**gpt2_keys(config), **turning(config), **own}


def llama_keys(config: TransformerConfig) -> dict[str, Value]:
    """Sizes, turns, heads that share keys, the norm."""
    return {
        **sizes(config),
        **turning(config),
        "attention.head_count_kv": config.kv_heads or config.heads,
        "attention.key_length": config.size_of_head,
        "attention.value_length": config.size_of_head,
        "attention.layer_norm_rms_epsilon": float(config.norm_eps),
    }


def phi2_keys(config: TransformerConfig) -> dict[str, Value]:
    """Sizes, turns, heads that share keys, the norm."""
    own: dict[str, Value] = {"attention.head_count_kv": config.kv_heads or config.heads}
    return {**sizes(config), **turning(config), **own, "attention.layer_norm_epsilon": float(config.norm_eps)}


def slowness(config: TransformerConfig) -> dict[str, Tensor]:
    """How many times slower each turn is, where not all are slowed alike: computed here, stored there."""
    if config.rotary_stretch == 1.0 or config.rotary_stretch_length is None:
        return {}
    return {"rope_freqs": 1.0 / Rotary(config).speeds(torch.device("cpu"))}


# ------------------------------------------------------------------ the kinds

WRITER = {"stack": "decoder", "head": "language-model", "norm_first": True, "final_norm": True}
LLAMA = {**WRITER, "norm": "rms", "positions": "rotary", "gated": True, "activation": "silu"}
TURNS = {"rotary_base", "rotary_stretch"}
UNEVEN = {"rotary_stretch_length", "rotary_stretch_low", "rotary_stretch_high"}
BIASES = {"attention_bias", "attention_output_bias", "feed_forward_bias"}

KINDS = (  # of two that fit, the first
    Decoder(
        name="gpt2",
        known_as="GPT-2",
        fields={**WRITER, "norm": "layer", "positions": "learned", "activation": ("gelu-tanh", "gelu")},
        rules=gpt2_weights,
        keys=gpt2_keys,
    ),
    Decoder(
        name="gptneox",
        known_as="GPT-NeoX",
        fields={**WRITER, "norm": "layer", "positions": "rotary", "activation": ("gelu", "gelu-tanh")},
        free=frozenset({*TURNS, "rotary_size", "parallel_residual"}),
        rules=gpt_neox_weights,
        keys=gpt_neox_keys,
    ),
    Decoder(
        name="qwen2",
        known_as="Qwen 2",
        fields={
            **LLAMA,
            "attention_bias": True,
            "attention_output_bias": False,
            "feed_forward_bias": False,
        },
        free=frozenset({"kv_heads", *TURNS}),
        rules=qwen2_weights,
        keys=llama_keys,
    ),
    Decoder(
        name="qwen3",
        known_as="Qwen 3",
        fields={**LLAMA, "head_norm": True, "attention_bias": False, "feed_forward_bias": False},
        free=frozenset({"kv_heads", "head_size", *TURNS}),
        rules=qwen2_weights,
        keys=llama_keys,
    ),
    Decoder(
        name="gemma",
        known_as="Gemma",
        fields={
            **LLAMA,
            "norm": "rms-from-one",
            "activation": "gelu-tanh",
            "embedding_scale": True,
            "attention_bias": False,
            "feed_forward_bias": False,
        },
        free=frozenset({"kv_heads", "head_size", *TURNS}),
        rules=gemma_weights,
        keys=llama_keys,
    ),
    Decoder(
        name="phi2",
        known_as="Phi 2",
        fields={
            **WRITER,
            "norm": "layer",
            "positions": "rotary",
            "activation": "gelu-tanh",
            "parallel_residual": True,
            "one_norm": True,
            "output_bias": True,
        },
        free=frozenset({*TURNS, "rotary_size"}),
        rules=phi2_weights,
        keys=phi2_keys,
    ),
    Decoder(
        name="llama",
        known_as="Llama and Mistral",
        fields=LLAMA,
        free=frozenset({"kv_heads", "head_size", *TURNS, *UNEVEN, *BIASES, "window"}),
        rules=llama_weights,
        keys=llama_keys,
    ),
)
