"""T5: every task as text to text. Raffel et al. 2020; version 1.1 and Flan-T5: Chung et al. 2022.

The first T5 ties its output and scales it, later ones do neither. The published norms compute in float32.
"""

from collections.abc import Iterator
from dataclasses import replace

from glassformer.config import TransformerConfig
from glassformer.families.family import Architecture, Family, Fields, Key, Raw
from glassformer.weights import Rule, rule

WIDE = {"relu": "relu", "gelu": "gelu", "gelu_new": "gelu-tanh", "silu": "silu"}
WIDE |= {"gated-gelu": "gated gelu-tanh", "gated-relu": "gated relu", "gated-silu": "gated silu"}
KEYS = (
    Key("d_model", 512, "d_model"),
    Key("d_kv", 64, "head_size"),
    Key("d_ff", 2048, "d_ff"),
    Key("num_layers", 6, "encoder_layers"),
    Key("num_decoder_layers"),
    Key("num_heads", 8, "heads"),
    Key("vocab_size", 32128, "vocab_size"),
    Key("relative_attention_num_buckets", 32, "relative_buckets"),
    Key("relative_attention_max_distance", 128, "relative_distance"),
    Key("dropout_rate", 0.1, "dropout"),
    Key("layer_norm_epsilon", 1e-6, "norm_eps"),
    Key("feed_forward_proj", "relu", spellings=WIDE),
    Key("tie_word_embeddings", True),
    Key("scale_decoder_outputs"),
)
UNUSUAL = {"attention_bias": False, "attention_scale": False, "feed_forward_bias": False}
NORMS = {"norm": "rms", "norm_first": True, "final_norm": True}
FIELDS = {"stack": "encoder-decoder", **NORMS, **UNUSUAL, "positions": "relative", "initialization": "normal"}


def derive(raw: Raw) -> Fields:
    """The activation, and whether it is a gate, in one word; the output tied and scaled, or neither."""
    *gated, activation = WIDE[raw["feed_forward_proj"]].split()
    tied = (
        raw["tie_word_embeddings"] if raw["scale_decoder_outputs"] is None else raw["scale_decoder_outputs"]
    )
    given = {"activation": activation, "gated": bool(gated), "tied_output": tied, "output_scale": tied}
    return {**given, "decoder_layers": raw["num_decoder_layers"] or raw["num_layers"]}


def restore(config: TransformerConfig) -> Raw:
    """The same keys again."""
    wide = f"gated {config.activation}" if config.gated else config.activation
    return {
        "feed_forward_proj": next((theirs for theirs, ours in WIDE.items() if ours == wide), wide),
        "num_decoder_layers": config.decoder_layers or config.encoder_layers,
        "tie_word_embeddings": config.output_scale,
        "scale_decoder_outputs": config.output_scale,
    }


SELF, CROSS = ("SelfAttention", "self_attention"), ("EncDecAttention", "cross_attention")
PROJECTIONS = (("q", "query"), ("k", "key"), ("v", "value"), ("o", "output"))


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """One table of tokens, two stacks."""
    return (
        rule("shared.weight", "tokens.weight"),
        *stack("encoder", (SELF,), config.gated),
        *stack("decoder", (SELF, CROSS), config.gated),
        rule(
            "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        ),  # old files; never used
    )


def stack(side: str, attentions: tuple[tuple[str, str], ...], gated: bool) -> Iterator[Rule]:
    """The names of one stack: sub-layers are known by their number, distances are kept by the first, for all."""
    theirs, ours = f"{side}.block.{{i}}.layer", f"{side}.layers.{{i}}"
    for number, (short, long) in enumerate(attentions):
        for one, part in PROJECTIONS:
            yield rule(f"{theirs}.{number}.{short}.{one}.*", f"{ours}.{long}.{part}.*")
        yield rule(f"{theirs}.{number}.layer_norm.*", f"{ours}.{long}_norm.*")
    last, wide = f"{theirs}.{len(attentions)}", f"{ours}.feed_forward"
    yield rule(f"{last}.layer_norm.*", f"{wide}_norm.*")
    for one, part in (("wi_0", "gate"), ("wi_1", "up")) if gated else (("wi", "up"),):
        yield rule(f"{last}.DenseReluDense.{one}.*", f"{wide}.{part}.*")
    yield rule(f"{last}.DenseReluDense.wo.*", f"{wide}.down.*")
    yield rule(f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.*", f"{side}.relative.table.*")
    yield rule(f"{side}.final_layer_norm.*", f"{side}.norm.*")
    yield rule(f"{side}.embed_tokens.weight", "tokens.weight", role="tied")


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """Back to the vocabulary."""
    if config.tied_output:
        return (rule("lm_head.weight", "tokens.weight", role="tied"),)
    return (rule("lm_head.weight", "head.output.weight"),)


GENERATION = Architecture(fields={"head": "language-model"}, rules=language)
FIRST = replace(GENERATION, saved_as="T5ForConditionalGeneration")  # as it was called first
ENCODER = {"stack": "encoder", "decoder_layers": 0, "head": "hidden", "output_scale": False}


def architectures(prefix: str) -> dict[str, Architecture]:
    """The classes of T5 and mT5."""
    return {
        f"{prefix}ForConditionalGeneration": GENERATION,
        f"{prefix}EncoderModel": Architecture(fields=ENCODER),
    }


T5 = Family(
    model_type="t5",
    source="T5, Raffel et al. 2020; Flan-T5, Chung et al. 2022",
    keys=KEYS,
    fields=FIELDS,
    derive=derive,
    restore=restore,
    rules=body,
    architectures={**architectures("T5"), "T5WithLMHeadModel": FIRST},
)
