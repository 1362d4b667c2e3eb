"""ELECTRA: BERT with narrow tables, taught to find replaced tokens.

Clark et al. 2020, "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators".
"""

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.families import bert, heads
from glassformer.families.family import Architecture, Family, Fields, Key, Raw
from glassformer.weights import Reshape, Rule, rule

OWN = {
    "hidden_size": Key("hidden_size", 256, "d_model"),
    "num_attention_heads": Key("num_attention_heads", 4, "heads"),
    "intermediate_size": Key("intermediate_size", 1024, "d_ff"),
    "max_position_embeddings": Key("max_position_embeddings", 512, "max_positions"),
    "embedding_size": Key("embedding_size", 128),
    "summary_type": Key("summary_type", "first"),
    "summary_use_proj": Key("summary_use_proj", True),
    "summary_activation": Key("summary_activation", "gelu"),
}
KEYS = (*(key for key in bert.KEYS if key.theirs not in OWN), *OWN.values())


def derive(raw: Raw) -> Fields:
    """Tables as wide as the model need no map to it."""
    narrow = raw["embedding_size"] != raw["hidden_size"]
    return {**bert.derive(raw), "embedding_size": raw["embedding_size"] if narrow else None}


def restore(config: TransformerConfig) -> Raw:
    """The same keys again."""
    return {**bert.restore(config), "embedding_size": config.embedding_size or config.d_model}


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """BERT's names, and the map from the tables."""
    projection = f"{config.stack}.embedding.projection.*"
    return *bert.body("electra", config.stack), rule("[electra.]embeddings_project.*", projection)


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """The generator: back from a row to the vocabulary."""
    tied = (
        rule("generator_lm_head.bias", "head.output.bias"),
        rule("generator_lm_head.weight", "tokens.weight", role="tied"),
    )
    return (
        rule("generator_predictions.dense.*", "head.dense.*"),
        rule("generator_predictions.LayerNorm.*", "head.norm.*"),
        *(tied if config.tied_output else (rule("generator_lm_head.*", "head.output.*"),)),
    )


def beside_nothing(row: Tensor) -> tuple[Tensor]:
    """One score, of `replaced`, as two: softmax over 0 and x is what a logistic function makes of x."""
    return (torch.cat([torch.zeros_like(row), row]),)


TWO_FROM_ONE = Reshape(ours=beside_nothing, theirs=lambda pieces: pieces[0][1:] - pieces[0][:1])


def discriminator(config: TransformerConfig) -> tuple[Rule, ...]:
    """Was this token replaced?"""
    return (
        rule("discriminator_predictions.dense.*", "head.dense.*"),
        rule("discriminator_predictions.dense_prediction.*", "head.output.*", reshape=TWO_FROM_ONE),
    )


LANGUAGE: Fields = {**heads.LANGUAGE, "output_activation": "gelu"}  # whatever hidden_act says
GELU: Fields = {"pooler_activation": "gelu"}

ELECTRA = Family(
    model_type="electra",
    source="ELECTRA, Clark et al. 2020",
    keys=KEYS,
    fields=bert.FIELDS,
    derive=derive,
    restore=restore,
    rules=body,
    renamed=heads.RENAMED,
    architectures={
        "ElectraForPreTraining": Architecture(
            fields={"head": "token-label", "labels": 2, "label_transform": True},
            rules=discriminator,
            label_names=("original", "replaced"),
        ),
        "ElectraForMaskedLM": Architecture(
            fields={"head": "masked-language-model", **LANGUAGE}, rules=language
        ),
        "ElectraForCausalLM": Architecture(
            fields={"head": "language-model", **LANGUAGE}, rules=language, requires={"is_decoder": True}
        ),
        "ElectraForSequenceClassification": Architecture(
            fields={**heads.POOLED, **GELU},
            rules=lambda config: (
                rule("classifier.dense.*", "head.pooling.dense.*"),
                rule("classifier.out_proj.*", "head.output.*"),
            ),
        ),
        "ElectraForMultipleChoice": Architecture(
            fields={**heads.CHOICE, **GELU},
            rules=lambda config: (rule("sequence_summary.summary.*", "head.pooling.dense.*"), *heads.LABELS),
            requires={"summary_type": "first", "summary_use_proj": True, "summary_activation": "gelu"},
            label_names=("choice",),
        ),
        "ElectraForTokenClassification": Architecture(
            fields={"head": "token-label"}, rules=lambda config: heads.LABELS
        ),
        "ElectraForQuestionAnswering": Architecture(
            fields={"head": "answer-span"}, rules=lambda config: heads.SPAN
        ),
        "ElectraModel": Architecture(fields={"head": "hidden"}, bare=True),
    },
)
