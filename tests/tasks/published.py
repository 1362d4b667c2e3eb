"""Small random checkpoints of `transformers`, every parameter moved, with a tokenizer of ours beside them."""

from pathlib import Path
from typing import Any

import torch
import transformers

from glassformer.text.tokenizer import Tokenizer

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

TEXTS = (
    "Angela Merkel visited the U.S. and Paris, in May 2019.",
    "Zoë's café-bar (near Berlin) serves unaffordable coffee!",
    "An extraordinarily long, unbelievably unpronounceable name: Llanfairpwllgwyngyll",
    "ok",
    "   spaces   around\tand within ",
    "The cat sat on the mat. The dog sat on the cat; and so on, and so on...",
)
LAST = ("classifier.weight", "qa_outputs.weight", "out_proj.weight")  # moved far, so that answers differ
BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
BART = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24,
}  # fmt: skip


def tokenizer_in(folder: Path, kind: str, special: str, size: int = 400) -> Tokenizer:
    """A vocabulary so small that most words are cut."""
    tokenizer = Tokenizer.train(kind, TEXTS, vocab_size=size, special=special)
    tokenizer.save(folder)
    return tokenizer


def save(folder: Path, config: Any, name: str, seed: int = 0) -> Any:
    """A model of theirs in float64, in a checkpoint folder."""
    torch.manual_seed(seed)
    model = getattr(transformers, name)(config).double().eval()
    with torch.no_grad():
        for place, parameter in model.named_parameters():
            parameter += (1.0 if place.endswith(LAST) else 0.2) * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model


def bert(folder: Path, name: str, *, seed: int = 0, **fields: Any) -> tuple[Any, Tokenizer]:
    """A BERT with this head."""
    tokenizer = tokenizer_in(folder, "wordpiece", "bert", fields.pop("size", 90))
    config = transformers.BertConfig(
        vocab_size=tokenizer.vocab_size,
        pad_token_id=tokenizer.pad_id,
        **{**BERT, "max_position_embeddings": 150, **fields},
    )
    return save(folder, config, name, seed), tokenizer


def bart(folder: Path, name: str, *, seed: int = 0, **fields: Any) -> tuple[Any, Tokenizer]:
    """A BART with this head; its vocabulary frames a text by <s> and </s>."""
    tokenizer = tokenizer_in(folder, "byte-bpe", "roberta")
    config = transformers.BartConfig(
        vocab_size=tokenizer.vocab_size, pad_token_id=tokenizer.pad_id, bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id, decoder_start_token_id=tokenizer.eos_id, forced_eos_token_id=None,
        **{**BART, "max_position_embeddings": 200, **fields},
    )  # fmt: skip
    return save(folder, config, name, seed), tokenizer


def labels(*names: str) -> dict[str, Any]:
    """The labels of a configuration of theirs."""
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
    }
