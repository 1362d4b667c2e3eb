"""Qwen 3: Llama whose queries and keys are normed, head by head. Yang et al. 2025, "Qwen3 Technical Report".

`transformers` computes norms and turns in float32 whatever the model is: there the two agree to 1e-5; with these raised
to float64, to 1e-10.
"""

from glassformer.config import TransformerConfig
from glassformer.families import llama, qwen2
from glassformer.families.family import Family, Fields, Key
from glassformer.weights import Rule, rule

OWN = {
    **qwen2.OWN,
    "head_dim": Key("head_dim", 128),
    "attention_bias": Key("attention_bias", False, "attention_bias"),
}
FIELDS: Fields = {**llama.FIELDS, "feed_forward_bias": False, "head_norm": True}


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """Llama's names, and those of the norms within attention."""
    prefix = f"[{'transformer' if config.head == 'answer-span' else 'model'}.]layers.{{i}}.self_attn"
    ours = "decoder.layers.{i}.self_attention"
    return (
        *llama.body("transformer")(config),
        rule(f"{prefix}.q_norm.*", f"{ours}.query_norm.*"),
        rule(f"{prefix}.k_norm.*", f"{ours}.key_norm.*"),
    )


QWEN3 = Family(
    model_type="qwen3",
    source="Qwen 3, Yang et al. 2025",
    keys=(*(key for key in llama.KEYS if key.theirs not in (*OWN, "mlp_bias")), *OWN.values()),
    fields=FIELDS,
    derive=qwen2.derive,
    restore=qwen2.restore,
    rules=body,
    architectures=llama.classes("Qwen3"),
)
