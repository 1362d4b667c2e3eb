"""BART, an encoder and a decoder that mend broken text. Lewis et al. 2020."""

from collections.abc import Mapping

from glassformer.config import TransformerConfig
from glassformer.families import fairseq
from glassformer.families.family import Architecture, Family
from glassformer.weights import Rule, rule


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """Each stack has a table of positions."""
    tables = (
        rule(f"[model.]{side}.embed_positions.*", f"{side}.embedding.positions.*")
        for side in ("encoder", "decoder")
    )
    return (*fairseq.body(config), *tables)


def labels(config: TransformerConfig) -> tuple[Rule, ...]:
    """A label for the text, from the last row of the decoder, which has read it once more."""
    return (
        rule("classification_head.dense.*", "head.pooling.dense.*"),
        rule("classification_head.out_proj.*", "head.output.*"),
    )


def architectures(prefix: str) -> Mapping[str, Architecture]:
    """The classes of BART and mBART."""
    return {
        f"{prefix}ForConditionalGeneration": fairseq.GENERATION,
        f"{prefix}ForSequenceClassification": Architecture(
            fields={"head": "sequence-label", "pooler": True, "pooling": "last"}, rules=labels
        ),
        f"{prefix}ForQuestionAnswering": Architecture(
            fields={"head": "answer-span"}, rules=lambda config: (rule("qa_outputs.*", "head.output.*"),)
        ),
        f"{prefix}Model": Architecture(fields={"head": "hidden"}, bare=True),
    }


BART = Family(
    model_type="bart",
    source="BART, Lewis et al. 2020",
    keys=fairseq.keys(50265),
    fields={**fairseq.FIELDS, "embedding_norm": True, "positions": "learned", "position_offset": 2},
    derive=fairseq.derive,
    restore=fairseq.restore,
    rules=body,
    architectures=architectures("Bart"),
)
