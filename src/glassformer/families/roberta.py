"""RoBERTa: BERT with positions that follow the padding. Liu et al. 2019, "RoBERTa: A Robustly Optimized BERT ..."."""

from glassformer.config import TransformerConfig
from glassformer.families import bert, heads
from glassformer.families.family import Architecture, Family, Fields, Key, Raw
from glassformer.weights import Rule, rule


def derive(raw: Raw) -> Fields:
    """The rows of the position table up to the padding id are not positions."""
    offset = raw["pad_token_id"] + 1
    return {
        **bert.derive(raw),
        "position_offset": offset,
        "max_positions": raw["max_position_embeddings"] - offset,
    }


def restore(config: TransformerConfig) -> Raw:
    """The same keys again."""
    return {
        **bert.restore(config),
        "pad_token_id": config.position_offset - 1,
        "max_position_embeddings": config.max_positions + config.position_offset,
    }


LANGUAGE: Fields = {**heads.LANGUAGE, "output_activation": "gelu"}  # whatever hidden_act says
OWN_POOLER = (  # of a head that judges whole texts
    rule("classifier.dense.*", "head.pooling.dense.*"),
    rule("classifier.out_proj.*", "head.output.*"),
)


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """Back from a row to the vocabulary."""
    return (
        rule("lm_head.dense.*", "head.dense.*"),
        rule("lm_head.layer_norm.*", "head.norm.*"),
        *heads.vocabulary("lm_head.decoder", "lm_head.bias", config),
    )


def family(model_type: str, name: str, source: str, vocab_size: int = 30522) -> Family:
    """RoBERTa, or one that differs from it in its texts and its vocabulary alone."""
    return Family(
        model_type=model_type,
        source=source,
        keys=(
            *(key for key in bert.KEYS if key.theirs != "vocab_size"),
            Key("vocab_size", vocab_size, "vocab_size"),
            Key("max_position_embeddings", 512),
            Key("pad_token_id", 1),
        ),
        fields=bert.FIELDS,
        derive=derive,
        restore=restore,
        rules=lambda config: bert.body("roberta", config.stack),
        architectures=classes(name),
    )


def classes(name: str, prefix: str = "roberta") -> dict[str, Architecture]:
    """The classes of such a family, by their names in it and the prefix of their weights."""
    no_pooler = (rule(f"[{prefix}.]pooler.dense.*"),)
    pooler = (rule(f"[{prefix}.]pooler.dense.*", "head.pooling.dense.*"),)

    def words(config: TransformerConfig) -> tuple[Rule, ...]:
        return *language(config), *no_pooler

    return {
        f"{name}ForMaskedLM": Architecture(fields={"head": "masked-language-model", **LANGUAGE}, rules=words),
        f"{name}ForCausalLM": Architecture(
            fields={"head": "language-model", **LANGUAGE}, rules=words, requires={"is_decoder": True}
        ),
        f"{name}ForSequenceClassification": Architecture(
            fields=heads.POOLED, rules=lambda config: (*OWN_POOLER, *no_pooler)
        ),
        f"{name}ForMultipleChoice": Architecture(
            fields=heads.CHOICE, rules=lambda config: (*pooler, *heads.LABELS), label_names=("choice",)
        ),
        f"{name}ForTokenClassification": Architecture(
            fields={"head": "token-label"}, rules=lambda config: (*no_pooler, *heads.LABELS)
        ),
        f"{name}ForQuestionAnswering": Architecture(
            fields={"head": "answer-span"}, rules=lambda config: (*no_pooler, *heads.SPAN)
        ),
        f"{name}Model": Architecture(
            fields={"head": "hidden", "pooler": True},
            rules=lambda config: pooler,
            optional={"pooler": "head.pooling."},
            bare=True,
        ),
    }


ROBERTA = family("roberta", "Roberta", "RoBERTa, Liu et al. 2019", 50265)
