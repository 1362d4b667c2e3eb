"""Phi 3 and 4: Llama whose maps are stored together. Abdin et al. 2024, "Phi-3 Technical Report".

`transformers` computes norms and turns in float32 whatever the model is: there the two agree to 1e-5; with these raised
to float64, to 1e-10.
"""

import torch

from glassformer.config import TransformerConfig
from glassformer.families import llama
from glassformer.families.family import Family, Key, Raw
from glassformer.weights import Reshape, Rule, rule

OWN = {
    "vocab_size": Key("vocab_size", 32064, "vocab_size"),
    "hidden_size": Key("hidden_size", 3072, "d_model"),
    "intermediate_size": Key("intermediate_size", 8192, "d_ff"),
    "max_position_embeddings": Key("max_position_embeddings", 4096, "max_positions"),
    "rms_norm_eps": Key("rms_norm_eps", 1e-5, "norm_eps"),
    "sliding_window": Key("sliding_window", None, "window", nullable=True),
    "resid_pdrop": Key("resid_pdrop", 0.0, "dropout"),
    "partial_rotary_factor": Key("partial_rotary_factor", 1.0),
}
LEFT_OUT = ("attention_bias", "mlp_bias", "head_dim")  # not for a configuration to say


def derive(raw: Raw) -> Raw:
    """How positions turn, and what of a head does."""
    return llama.derive({**raw, "head_dim": None}, share=raw["partial_rotary_factor"])


def restore(config: TransformerConfig) -> Raw:
    """The same keys again, and the dropout of the embedding, for which we have the residual's."""
    share = (config.rotary_size or config.size_of_head) / config.size_of_head
    said = {key: value for key, value in llama.restore(config).items() if key not in LEFT_OUT}
    return {**said, "partial_rotary_factor": share, "embd_pdrop": config.dropout}


def over(*shares: int) -> Reshape:
    """One map over the other, their rows in these proportions."""
    return Reshape(
        ours=lambda w: torch.split(w, [len(w) * share // sum(shares) for share in shares]),
        theirs=lambda pieces: torch.cat([*pieces]),
    )


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """Llama's names but for the maps that are stored together."""
    theirs, ours = "[model.]layers.{i}", "decoder.layers.{i}"
    attention = (f"{ours}.self_attention.{part}.*" for part in ("query", "key", "value"))
    wide = (f"{ours}.feed_forward.{part}.*" for part in ("gate", "up"))
    groups = config.kv_heads or config.heads
    fused = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
    return (
        *(each for each in llama.body("model")(config) if not any(part in each.theirs for part in fused)),
        rule(f"{theirs}.self_attn.qkv_proj.*", *attention, reshape=over(config.heads, groups, groups)),
        rule(f"{theirs}.mlp.gate_up_proj.*", *wide, reshape=over(1, 1)),
    )


PHI3 = Family(
    model_type="phi3",
    source="Phi 3 and 4, Abdin et al. 2024",
    keys=(*(key for key in llama.KEYS if key.theirs not in (*OWN, *LEFT_OUT)), *OWN.values()),
    fields={**llama.FIELDS, "attention_bias": False, "feed_forward_bias": False},
    derive=derive,
    restore=restore,
    rules=body,
    architectures={name: each for name, each in llama.classes("Phi3").items() if "Answering" not in name},
)
