"""Llama, of the second and third generation; SmolLM and TinyLlama are written the same.

Touvron et al. 2023, "Llama 2"; Grattafiori et al. 2024, "The Llama 3 Herd of Models". `transformers` computes norms and
turns in float32 whatever the model is: there the two agree to 1e-5; with these raised to float64, to 1e-10.
"""

from collections.abc import Callable

from glassformer.config import TransformerConfig
from glassformer.families import heads, rotary
from glassformer.families.family import ACTIVATIONS, Architecture, Family, Fields, Key, Raw
from glassformer.weights import Rule, rule

KEYS = (
    Key("vocab_size", 32000, "vocab_size"),
    Key("hidden_size", 4096, "d_model"),
    Key("num_attention_heads", 32, "heads"),
    Key("num_key_value_heads", None, "kv_heads", nullable=True),
    Key("head_dim", nullable=True),
    Key("intermediate_size", 11008, "d_ff"),
    Key("num_hidden_layers", 32, "decoder_layers"),
    Key("max_position_embeddings", 2048, "max_positions"),
    Key("hidden_act", "silu", "activation", ACTIVATIONS),
    Key("rms_norm_eps", 1e-6, "norm_eps"),
    Key("attention_bias", False, "attention_bias"),
    Key("mlp_bias", False, "feed_forward_bias"),
    Key("attention_dropout", 0.0, "attention_dropout"),
    Key("initializer_range", 0.02, "initialization_std"),
    Key("tie_word_embeddings", False, "tied_output"),
    *rotary.KEYS,
)
FIELDS: Fields = {
    "stack": "decoder",
    "norm": "rms",
    "norm_first": True,
    "final_norm": True,
    "positions": "rotary",
    "gated": True,
    "initialization": "normal",
}


def derive(raw: Raw, share: float = 1.0) -> Fields:
    """How positions turn, and the size of a head where it is not what divides the model; `share` of it turns."""
    usual = raw["hidden_size"] == raw["num_attention_heads"] * (raw["head_dim"] or 0)
    return {"head_size": None if usual else raw["head_dim"], **rotary.read(raw, share)}


def restore(config: TransformerConfig) -> Raw:
    """The same keys again."""
    return {"head_dim": config.size_of_head, **rotary.written(config)}


def body(spans: str) -> Callable[[TransformerConfig], tuple[Rule, ...]]:
    """The names of embedding and layers; `spans` is the prefix of models that find answers."""

    def names(config: TransformerConfig) -> tuple[Rule, ...]:
        prefix = f"[{spans if config.head == 'answer-span' else 'model'}.]"
        theirs, ours = f"{prefix}layers.{{i}}", "decoder.layers.{i}"
        return (
            rule(f"{prefix}embed_tokens.*", "tokens.*"),
            rule(f"{theirs}.input_layernorm.*", f"{ours}.self_attention_norm.*"),
            rule(f"{theirs}.self_attn.q_proj.*", f"{ours}.self_attention.query.*"),
            rule(f"{theirs}.self_attn.k_proj.*", f"{ours}.self_attention.key.*"),
            rule(f"{theirs}.self_attn.v_proj.*", f"{ours}.self_attention.value.*"),
            rule(f"{theirs}.self_attn.o_proj.*", f"{ours}.self_attention.output.*"),
            rule(f"{theirs}.self_attn.rotary_emb.inv_freq"),  # computed
            rule(f"{theirs}.post_attention_layernorm.*", f"{ours}.feed_forward_norm.*"),
            rule(f"{theirs}.mlp.gate_proj.*", f"{ours}.feed_forward.gate.*"),
            rule(f"{theirs}.mlp.up_proj.*", f"{ours}.feed_forward.up.*"),
            rule(f"{theirs}.mlp.down_proj.*", f"{ours}.feed_forward.down.*"),
            rule(f"{prefix}norm.*", "decoder.norm.*"),
        )

    return names


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """The vocabulary, by a map of its own or by the tokens' own rows."""
    if config.tied_output:
        return (rule("lm_head.weight", "tokens.weight", role="tied"),)
    return (rule("lm_head.weight", "head.output.weight"),)


SCORE = (rule("score.*", "head.output.*"),)


def classes(name: str) -> dict[str, Architecture]:
    """The classes of such a family, by their names in it."""
    return {
        f"{name}ForCausalLM": Architecture(fields={"head": "language-model"}, rules=language),
        f"{name}ForSequenceClassification": Architecture(
            fields={"head": "sequence-label", "pooling": "last", "label_bias": False},
            rules=lambda config: SCORE,
        ),
        f"{name}ForTokenClassification": Architecture(
            fields={"head": "token-label"}, rules=lambda config: SCORE
        ),
        f"{name}ForQuestionAnswering": Architecture(
            fields={"head": "answer-span"}, rules=lambda config: heads.SPAN
        ),
        f"{name}Model": Architecture(fields={"head": "hidden"}, bare=True),
    }


LLAMA = Family(
    model_type="llama",
    source="Llama 2 and 3, Touvron et al. 2023, Grattafiori et al. 2024",
    keys=KEYS,
    fields=FIELDS,
    derive=derive,
    restore=restore,
    rules=body("transformer"),
    architectures=classes("Llama"),
)
