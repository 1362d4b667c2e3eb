"""What fairseq's pairs share, and all that descend from them: BART, mBART, Marian, Pegasus, M2M100. Ott et al. 2019."""

from glassformer.config import TransformerConfig
from glassformer.families.family import ACTIVATIONS, Architecture, Fields, Key, Raw, fixed, refusal
from glassformer.weights import ROW, Rule, rule


def keys(vocab_size: int, activation: str = "gelu", scaled: bool = False) -> tuple[Key, ...]:
    """The keys of all that descend from fairseq's pairs; where they are silent, not all mean the same."""
    return (
        Key("vocab_size", vocab_size, "vocab_size"),
        Key("d_model", 1024, "d_model"),
        Key("encoder_attention_heads", 16, "heads"),
        Key("decoder_attention_heads", 16),
        Key("encoder_ffn_dim", 4096, "d_ff"),
        Key("decoder_ffn_dim", 4096),
        Key("encoder_layers", 12, "encoder_layers"),
        Key("decoder_layers", 12, "decoder_layers"),
        Key("max_position_embeddings", 1024, "max_positions"),
        Key("activation_function", activation, "activation", ACTIVATIONS),
        Key("scale_embedding", scaled, "embedding_scale"),
        Key("dropout", 0.1, "dropout"),
        Key("attention_dropout", 0.0, "attention_dropout"),
        Key("activation_dropout", 0.0, "activation_dropout"),
        Key("init_std", 0.02, "initialization_std"),
        fixed("tie_word_embeddings", True),
    )


FIELDS = {"stack": "encoder-decoder", "norm": "layer", "initialization": "normal"}


def derive(raw: Raw) -> Fields:
    """Both stacks must be as wide, with as many heads: they are one class here."""
    for what in ("attention_heads", "ffn_dim"):
        one, other = f"encoder_{what}", f"decoder_{what}"
        if raw[one] != raw[other]:
            raise refusal(other, raw[other], f"{raw[one]!r}, as {one} is")
    return {}


def restore(config: TransformerConfig) -> Raw:
    """The decoder's own keys again."""
    return {"decoder_attention_heads": config.heads, "decoder_ffn_dim": config.d_ff}


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """One table of tokens, known by three names; two stacks."""
    return (
        rule("[model.]shared.weight", "tokens.weight"),
        rule("[model.]encoder.embed_tokens.weight", "tokens.weight", role="tied"),
        rule("[model.]decoder.embed_tokens.weight", "tokens.weight", role="tied"),
        *stack("encoder", ATTENTIONS[:1]),
        *stack("decoder", ATTENTIONS),
    )


ATTENTIONS = (("self_attn", "self_attention"), ("encoder_attn", "cross_attention"))
PROJECTIONS = (("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value"), ("out_proj", "output"))


def stack(side: str, attentions: tuple[tuple[str, str], ...]) -> tuple[Rule, ...]:
    """The names of one stack; whether it has tables of positions and outer norms is the family's choice."""
    theirs, ours = f"[model.]{side}.layers.{{i}}", f"{side}.layers.{{i}}"
    return (
        *(
            rule(f"{theirs}.{short}.{one}.*", f"{ours}.{long}.{part}.*")
            for short, long in attentions
            for one, part in PROJECTIONS
        ),
        *(rule(f"{theirs}.{short}_layer_norm.*", f"{ours}.{long}_norm.*") for short, long in attentions),
        rule(f"{theirs}.fc1.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.fc2.*", f"{ours}.feed_forward.down.*"),
        rule(f"{theirs}.final_layer_norm.*", f"{ours}.feed_forward_norm.*"),
        rule(f"[model.]{side}.layernorm_embedding.*", f"{side}.embedding.norm.*"),
        rule(f"[model.]{side}.layer_norm.*", f"{side}.norm.*"),
        rule(f"[model.]{side}.version"),  # of the software that wrote an old file
    )


def computed(config: TransformerConfig) -> tuple[Rule, ...]:
    """Positions whose tables some files store, though they are computed."""
    return tuple(rule(f"[model.]{side}.embed_positions.**") for side in ("encoder", "decoder"))


TIED = (rule("lm_head.weight", "tokens.weight", role="tied"),)


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """Back to the vocabulary by the tokens' own rows, and a bias that most files hold as zeros."""
    return (*TIED, rule("final_logits_bias", "head.output.bias", reshape=ROW))


GENERATION = Architecture(
    fields={"head": "language-model", "output_bias": True},
    rules=language,
    optional={"output_bias": "head.output.bias"},
)
