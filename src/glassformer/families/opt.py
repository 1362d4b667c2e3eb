"""OPT. Zhang et al. 2022, "OPT: Open Pre-trained Transformer Language Models".

Its 350m checkpoint is refused: its tables are narrower than the model, and mapped to it before positions are added.
"""

from glassformer.config import TransformerConfig
from glassformer.families import heads
from glassformer.families.family import ACTIVATIONS, Architecture, Family, Fields, Key, Raw, fixed, refusal
from glassformer.weights import Rule, rule

KEYS = (
    Key("vocab_size", 50272, "vocab_size"),
    Key("hidden_size", 768, "d_model"),
    Key("num_attention_heads", 12, "heads"),
    Key("ffn_dim", 3072, "d_ff"),
    Key("num_hidden_layers", 12, "decoder_layers"),
    Key("max_position_embeddings", 2048, "max_positions"),
    Key("activation_function", "relu", "activation", ACTIVATIONS),
    Key("do_layer_norm_before", True, "norm_first"),
    Key("_remove_final_layer_norm", False),
    Key("word_embed_proj_dim"),
    Key("enable_bias", True),
    Key("dropout", 0.1, "dropout"),
    Key("attention_dropout", 0.0, "attention_dropout"),
    Key("init_std", 0.02, "initialization_std"),
    Key("tie_word_embeddings", True, "tied_output"),
    fixed("layer_norm_elementwise_affine", True),
)


def derive(raw: Raw) -> Fields:
    """A last norm where norms stand first; one choice of biases for all maps of a layer."""
    if raw["word_embed_proj_dim"] not in (None, raw["hidden_size"]):
        raise refusal("word_embed_proj_dim", raw["word_embed_proj_dim"], "equal to hidden_size")
    return {
        "final_norm": raw["do_layer_norm_before"] and not raw["_remove_final_layer_norm"],
        "attention_bias": raw["enable_bias"],
        "feed_forward_bias": raw["enable_bias"],
    }


def restore(config: TransformerConfig) -> Raw:
    """The same keys again."""
    return {
        "_remove_final_layer_norm": config.norm_first and not config.final_norm,
        "word_embed_proj_dim": config.d_model,
        "enable_bias": config.attention_bias,
    }


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """The names of embedding and layers."""
    theirs, ours = "[model.]decoder", "decoder"
    layer, part = f"{theirs}.layers.{{i}}", f"{ours}.layers.{{i}}"
    return (
        rule(f"{theirs}.embed_tokens.*", "tokens.*"),
        rule(f"{theirs}.embed_positions.*", f"{ours}.embedding.positions.*"),
        rule(f"{layer}.self_attn.q_proj.*", f"{part}.self_attention.query.*"),
        rule(f"{layer}.self_attn.k_proj.*", f"{part}.self_attention.key.*"),
        rule(f"{layer}.self_attn.v_proj.*", f"{part}.self_attention.value.*"),
        rule(f"{layer}.self_attn.out_proj.*", f"{part}.self_attention.output.*"),
        rule(f"{layer}.self_attn_layer_norm.*", f"{part}.self_attention_norm.*"),
        rule(f"{layer}.fc1.*", f"{part}.feed_forward.up.*"),
        rule(f"{layer}.fc2.*", f"{part}.feed_forward.down.*"),
        rule(f"{layer}.final_layer_norm.*", f"{part}.feed_forward_norm.*"),
        rule(f"{theirs}.final_layer_norm.*", f"{ours}.norm.*"),
    )


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """The vocabulary, by the tokens' own rows or by a map of its own."""
    if config.tied_output:
        return (rule("lm_head.weight", "tokens.weight", role="tied"),)
    return (rule("lm_head.weight", "head.output.weight"),)


OPT = Family(
    model_type="opt",
    source="OPT, Zhang et al. 2022",
    keys=KEYS,
    fields={
        "stack": "decoder",
        "norm": "layer",
        "norm_eps": 1e-5,
        "positions": "learned",
        "position_offset": 2,
        "initialization": "normal",
    },
    derive=derive,
    restore=restore,
    rules=body,
    architectures={
        "OPTForCausalLM": Architecture(fields={"head": "language-model"}, rules=language),
        "OPTForSequenceClassification": Architecture(
            fields={"head": "sequence-label", "pooling": "last", "label_bias": False},
            rules=lambda config: (rule("score.*", "head.output.*"),),
        ),
        "OPTForQuestionAnswering": Architecture(
            fields={"head": "answer-span"}, rules=lambda config: heads.SPAN
        ),
        "OPTModel": Architecture(fields={"head": "hidden"}, bare=True),
    },
)
