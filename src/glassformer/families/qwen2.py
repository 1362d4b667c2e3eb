"""Qwen 2 and 2.5: Llama with biases on queries, keys and values. Yang et al. 2024, "Qwen2 Technical Report".

`transformers` computes norms and turns in float32 whatever the model is: there the two agree to 1e-5; with these raised
to float64, to 1e-10.
"""

from glassformer.config import TransformerConfig
from glassformer.families import llama
from glassformer.families.family import Family, Fields, Key, Raw, refusal

OWN = {
    "vocab_size": Key("vocab_size", 151936, "vocab_size"),
    "num_key_value_heads": Key("num_key_value_heads", 32, "kv_heads", nullable=True),
    "intermediate_size": Key("intermediate_size", 22016, "d_ff"),
    "max_position_embeddings": Key("max_position_embeddings", 32768, "max_positions"),
    "use_sliding_window": Key("use_sliding_window", False),
    "sliding_window": Key("sliding_window", 4096, nullable=True),
    "max_window_layers": Key("max_window_layers", 28),
    "layer_types": Key("layer_types"),
}
BIASES = ("attention_bias", "mlp_bias")  # not for a configuration to say
KINDS = {False: "full_attention", True: "sliding_attention"}


def derive(raw: Raw) -> Fields:
    """As Llama; some layers may look back only so far."""
    layers, window = raw["num_hidden_layers"], raw["sliding_window"] if raw["use_sliding_window"] else None
    usual = [KINDS[window is not None and layer >= raw["max_window_layers"]] for layer in range(layers)]
    kinds = raw["layer_types"] or usual
    near = tuple(layer for layer, kind in enumerate(kinds) if kind == KINDS[True])
    if len(kinds) != layers or set(kinds) - set(KINDS.values()) or (near and window is None):
        raise refusal("layer_types", kinds, f"{KINDS[False]!r} for every layer, or a window")
    windowed = {"window": window, "windowed_layers": near if len(near) < layers else None}
    return {**llama.derive(raw), **(windowed if near else {})}


def restore(config: TransformerConfig) -> Raw:
    """The same keys again."""
    count, near = config.decoder_layers, config.near_layers
    return {
        **llama.restore(config),
        "use_sliding_window": bool(near),
        "sliding_window": config.window,
        "max_window_layers": min(near, default=count),
        "layer_types": [KINDS[layer in near] for layer in range(count)],
    }


QWEN2 = Family(
    model_type="qwen2",
    source="Qwen 2 and 2.5, Yang et al. 2024",
    keys=(*(key for key in llama.KEYS if key.theirs not in (*OWN, *BIASES)), *OWN.values()),
    fields={
        **llama.FIELDS,
        "attention_bias": True,
        "attention_output_bias": False,
        "feed_forward_bias": False,
    },
    derive=derive,
    restore=restore,
    rules=llama.body("transformer"),
    architectures=llama.classes("Qwen2"),
)
