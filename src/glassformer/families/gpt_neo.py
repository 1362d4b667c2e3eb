"""GPT-Neo: GPT-2 whose every second layer looks back only so far, and whose scores are not scaled. Black et al. 2021.

`transformers` computes scores in float32 whatever the model is: there the two agree to 1e-5; with these raised to
float64, to 1e-10.
"""

from glassformer.config import TransformerConfig
from glassformer.families import heads, llama
from glassformer.families.family import ACTIVATIONS, Architecture, Family, Fields, Key, Raw, refusal
from glassformer.weights import Rule, rule

KEYS = (
    Key("vocab_size", 50257, "vocab_size"),
    Key("hidden_size", 2048, "d_model"),
    Key("num_heads", 16, "heads"),
    Key("intermediate_size"),
    Key("num_layers", 24, "decoder_layers"),
    Key("max_position_embeddings", 2048, "max_positions"),
    Key("attention_types", [[["global", "local"], 12]]),
    Key("window_size", 256),
    Key("activation_function", "gelu_new", "activation", ACTIVATIONS),
    Key("layer_norm_epsilon", 1e-5, "norm_eps"),
    Key("resid_dropout", 0.0, "dropout"),
    Key("attention_dropout", 0.0, "attention_dropout"),
    Key("initializer_range", 0.02, "initialization_std"),
    Key("tie_word_embeddings", True, "tied_output"),
)
KINDS = {False: "global", True: "local"}


def derive(raw: Raw) -> Fields:
    """Which layers look back only so far; the wide layer is four times as wide, unless told otherwise."""
    kinds = [kind for group, times in raw["attention_types"] for kind in group * times]
    if len(kinds) != raw["num_layers"] or set(kinds) - set(KINDS.values()):
        raise refusal("attention_types", raw["attention_types"], "'global' or 'local' for every layer")
    near = tuple(layer for layer, kind in enumerate(kinds) if kind == KINDS[True])
    windowed = {"window": raw["window_size"], "windowed_layers": near if len(near) < len(kinds) else None}
    return {"d_ff": raw["intermediate_size"] or 4 * raw["hidden_size"], **(windowed if near else {})}


def restore(config: TransformerConfig) -> Raw:
    """The same keys again, and the dropout of the embedding, for which we have the residual's."""
    kinds = [KINDS[layer in config.near_layers] for layer in range(config.decoder_layers)]
    window = {} if config.window is None else {"window_size": config.window}
    said = {"intermediate_size": config.d_ff, "embed_dropout": config.dropout}
    return {**said, **window, "attention_types": [[kinds, 1]], "attention_layers": kinds}


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """GPT-2's names, its maps one by one."""
    theirs, ours = "[transformer.]h.{i}", "decoder.layers.{i}"
    attention = f"{theirs}.attn.attention"
    return (
        rule("[transformer.]wte.*", "tokens.*"),
        rule("[transformer.]wpe.*", "decoder.embedding.positions.*"),
        rule(f"{theirs}.ln_1.*", f"{ours}.self_attention_norm.*"),
        rule(f"{attention}.q_proj.*", f"{ours}.self_attention.query.*"),
        rule(f"{attention}.k_proj.*", f"{ours}.self_attention.key.*"),
        rule(f"{attention}.v_proj.*", f"{ours}.self_attention.value.*"),
        rule(f"{attention}.out_proj.*", f"{ours}.self_attention.output.*"),
        rule(f"{attention}.bias"),  # the mask that hides the future, stored by old files
        rule(f"{attention}.masked_bias"),
        rule(f"{theirs}.ln_2.*", f"{ours}.feed_forward_norm.*"),
        rule(f"{theirs}.mlp.c_fc.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.mlp.c_proj.*", f"{ours}.feed_forward.down.*"),
        rule("[transformer.]ln_f.*", "decoder.norm.*"),
    )


CLASSES = llama.classes("GPTNeo")
GPT_NEO = Family(
    model_type="gpt_neo",
    source="GPT-Neo, Black et al. 2021",
    keys=KEYS,
    fields={
        "stack": "decoder",
        "norm": "layer",
        "norm_first": True,
        "final_norm": True,
        "positions": "learned",
        "attention_bias": False,
        "attention_output_bias": True,
        "attention_scale": False,
        "initialization": "normal",
    },
    derive=derive,
    restore=restore,
    rules=body,
    architectures={
        **CLASSES,
        "GPTNeoForTokenClassification": Architecture(
            fields={"head": "token-label"}, rules=lambda config: heads.LABELS
        ),
    },
)
