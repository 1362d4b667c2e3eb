"""ALBERT: BERT with narrow tables and one layer used many times. Lan et al. 2020, "ALBERT: A Lite BERT ..."."""

from glassformer.config import TransformerConfig
from glassformer.families import bert, heads
from glassformer.families.family import ACTIVATIONS, Family, Fields, Key, Raw, fixed
from glassformer.weights import Rule, rule

OWN = {  # what other defaults ALBERT has, and the keys that its layers need
    "vocab_size": Key("vocab_size", 30000, "vocab_size"),
    "hidden_size": Key("hidden_size", 4096, "d_model"),
    "num_attention_heads": Key("num_attention_heads", 64, "heads"),
    "intermediate_size": Key("intermediate_size", 16384, "d_ff"),
    "num_hidden_layers": Key("num_hidden_layers", 12, "encoder_layers"),
    "hidden_act": Key("hidden_act", "gelu_new", "activation", ACTIVATIONS),
    "hidden_dropout_prob": Key("hidden_dropout_prob", 0.0, "dropout"),
    "attention_probs_dropout_prob": Key("attention_probs_dropout_prob", 0.0, "attention_dropout"),
    "embedding_size": Key("embedding_size", 128, "embedding_size"),
    "max_position_embeddings": Key("max_position_embeddings", 512, "max_positions"),
    "num_hidden_groups": Key("num_hidden_groups", 1),
    "inner_group_num": fixed("inner_group_num", 1),
    "is_decoder": fixed("is_decoder", False),
}
KEYS = (*(key for key in bert.KEYS if key.theirs not in OWN), *OWN.values())


def derive(raw: Raw) -> Fields:
    """As many distinct layers as there are groups."""
    groups, layers = raw["num_hidden_groups"], raw["num_hidden_layers"]
    return {"distinct_layers": None if groups == layers else groups}


def restore(config: TransformerConfig) -> Raw:
    """The same key again."""
    return {"num_hidden_groups": config.distinct_layers or config.encoder_layers}


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """The names of embedding and groups; a group is called here by the first layer that it makes."""
    groups = config.distinct_layers or config.encoder_layers
    firsts = [-(-group * config.encoder_layers // groups) for group in range(groups)]
    return (
        *bert.tables("albert", "encoder"),
        rule("[albert.]encoder.embedding_hidden_mapping_in.*", "encoder.embedding.projection.*"),
        *(each for group, first in enumerate(firsts) for each in layer(group, first)),
    )


def layer(group: int, first: int) -> tuple[Rule, ...]:
    """The names of one group's only layer."""
    theirs = f"[albert.]encoder.albert_layer_groups.{group}.albert_layers.0"
    ours = f"encoder.layers.{first}"
    return (
        rule(f"{theirs}.attention.query.*", f"{ours}.self_attention.query.*"),
        rule(f"{theirs}.attention.key.*", f"{ours}.self_attention.key.*"),
        rule(f"{theirs}.attention.value.*", f"{ours}.self_attention.value.*"),
        rule(f"{theirs}.attention.dense.*", f"{ours}.self_attention.output.*"),
        rule(f"{theirs}.attention.LayerNorm.*", f"{ours}.self_attention_norm.*"),
        rule(f"{theirs}.ffn.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.ffn_output.*", f"{ours}.feed_forward.down.*"),
        rule(f"{theirs}.full_layer_layer_norm.*", f"{ours}.feed_forward_norm.*"),
    )


NO_POOLER = (rule("[albert.]pooler.*"),)
POOLER = (rule("[albert.]pooler.*", "head.pooling.dense.*"),)


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """Back from a row to the vocabulary; the guess whether two sentences stand in their order is left out."""
    return (
        rule("predictions.dense.*", "head.dense.*"),
        rule("predictions.LayerNorm.*", "head.norm.*"),
        *heads.vocabulary("predictions.decoder", "predictions.bias", config),
        rule("sop_classifier.**"),
        *NO_POOLER,
    )


ALBERT = Family(
    model_type="albert",
    source="ALBERT, Lan et al. 2020",
    keys=KEYS,
    fields={**bert.FIELDS, "stack": "encoder"},
    derive=derive,
    restore=restore,
    rules=body,
    renamed=heads.RENAMED,
    architectures=heads.classes("Albert", language, NO_POOLER, POOLER),
)
