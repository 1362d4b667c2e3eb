"""Qwen 2 and 2.5: Llama with biases on queries, keys and values. Yang et al. 2024, "Qwen2 Technical Report".

`transformers` computes norms and turns in float32 whatever the model is: there the two agree to 1e-5; with these raised
to float64, to 1e-10.
"""

from glassformer.families import llama
from glassformer.families.family import Family, Fields, Key, Raw, fixed, refusal

OWN = {
    "vocab_size": Key("vocab_size", 151936, "vocab_size"),
    "num_key_value_heads": Key("num_key_value_heads", 32, "kv_heads", nullable=True),
    "intermediate_size": Key("intermediate_size", 22016, "d_ff"),
    "max_position_embeddings": Key("max_position_embeddings", 32768, "max_positions"),
    "use_sliding_window": fixed("use_sliding_window", False),
    "layer_types": Key("layer_types"),
}
BIASES = ("attention_bias", "mlp_bias")  # not for a configuration to say


def derive(raw: Raw) -> Fields:
    """As Llama; every layer looks at the whole text."""
    kinds = set(raw["layer_types"] or ())
    if kinds - {"full_attention"}:
        raise refusal("layer_types", sorted(kinds), "'full_attention' for every layer")
    return llama.derive(raw)


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
    restore=llama.restore,
    rules=llama.body("transformer"),
    architectures=llama.classes("Qwen2"),
)
