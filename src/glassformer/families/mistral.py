"""Mistral: Llama whose queries look back only so far. Jiang et al. 2023, "Mistral 7B".

`transformers` computes norms and turns in float32 whatever the model is: there the two agree to 1e-5; with these raised
to float64, to 1e-10.
"""

from glassformer.families import llama
from glassformer.families.family import Family, Key

OWN = {
    "num_key_value_heads": Key("num_key_value_heads", 8, "kv_heads", nullable=True),
    "intermediate_size": Key("intermediate_size", 14336, "d_ff"),
    "max_position_embeddings": Key("max_position_embeddings", 131072, "max_positions"),
    "sliding_window": Key("sliding_window", 4096, "window", nullable=True),
}
BIASES = ("attention_bias", "mlp_bias")  # Mistral has none

MISTRAL = Family(
    model_type="mistral",
    source="Mistral, Jiang et al. 2023",
    keys=(*(key for key in llama.KEYS if key.theirs not in (*OWN, *BIASES)), *OWN.values()),
    fields={**llama.FIELDS, "attention_bias": False, "feed_forward_bias": False},
    derive=llama.derive,
    restore=llama.restore,
    rules=llama.body("model"),
    architectures=llama.classes("Mistral"),
)
