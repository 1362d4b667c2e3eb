"""GPT-2. Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"."""

from glassformer.config import TransformerConfig
from glassformer.families.family import ACTIVATIONS, Architecture, Family, Fields, Key, Raw, fixed
from glassformer.weights import TRANSPOSED, TRANSPOSED_THIRDS, Rule, rule

KEYS = (
    Key("vocab_size", 50257, "vocab_size"),
    Key("n_embd", 768, "d_model"),
    Key("n_head", 12, "heads"),
    Key("n_inner"),
    Key("n_layer", 12, "decoder_layers"),
    Key("n_positions", 1024, "max_positions"),
    Key("activation_function", "gelu_new", "activation", ACTIVATIONS),
    Key("layer_norm_epsilon", 1e-5, "norm_eps"),
    Key("scale_attn_weights", True, "attention_scale"),
    Key("resid_pdrop", 0.1, "dropout"),
    Key("attn_pdrop", 0.1, "attention_dropout"),
    Key("initializer_range", 0.02, "initialization_std"),
    Key("tie_word_embeddings", True, "tied_output"),
    fixed("scale_attn_by_inverse_layer_idx", False),
    fixed("reorder_and_upcast_attn", False),
    fixed("add_cross_attention", False),
    fixed("pruned_heads", {}),
)


def derive(raw: Raw) -> Fields:
    """The wide layer is four times as wide, unless told otherwise."""
    return {"d_ff": 4 * raw["n_embd"] if raw["n_inner"] is None else raw["n_inner"]}


def restore(config: TransformerConfig) -> Raw:
    """The same key again, and the dropout of the embedding, for which we have the residual's."""
    return {"n_inner": config.d_ff, "embd_pdrop": config.dropout}


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """Every matrix lies turned over, and query, key and value lie side by side in one."""
    theirs, ours = "[transformer.]h.{i}", "decoder.layers.{i}"
    thirds = (f"{ours}.self_attention.{part}.*" for part in ("query", "key", "value"))
    return (
        rule("[transformer.]wte.*", "tokens.*"),
        rule("[transformer.]wpe.*", "decoder.embedding.positions.*"),
        rule(f"{theirs}.ln_1.*", f"{ours}.self_attention_norm.*"),
        rule(f"{theirs}.attn.c_attn.*", *thirds, reshape=TRANSPOSED_THIRDS),
        rule(f"{theirs}.attn.c_proj.*", f"{ours}.self_attention.output.*", reshape=TRANSPOSED),
        rule(f"{theirs}.attn.bias"),  # the mask that hides the future, stored by old files
        rule(f"{theirs}.attn.masked_bias"),
        rule(f"{theirs}.ln_2.*", f"{ours}.feed_forward_norm.*"),
        rule(f"{theirs}.mlp.c_fc.*", f"{ours}.feed_forward.up.*", reshape=TRANSPOSED),
        rule(f"{theirs}.mlp.c_proj.*", f"{ours}.feed_forward.down.*", reshape=TRANSPOSED),
        rule("[transformer.]ln_f.*", "decoder.norm.*"),
    )


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """The vocabulary, by the tokens' own rows or by a map of its own; a head for multiple choice is left out."""
    if config.tied_output:
        return rule("lm_head.weight", "tokens.weight", role="tied"), rule("multiple_choice_head.**")
    return rule("lm_head.weight", "head.output.weight"), rule("multiple_choice_head.**")


NO_LANGUAGE = (rule("lm_head.weight"),)

GPT2 = Family(
    model_type="gpt2",
    source="GPT-2, Radford et al. 2019",
    keys=KEYS,
    fields={
        "stack": "decoder",
        "norm": "layer",
        "norm_first": True,
        "final_norm": True,
        "positions": "learned",
        "initialization": "normal-scaled-residual",
    },
    derive=derive,
    restore=restore,
    rules=body,
    architectures={
        "GPT2LMHeadModel": Architecture(fields={"head": "language-model"}, rules=language),
        "GPT2DoubleHeadsModel": Architecture(
            fields={"head": "language-model"}, rules=language, saved_as="GPT2LMHeadModel"
        ),
        "GPT2ForSequenceClassification": Architecture(
            fields={"head": "sequence-label", "pooling": "last", "label_bias": False},
            rules=lambda config: (rule("score.*", "head.output.*"), *NO_LANGUAGE),
        ),
        "GPT2ForTokenClassification": Architecture(
            fields={"head": "token-label"},
            rules=lambda config: (rule("classifier.*", "head.output.*"), *NO_LANGUAGE),
        ),
        "GPT2ForQuestionAnswering": Architecture(
            fields={"head": "answer-span"},
            rules=lambda config: (rule("qa_outputs.*", "head.output.*"), *NO_LANGUAGE),
        ),
        "GPT2Model": Architecture(fields={"head": "hidden"}, rules=lambda config: NO_LANGUAGE, bare=True),
    },
)
