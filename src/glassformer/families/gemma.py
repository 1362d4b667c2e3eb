"""Gemma, of the first generation: Llama with long embeddings, and norms that stretch by one plus what is learned.

Gemma Team 2024, "Gemma: Open Models Based on Gemini Research and Technology". `transformers` computes norms, turns and
the root that lengthens embeddings in float32 whatever the model is: there the two agree to 1e-5; with these raised to
float64, to 1e-10.
"""

from glassformer.families import llama
from glassformer.families.family import Family, Fields, Key, Raw, refusal

OWN = {
    "vocab_size": Key("vocab_size", 256000, "vocab_size"),
    "hidden_size": Key("hidden_size", 3072, "d_model"),
    "num_attention_heads": Key("num_attention_heads", 16, "heads"),
    "num_key_value_heads": Key("num_key_value_heads", 16, "kv_heads", nullable=True),
    "head_dim": Key("head_dim", 256),
    "intermediate_size": Key("intermediate_size", 24576, "d_ff"),
    "num_hidden_layers": Key("num_hidden_layers", 28, "decoder_layers"),
    "max_position_embeddings": Key("max_position_embeddings", 8192, "max_positions"),
    "hidden_act": Key(  # the first files say gelu, and mean the one by tanh
        "hidden_act",
        "gelu_pytorch_tanh",
        "activation",
        {"gelu_pytorch_tanh": "gelu-tanh", "gelu": "gelu-tanh"},
    ),
    "tie_word_embeddings": Key("tie_word_embeddings", True, "tied_output"),
    "use_bidirectional_attention": Key("use_bidirectional_attention"),
}


def derive(raw: Raw) -> Fields:
    """As Llama, each token seeing only those before it."""
    if raw["use_bidirectional_attention"]:
        raise refusal("use_bidirectional_attention", True, "false")
    return llama.derive(raw)


GEMMA = Family(
    model_type="gemma",
    source="Gemma, Gemma Team 2024",
    keys=(*(key for key in llama.KEYS if key.theirs not in (*OWN, "mlp_bias")), *OWN.values()),
    fields={**llama.FIELDS, "norm": "rms-from-one", "embedding_scale": True, "feed_forward_bias": False},
    derive=derive,
    restore=llama.restore,
    rules=llama.body("model"),
    architectures={name: each for name, each in llama.classes("Gemma").items() if "Answering" not in name},
)
