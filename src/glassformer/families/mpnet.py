"""MPNet: BERT with distances beside its positions. Song et al. 2020, "MPNet: Masked and Permuted Pre-training ..."."""

from glassformer.config import TransformerConfig
from glassformer.families import bert, heads, roberta
from glassformer.families.family import Family, Fields, Key, Raw, fixed
from glassformer.weights import Rule, rule

OFFSET = 2  # the first rows of the position table are not positions, whatever the padding id
OWN = (
    Key("vocab_size", 30527, "vocab_size"),
    Key("num_hidden_layers", 12, "encoder_layers"),
    Key("max_position_embeddings", 512),
    fixed("relative_attention_num_buckets", 32),  # those of the published code, whatever the table's size
)
LEFT_OUT = ("type_vocab_size", "is_decoder", "add_cross_attention", "position_embedding_type")


def derive(raw: Raw) -> Fields:
    """The positions that are left."""
    return {"max_positions": raw["max_position_embeddings"] - OFFSET}


def restore(config: TransformerConfig) -> Raw:
    """The same key again, and what decides how many distances there are."""
    return {
        "max_position_embeddings": config.max_positions + OFFSET,
        "relative_attention_num_buckets": config.relative_buckets,
    }


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """The names of embedding and layers."""
    theirs, ours = "[mpnet.]encoder.layer.{i}", "encoder.layers.{i}"
    return (
        *bert.tables("mpnet", "encoder"),
        rule("[mpnet.]encoder.relative_attention_bias.*", "encoder.relative.table.*"),
        rule(f"{theirs}.attention.attn.q.*", f"{ours}.self_attention.query.*"),
        rule(f"{theirs}.attention.attn.k.*", f"{ours}.self_attention.key.*"),
        rule(f"{theirs}.attention.attn.v.*", f"{ours}.self_attention.value.*"),
        rule(f"{theirs}.attention.attn.o.*", f"{ours}.self_attention.output.*"),
        rule(f"{theirs}.attention.LayerNorm.*", f"{ours}.self_attention_norm.*"),
        rule(f"{theirs}.intermediate.dense.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.output.dense.*", f"{ours}.feed_forward.down.*"),
        rule(f"{theirs}.output.LayerNorm.*", f"{ours}.feed_forward_norm.*"),
    )


MPNET = Family(
    model_type="mpnet",
    source="MPNet, Song et al. 2020",
    keys=(*(key for key in bert.KEYS if key.theirs not in (*LEFT_OUT, *(own.theirs for own in OWN))), *OWN),
    fields={
        **bert.FIELDS,
        "stack": "encoder",
        "positions": "learned-relative",
        "position_offset": OFFSET,
    },
    derive=derive,
    restore=restore,
    rules=body,
    renamed=heads.RENAMED,
    architectures={
        name: each for name, each in roberta.classes("MPNet", "mpnet").items() if "CausalLM" not in name
    },
)
