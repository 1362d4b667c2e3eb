"""Marian, the translators of OPUS-MT. Junczys-Dowmunt et al. 2018; Tiedemann and Thottingal 2020.

Its sine and cosine are stored in float32; here they are computed.
"""

from glassformer.config import TransformerConfig
from glassformer.families import fairseq
from glassformer.families.family import Family, Fields, Key, Raw
from glassformer.weights import Rule, rule


def derive(raw: Raw) -> Fields:
    """One vocabulary for both languages, or one for each."""
    target = raw["decoder_vocab_size"] or raw["vocab_size"]
    own = {} if raw["share_encoder_decoder_embeddings"] else {"source_vocab_size": raw["vocab_size"]}
    return {**fairseq.derive(raw), **own, "vocab_size": target if own else raw["vocab_size"]}


def restore(config: TransformerConfig) -> Raw:
    """The same keys again."""
    return {
        **fairseq.restore(config),
        "vocab_size": config.source_vocab_size or config.vocab_size,
        "decoder_vocab_size": config.vocab_size,
        "share_encoder_decoder_embeddings": config.source_vocab_size is None,
    }


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """The usual names; two vocabularies have no shared table."""
    names = (*fairseq.body(config), *fairseq.computed(config))
    if config.source_vocab_size is None:
        return names
    return (
        rule("[model.]encoder.embed_tokens.weight", "source_tokens.weight"),
        rule("[model.]decoder.embed_tokens.weight", "tokens.weight"),
        *(each for each in names if "tokens.weight" not in each.ours),
    )


MARIAN = Family(
    model_type="marian",
    source="Marian, Junczys-Dowmunt et al. 2018",
    keys=(
        *(key for key in fairseq.keys(58101) if key.theirs != "vocab_size"),
        Key("vocab_size", 58101),
        Key("decoder_vocab_size"),
        Key("share_encoder_decoder_embeddings", True),
    ),
    fields={**fairseq.FIELDS, "positions": "sinusoidal-halves"},
    derive=derive,
    restore=restore,
    rules=body,
    architectures={"MarianMTModel": fairseq.GENERATION},
    task="translation",
)
