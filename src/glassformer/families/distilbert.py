"""DistilBERT: BERT at half its depth, without segments. Sanh et al. 2019, "DistilBERT, a distilled version of BERT"."""

from glassformer.config import TransformerConfig
from glassformer.families import bert, heads
from glassformer.families.family import ACTIVATIONS, Architecture, Family, Key
from glassformer.weights import Rule, rule

KEYS = (
    Key("vocab_size", 30522, "vocab_size"),
    Key("dim", 768, "d_model"),
    Key("n_heads", 12, "heads"),
    Key("hidden_dim", 3072, "d_ff"),
    Key("n_layers", 6, "encoder_layers"),
    Key("max_position_embeddings", 512, "max_positions"),
    Key("activation", "gelu", "activation", ACTIVATIONS),
    Key("dropout", 0.1, "dropout"),
    Key("attention_dropout", 0.1, "attention_dropout"),
    Key("initializer_range", 0.02, "initialization_std"),
    Key("tie_word_embeddings", True, "tied_output"),
)


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """The names of embedding and layers."""
    theirs, ours = "[distilbert.]transformer.layer.{i}", "encoder.layers.{i}"
    return (
        rule("[distilbert.]embeddings.word_embeddings.*", "tokens.*"),
        rule("[distilbert.]embeddings.position_embeddings.*", "encoder.embedding.positions.*"),
        rule("[distilbert.]embeddings.LayerNorm.*", "encoder.embedding.norm.*"),
        rule("[distilbert.]embeddings.position_ids"),  # counted
        rule(f"{theirs}.attention.q_lin.*", f"{ours}.self_attention.query.*"),
        rule(f"{theirs}.attention.k_lin.*", f"{ours}.self_attention.key.*"),
        rule(f"{theirs}.attention.v_lin.*", f"{ours}.self_attention.value.*"),
        rule(f"{theirs}.attention.out_lin.*", f"{ours}.self_attention.output.*"),
        rule(f"{theirs}.sa_layer_norm.*", f"{ours}.self_attention_norm.*"),
        rule(f"{theirs}.ffn.lin1.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.ffn.lin2.*", f"{ours}.feed_forward.down.*"),
        rule(f"{theirs}.output_layer_norm.*", f"{ours}.feed_forward_norm.*"),
    )


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """Back from a row to the vocabulary, by the tokens' own rows or by a map of its own."""
    tied = (
        rule("vocab_projector.bias", "head.output.bias"),
        rule("vocab_projector.weight", "tokens.weight", role="tied"),
    )
    return (
        rule("vocab_transform.*", "head.dense.*"),
        rule("vocab_layer_norm.*", "head.norm.*"),
        *(tied if config.tied_output else (rule("vocab_projector.*", "head.output.*"),)),
    )


def pooled_label(config: TransformerConfig) -> tuple[Rule, ...]:
    """A pooler of the head's own."""
    return rule("pre_classifier.*", "head.pooling.dense.*"), *heads.LABELS


POOLED = {"head": "sequence-label", "pooler": True, "pooler_activation": "relu"}

DISTILBERT = Family(
    model_type="distilbert",
    source="DistilBERT, Sanh et al. 2019",
    keys=KEYS,
    fields={**bert.FIELDS, "stack": "encoder", "norm_eps": 1e-12},
    rules=body,
    renamed=heads.RENAMED,
    architectures={
        "DistilBertForMaskedLM": Architecture(
            fields={"head": "masked-language-model", **heads.LANGUAGE}, rules=language
        ),
        "DistilBertForSequenceClassification": Architecture(fields=POOLED, rules=pooled_label),
        "DistilBertForMultipleChoice": Architecture(
            fields={**POOLED, "labels": 1}, rules=pooled_label, label_names=("choice",)
        ),
        "DistilBertForTokenClassification": Architecture(
            fields={"head": "token-label"}, rules=lambda config: heads.LABELS
        ),
        "DistilBertForQuestionAnswering": Architecture(
            fields={"head": "answer-span"}, rules=lambda config: heads.SPAN
        ),
        "DistilBertModel": Architecture(fields={"head": "hidden"}, bare=True),
    },
)
