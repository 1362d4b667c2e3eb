"""The heads of BERT and of those that resemble it: their names, and the choices that make them."""

from glassformer.config import TransformerConfig
from glassformer.families.family import Architecture, Fields, Rules
from glassformer.weights import Rule, rule

LABELS = (rule("classifier.*", "head.output.*"),)
SPAN = (rule("qa_outputs.*", "head.output.*"),)
RENAMED = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
LANGUAGE: Fields = {"output_transform": True, "output_bias": True}
POOLED: Fields = {"head": "sequence-label", "pooler": True}
CHOICE: Fields = {**POOLED, "labels": 1}


def vocabulary(theirs: str, bias: str, config: TransformerConfig) -> tuple[Rule, ...]:
    """The last map to the vocabulary: tied to the tokens, its bias stored under two names, or a map of its own."""
    if config.tied_output:
        return (
            rule(bias, "head.output.bias"),
            rule(f"{theirs}.bias", "head.output.bias", role="tied"),
            rule(f"{theirs}.weight", "tokens.weight", role="tied"),
        )
    return rule(f"{theirs}.*", "head.output.*"), rule(bias, "head.output.bias", role="spare")


def classes(
    name: str, language: Rules, no_pooler: tuple[Rule, ...], pooler: tuple[Rule, ...]
) -> dict[str, Architecture]:
    """The classes that BERT and ALBERT have alike."""
    masked: Fields = {"head": "masked-language-model", **LANGUAGE}
    return {
        f"{name}ForMaskedLM": Architecture(fields=masked, rules=language),
        f"{name}ForPreTraining": Architecture(fields=masked, rules=language, saved_as=f"{name}ForMaskedLM"),
        f"{name}ForSequenceClassification": Architecture(
            fields=POOLED, rules=lambda config: (*pooler, *LABELS)
        ),
        f"{name}ForMultipleChoice": Architecture(
            fields=CHOICE, rules=lambda config: (*pooler, *LABELS), label_names=("choice",)
        ),
        f"{name}ForTokenClassification": Architecture(
            fields={"head": "token-label"}, rules=lambda config: (*no_pooler, *LABELS)
        ),
        f"{name}ForQuestionAnswering": Architecture(
            fields={"head": "answer-span"}, rules=lambda config: (*no_pooler, *SPAN)
        ),
        f"{name}Model": Architecture(
            fields={"head": "hidden", "pooler": True},
            rules=lambda config: pooler,
            optional={"pooler": "head.pooling."},
            bare=True,
        ),
    }
