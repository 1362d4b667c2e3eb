"""BERT. Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding"."""

from glassformer.config import TransformerConfig
from glassformer.families import heads
from glassformer.families.family import ACTIVATIONS, Architecture, Family, Fields, Key, Raw, fixed
from glassformer.weights import Rule, rule

KEYS = (
    Key("vocab_size", 30522, "vocab_size"),
    Key("hidden_size", 768, "d_model"),
    Key("num_attention_heads", 12, "heads"),
    Key("intermediate_size", 3072, "d_ff"),
    Key("num_hidden_layers", 12),
    Key("is_decoder", False),
    Key("hidden_act", "gelu", "activation", ACTIVATIONS),
    Key("layer_norm_eps", 1e-12, "norm_eps"),
    Key("type_vocab_size", 2, "segments"),
    Key("hidden_dropout_prob", 0.1, "dropout"),
    Key("attention_probs_dropout_prob", 0.1, "attention_dropout"),
    Key("initializer_range", 0.02, "initialization_std"),
    Key("tie_word_embeddings", True, "tied_output"),
    fixed("add_cross_attention", False),
    fixed("position_embedding_type", "absolute"),
    fixed("pruned_heads", {}),
)
FIELDS = {
    "norm": "layer",
    "embedding_norm": True,
    "positions": "learned",
    "initialization": "truncated-normal",
}


def derive(raw: Raw) -> Fields:
    """A BERT that writes may not look ahead: it is a decoder; every other one is an encoder."""
    side = "decoder" if raw["is_decoder"] else "encoder"
    return {"stack": side, f"{side}_layers": raw["num_hidden_layers"]}


def restore(config: TransformerConfig) -> Raw:
    """The same keys again."""
    return {
        "is_decoder": config.stack == "decoder",
        "num_hidden_layers": config.encoder_layers + config.decoder_layers,
    }


def tables(prefix: str, side: str) -> tuple[Rule, ...]:
    """The names of the embedding."""
    theirs, ours = f"[{prefix}.]embeddings", f"{side}.embedding"
    return (
        rule(f"{theirs}.word_embeddings.*", "tokens.*"),
        rule(f"{theirs}.position_embeddings.*", f"{ours}.positions.*"),
        rule(f"{theirs}.token_type_embeddings.*", f"{ours}.segments.*"),
        rule(f"{theirs}.LayerNorm.*", f"{ours}.norm.*"),
        rule(f"{theirs}.position_ids"),  # counted
        rule(f"{theirs}.token_type_ids"),
    )


def body(prefix: str, side: str) -> tuple[Rule, ...]:
    """The names of embedding and layers, those of RoBERTa and ELECTRA too."""
    theirs, ours = f"[{prefix}.]encoder.layer.{{i}}", f"{side}.layers.{{i}}"
    return (
        *tables(prefix, side),
        rule(f"{theirs}.attention.self.query.*", f"{ours}.self_attention.query.*"),
        rule(f"{theirs}.attention.self.key.*", f"{ours}.self_attention.key.*"),
        rule(f"{theirs}.attention.self.value.*", f"{ours}.self_attention.value.*"),
        rule(f"{theirs}.attention.output.dense.*", f"{ours}.self_attention.output.*"),
        rule(f"{theirs}.attention.output.LayerNorm.*", f"{ours}.self_attention_norm.*"),
        rule(f"{theirs}.intermediate.dense.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.output.dense.*", f"{ours}.feed_forward.down.*"),
        rule(f"{theirs}.output.LayerNorm.*", f"{ours}.feed_forward_norm.*"),
    )


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """Back from a row to the vocabulary, and, where it is kept, the guess whether two sentences are neighbours."""
    return (
        rule("cls.predictions.transform.dense.*", "head.dense.*"),
        rule("cls.predictions.transform.LayerNorm.*", "head.norm.*"),
        *heads.vocabulary("cls.predictions.decoder", "cls.predictions.bias", config),
        rule("cls.seq_relationship.*", *("head.next_sentence.output.*",) * config.next_sentence),
        rule("[bert.]pooler.dense.*", *("head.next_sentence.pooling.dense.*",) * config.next_sentence),
    )


NO_POOLER = (rule("[bert.]pooler.dense.*"),)
POOLER = (rule("[bert.]pooler.dense.*", "head.pooling.dense.*"),)
BERT = Family(
    model_type="bert",
    source="BERT, Devlin et al. 2019",
    keys=(*KEYS, Key("max_position_embeddings", 512, "max_positions")),
    fields=FIELDS,
    derive=derive,
    restore=restore,
    rules=lambda config: body("bert", config.stack),
    renamed=heads.RENAMED,
    architectures={
        **heads.classes("Bert", language, NO_POOLER, POOLER),
        "BertForPreTraining": Architecture(
            fields={"head": "masked-language-model", "next_sentence": True, **heads.LANGUAGE},
            rules=language,
            optional={"next_sentence": "head.next_sentence."},
        ),
        "BertLMHeadModel": Architecture(
            fields={"head": "language-model", **heads.LANGUAGE}, rules=language, requires={"is_decoder": True}
        ),
        "BertForNextSentencePrediction": Architecture(
            fields={**heads.POOLED, "labels": 2},
            rules=lambda config: (
                *POOLER,
                rule("cls.seq_relationship.*", "head.output.*"),
                rule("cls.predictions.**"),
            ),
            label_names=("follows", "random"),
        ),
    },
)
