"""Phi 1, 1.5 and 2: both sub-layers read the same row through one norm, and a part of each head turns.

Gunasekar et al. 2023, "Textbooks Are All You Need"; Li et al. 2023. `transformers` computes turns in float32 whatever
the model is: there the two agree to 1e-5; with these raised to float64, to 1e-10.
"""

from glassformer.config import TransformerConfig
from glassformer.families import llama, rotary
from glassformer.families.family import ACTIVATIONS, Architecture, Family, Fields, Key, Raw
from glassformer.weights import Rule, rule

KEYS = (
    Key("vocab_size", 51200, "vocab_size"),
    Key("hidden_size", 2048, "d_model"),
    Key("num_attention_heads", 32, "heads"),
    Key("num_key_value_heads", None, "kv_heads", nullable=True),
    Key("intermediate_size", 8192, "d_ff"),
    Key("num_hidden_layers", 24, "decoder_layers"),
    Key("max_position_embeddings", 2048, "max_positions"),
    Key("hidden_act", "gelu_new", "activation", ACTIVATIONS),
    Key("layer_norm_eps", 1e-5, "norm_eps"),
    Key("qk_layernorm", False, "head_norm"),
    Key("resid_pdrop", 0.0, "dropout"),
    Key("attention_dropout", 0.0, "attention_dropout"),
    Key("initializer_range", 0.02, "initialization_std"),
    Key("tie_word_embeddings", False, "tied_output"),
    Key("partial_rotary_factor", 0.5),
    *rotary.KEYS,
)


def derive(raw: Raw) -> Fields:
    """How positions turn."""
    return rotary.read(raw, share=raw["partial_rotary_factor"])


def restore(config: TransformerConfig) -> Raw:
    """The same keys again, and the dropout of the embedding, for which we have the residual's."""
    share = (config.rotary_size or config.size_of_head) / config.size_of_head
    return {**rotary.written(config), "partial_rotary_factor": share, "embd_pdrop": config.dropout}


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """The names of embedding and layers."""
    theirs, ours = "[model.]layers.{i}", "decoder.layers.{i}"
    return (
        rule("[model.]embed_tokens.*", "tokens.*"),
        rule(f"{theirs}.input_layernorm.*", f"{ours}.self_attention_norm.*"),
        rule(f"{theirs}.self_attn.q_proj.*", f"{ours}.self_attention.query.*"),
        rule(f"{theirs}.self_attn.k_proj.*", f"{ours}.self_attention.key.*"),
        rule(f"{theirs}.self_attn.v_proj.*", f"{ours}.self_attention.value.*"),
        rule(f"{theirs}.self_attn.dense.*", f"{ours}.self_attention.output.*"),
        rule(f"{theirs}.self_attn.q_layernorm.*", f"{ours}.self_attention.query_norm.*"),
        rule(f"{theirs}.self_attn.k_layernorm.*", f"{ours}.self_attention.key_norm.*"),
        rule(f"{theirs}.self_attn.rotary_emb.inv_freq"),  # computed
        rule(f"{theirs}.mlp.fc1.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.mlp.fc2.*", f"{ours}.feed_forward.down.*"),
        rule("[model.]final_layernorm.*", "decoder.norm.*"),
    )


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """The vocabulary, by a map of its own or by the tokens' own rows; a bias either way."""
    if config.tied_output:
        bias = rule("lm_head.bias", "head.output.bias")
        return rule("lm_head.weight", "tokens.weight", role="tied"), bias
    return (rule("lm_head.*", "head.output.*"),)


CLASSES = llama.classes("Phi")

PHI = Family(
    model_type="phi",
    source="Phi 1, 1.5 and 2, Gunasekar et al. 2023",
    keys=KEYS,
    fields={
        "stack": "decoder",
        "norm": "layer",
        "norm_first": True,
        "final_norm": True,
        "parallel_residual": True,
        "one_norm": True,
        "positions": "rotary",
        "initialization": "normal",
    },
    derive=derive,
    restore=restore,
    rules=body,
    architectures={
        **{name: each for name, each in CLASSES.items() if "Answering" not in name},
        "PhiForCausalLM": Architecture(
            fields={"head": "language-model", "output_bias": True}, rules=language
        ),
    },
)
