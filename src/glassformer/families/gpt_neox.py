"""GPT-NeoX and Pythia: both sub-layers read the same row, and a part of each head turns.

Black et al. 2022, "GPT-NeoX-20B"; Biderman et al. 2023, "Pythia". `transformers` computes turns in float32 whatever the
model is: there the two agree to 1e-5; with these raised to float64, to 1e-10.
"""

import torch

from glassformer.config import TransformerConfig
from glassformer.families import heads, rotary
from glassformer.families.family import ACTIVATIONS, Architecture, Family, Fields, Key, Raw
from glassformer.weights import Reshape, Rule, rule

KEYS = (
    Key("vocab_size", 50432, "vocab_size"),
    Key("hidden_size", 6144, "d_model"),
    Key("num_attention_heads", 64, "heads"),
    Key("intermediate_size", 24576, "d_ff"),
    Key("num_hidden_layers", 44, "decoder_layers"),
    Key("max_position_embeddings", 2048, "max_positions"),
    Key("hidden_act", "gelu", "activation", ACTIVATIONS),
    Key("layer_norm_eps", 1e-5, "norm_eps"),
    Key("use_parallel_residual", True, "parallel_residual"),
    Key("attention_bias", True, "attention_bias"),
    Key("hidden_dropout", 0.0, "dropout"),
    Key("attention_dropout", 0.0, "attention_dropout"),
    Key("initializer_range", 0.02, "initialization_std"),
    Key("tie_word_embeddings", False, "tied_output"),
    Key("rotary_emb_base", 10000.0),
    Key("rotary_pct", 0.25),
    *(key for key in rotary.KEYS if key.theirs != "rope_theta"),
)


def derive(raw: Raw) -> Fields:
    """How positions turn, in words of its own."""
    return rotary.read({**raw, "rope_theta": raw["rotary_emb_base"]}, share=raw["rotary_pct"])


def restore(config: TransformerConfig) -> Raw:
    """The same keys again."""
    said = dict(rotary.written(config))
    share = (config.rotary_size or config.size_of_head) / config.size_of_head
    return {"rotary_emb_base": said.pop("rope_theta"), "rotary_pct": share, **said}


def beside(heads: int) -> Reshape:
    """Query, key and value of one head, then those of the next."""
    return Reshape(
        ours=lambda w: tuple(
            w.reshape(heads, 3, -1, *w.shape[1:])[:, part].flatten(0, 1) for part in range(3)
        ),
        theirs=lambda pieces: torch.stack(
            [w.reshape(heads, -1, *w.shape[1:]) for w in pieces], dim=1
        ).flatten(0, 2),
    )


def body(config: TransformerConfig) -> tuple[Rule, ...]:
    """The names of embedding and layers."""
    theirs, ours = "[gpt_neox.]layers.{i}", "decoder.layers.{i}"
    fused = (f"{ours}.self_attention.{part}.*" for part in ("query", "key", "value"))
    return (
        rule("[gpt_neox.]embed_in.*", "tokens.*"),
        rule(f"{theirs}.input_layernorm.*", f"{ours}.self_attention_norm.*"),
        rule(f"{theirs}.attention.query_key_value.*", *fused, reshape=beside(config.heads)),
        rule(f"{theirs}.attention.dense.*", f"{ours}.self_attention.output.*"),
        rule(f"{theirs}.attention.bias"),  # the mask that hides the future, stored by old files
        rule(f"{theirs}.attention.masked_bias"),
        rule(f"{theirs}.attention.rotary_emb.inv_freq"),
        rule(f"{theirs}.post_attention_layernorm.*", f"{ours}.feed_forward_norm.*"),
        rule(f"{theirs}.mlp.dense_h_to_4h.*", f"{ours}.feed_forward.up.*"),
        rule(f"{theirs}.mlp.dense_4h_to_h.*", f"{ours}.feed_forward.down.*"),
        rule("[gpt_neox.]final_layer_norm.*", "decoder.norm.*"),
    )


def language(config: TransformerConfig) -> tuple[Rule, ...]:
    """The vocabulary, by a map of its own or by the tokens' own rows."""
    if config.tied_output:
        return (rule("embed_out.weight", "tokens.weight", role="tied"),)
    return (rule("embed_out.weight", "head.output.weight"),)


GPT_NEOX = Family(
    model_type="gpt_neox",
    source="GPT-NeoX, Black et al. 2022, and Pythia, Biderman et al. 2023",
    keys=KEYS,
    fields={
        "stack": "decoder",
        "norm": "layer",
        "norm_first": True,
        "final_norm": True,
        "positions": "rotary",
        "initialization": "normal",
    },
    derive=derive,
    restore=restore,
    rules=body,
    renamed={"lm_head.weight": "embed_out.weight"},
    architectures={
        "GPTNeoXForCausalLM": Architecture(fields={"head": "language-model"}, rules=language),
        "GPTNeoXForSequenceClassification": Architecture(
            fields={"head": "sequence-label", "pooling": "last", "label_bias": False},
            rules=lambda config: (rule("score.*", "head.output.*"),),
        ),
        "GPTNeoXForTokenClassification": Architecture(
            fields={"head": "token-label"}, rules=lambda config: heads.LABELS
        ),
        "GPTNeoXForQuestionAnswering": Architecture(
            fields={"head": "answer-span"}, rules=lambda config: heads.SPAN
        ),
        "GPTNeoXModel": Architecture(fields={"head": "hidden"}, bare=True),
    },
)
