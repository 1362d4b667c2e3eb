"""A small random model for every task, every parameter moved, in float64."""

from functools import cache
from typing import Any

import torch

from glassformer import pretrained
from glassformer.config import TransformerConfig
from glassformer.model import Transformer
from glassformer.tasks.model import Model
from glassformer.text.tokenizer import Tokenizer

TEXTS = [
    "the cat sat on the mat and the dog sat on the cat",
    "a big dog saw the small cat on a mat and ran",
    "the boys saw the girl and the girls saw the boy",
] * 3
SIZES: dict[str, Any] = {"d_model": 16, "heads": 4, "d_ff": 24, "max_positions": 64, "dtype": "float64"}
BERT: dict[str, Any] = {"stack": "encoder", "encoder_layers": 2, "segments": 2, "embedding_norm": True}
GPT: dict[str, Any] = {
    "stack": "decoder", "decoder_layers": 2, "norm_first": True, "final_norm": True, "activation": "gelu-tanh",
}  # fmt: skip
PAIR: dict[str, Any] = {"stack": "encoder-decoder", "encoder_layers": 2, "decoder_layers": 2}
KINDS: dict[str, dict[str, Any]] = {
    "generation": {**GPT, "head": "language-model"},
    "rotary": {
        **GPT, "norm": "rms", "positions": "rotary", "kv_heads": 2, "gated": True, "activation": "silu",
        "attention_bias": False, "feed_forward_bias": False,
    },
    "parallel": {**GPT, "parallel_residual": True, "positions": "rotary"},
    "rewriting": {**PAIR, "positions": "sinusoidal", "embedding_scale": True},
    "bart": {**PAIR, "embedding_norm": True, "position_offset": 2, "output_bias": True},
    "t5": {
        **PAIR, "positions": "relative", "norm": "rms", "norm_first": True, "final_norm": True,
        "attention_scale": False, "attention_bias": False, "feed_forward_bias": False, "output_scale": True,
    },
    "classification": {**BERT, "head": "sequence-label", "labels": 3, "pooler": True},
    "plain": {**BERT, "head": "sequence-label", "labels": 3, "norm": "none", "embedding_norm": False},
    "tagging": {**BERT, "head": "token-label", "labels": 3},
    "electra": {**BERT, "head": "token-label", "labels": 3, "embedding_size": 8, "label_transform": True},
    "answering": {**BERT, "head": "answer-span"},
    "filling": {**BERT, "head": "masked-language-model", "output_transform": True, "output_bias": True},
    "last": {**GPT, "head": "sequence-label", "labels": 3, "pooling": "last"},
    "hidden": {**BERT, "head": "hidden"},
}  # fmt: skip
LABELS = {"tagging": ("O", "B-PER", "I-PER"), "electra": ("O", "B-PER", "I-PER")}
INPUTS: dict[str, Any] = {
    "answering": ("what sat", "the cat sat on the mat and the dog ran"),
    "filling": "the [MASK] sat on the [MASK]",
}
TEXT = "the cat saw the small dog"
WRITERS = ("generation", "rotary", "parallel", "rewriting", "bart", "t5")
READERS = ("classification", "plain", "tagging", "electra", "answering", "filling", "last")


def model_of(kind: str, seed: int = 0, **changes: Any) -> Model:
    """A model of this kind, new."""
    fields = {**SIZES, **KINDS[kind], **changes}
    special = {"encoder": "bert", "decoder": "gpt", "encoder-decoder": "roberta"}[fields["stack"]]
    tokenizer = Tokenizer.train(
        "wordpiece" if special == "bert" else "byte-bpe", TEXTS, vocab_size=90 if special == "bert" else 300,
        special=special,
    )  # fmt: skip
    config = TransformerConfig(vocab_size=tokenizer.vocab_size, **fields)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)  # what is drawn depends on it
    torch.manual_seed(seed)
    transformer = Transformer(config).eval()
    torch.set_default_dtype(usual)
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter += 0.25 * torch.randn_like(parameter)
    labels = LABELS.get(kind, tuple(f"label-{number}" for number in range(fields.get("labels", 0))))
    checkpoint = pretrained.Checkpoint(
        transformer=transformer,
        family="transformer",
        raw={"model_type": "transformer", "task": "translation"},
        labels=labels,
        generation={"max_new_tokens": 8, "num_beams": 1},
    )
    return Model(checkpoint, tokenizer)


@cache
def shared(kind: str) -> Model:
    """The same, made once: tests leave it as it was."""
    return model_of(kind)


def text_of(kind: str) -> Any:
    """What such a model reads."""
    return INPUTS.get(kind, TEXT)
