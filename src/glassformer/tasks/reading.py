"""Texts as the input of an encoder (or of a decoder that only reads)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from glassformer.data.batch import Batch, pad
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Encoding, Tokenizer

LOT = 32  # texts read at once
Item = TypeVar("Item")


@dataclass(frozen=True)
class Read:
    """A lot of texts, what they were cut into, and what the model's head said of them."""

    texts: Sequence[Text]
    encodings: Sequence[Encoding]
    logits: Tensor


def encoded(tokenizer: Tokenizer, texts: Sequence[Text], limit: int) -> list[Encoding]:
    """Each text cut into tokens; an empty one, and one longer than the model, is refused."""
    encodings = []
    for text in texts:
        first, second = (text, None) if isinstance(text, str) else text
        for part in (first, second):
            if part is not None and not part.strip():
                raise InputError("the text is empty; give at least one word")
        encoding = tokenizer.encode(first, second)
        if len(encoding) > limit:
            raise InputError(
                f"the text {first[:30]!r} has {len(encoding)} tokens, but this model has {limit} positions; "
                "shorten the text or split it"
            )
        encodings.append(encoding)
    return encodings


def batch_of(model: Transformer, tokenizer: Tokenizer, encodings: Sequence[Encoding]) -> Batch:
    """These texts as what the model reads, padded at the end."""
    ids, mask = pad([encoding.ids for encoding in encodings], tokenizer.pad_id or 0)
    if model.encoder is None:
        batch = Batch(target=ids, target_mask=mask)
    else:
        segments = (
            pad([encoding.segments for encoding in encodings], 0)[0] if model.config.segments > 1 else None
        )
        target = None
        if model.decoder is not None:
            target = pad([turned(encoding.ids) for encoding in encodings], tokenizer.pad_id or 0)[0]
        batch = Batch(
            source=ids,
            source_mask=mask,
            segments=segments,
            target=target,
            target_mask=None if target is None else mask,
        )
    return batch.to(model.tokens.weight.device)


def turned(items: list[Item]) -> list[Item]:
    """What a decoder reads that reads its source once more: behind its own end (Lewis et al. 2020, section 3.1)."""
    return [*items[-1:], *items[:-1]]


def one_run(model: Transformer, tokenizer: Tokenizer, text: Text, answer: str) -> Run:
    """The run of one text alone."""
    encodings = encoded(tokenizer, [text], model.config.max_positions)
    tokens = {"encoder": [encodings[0].tokens]} if model.encoder is not None else {}
    if model.decoder is not None:
        tokens["decoder"] = [turned(encodings[0].tokens) if tokens else encodings[0].tokens]
    return Run(batch_of(model, tokenizer, encodings), tokens, answer)


@torch.inference_mode()
def read(model: Transformer, tokenizer: Tokenizer, texts: Sequence[Text]) -> Iterator[Read]:
    """What the head says of the texts, a lot at a time."""
    encodings = encoded(tokenizer, texts, model.config.max_positions)
    for start in range(0, len(texts), LOT):
        lot = encodings[start : start + LOT]
        yield Read(texts[start : start + LOT], lot, model(**batch_of(model, tokenizer, lot).inputs()))
