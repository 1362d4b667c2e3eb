"""Texts as the input of an encoder (or of a decoder that only reads)."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch, pad
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Encoding, Tokenizer
from glassformer.text.windows import shortened

TOKENS = 4096  # read at once
Item = TypeVar("Item")


def window_of(config: TransformerConfig, asked: int | None) -> int | None:
    """How many tokens a window has: those asked for, or as many as a model can read."""
    limit = config.limit
    if asked is not None and limit is not None and asked > limit:
        raise InputError(f"a window of {asked} tokens was asked for, but this model has {limit} positions")
    return asked if asked is not None else limit


def encoded(
    tokenizer: Tokenizer, texts: Sequence[Text], limit: int | None, *, truncate: bool = False
) -> list[Encoding]:
    """Each text cut into tokens; an empty one is refused, and so is a longer one than `limit`, unless it may be cut."""
    for text in texts:
        pair = isinstance(text, tuple | list) and len(text) == 2 and all(isinstance(part, str) for part in text)
        if not pair and not isinstance(text, str):
            raise InputError(f"the text is {text!r}; expected a text, or a pair of them")
        parts = (text,) if isinstance(text, str) else text
        if not all(part.strip() for part in parts):
            raise InputError("the text is empty; give at least one word")
    encodings = encodings_of(tokenizer, texts)
    if limit is None:
        return encodings
    if truncate:
        return [shortened(one, limit) if len(one) > limit else one for one in encodings]
    for text, encoding in zip(texts, encodings, strict=True):
        if len(encoding) > limit:
            raise too_long(text, len(encoding), limit)
    return encodings


def encodings_of(tokenizer: Tokenizer, texts: Sequence[Text]) -> list[Encoding]:
    """All at once where all are alike."""
    alone = [text for text in texts if isinstance(text, str)]
    pairs = [text for text in texts if not isinstance(text, str)]
    singly = iter(tokenizer.encode_batch(alone))
    doubly = iter(tokenizer.encode_batch([first for first, _ in pairs], [second for _, second in pairs]))
    return [next(singly if isinstance(text, str) else doubly) for text in texts]


def too_long(text: Text, tokens: int, limit: int) -> InputError:
    """What is said of a text that a model has no positions for."""
    begin = text if isinstance(text, str) else text[0]
    return InputError(
        f"the text {begin[:30]!r} has {tokens} tokens, but this model has {limit} positions; shorten the text, "
        "split it, or let its end be left out: truncate=True, on the command line --truncate"
    )


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


def one_run(
    model: Transformer, tokenizer: Tokenizer, text: Text, answer: str, *, truncate: bool = False
) -> Run:
    """The run of one text alone."""
    (encoding,) = encoded(tokenizer, [text], model.config.limit, truncate=truncate)
    return run_of(model, tokenizer, encoding, answer)


def run_of(model: Transformer, tokenizer: Tokenizer, encoding: Encoding, answer: str) -> Run:
    """The run of one text that is cut into tokens already."""
    tokens = {"encoder": [encoding.tokens]} if model.encoder is not None else {}
    if model.decoder is not None:
        tokens["decoder"] = [turned(encoding.tokens) if tokens else encoding.tokens]
    return Run(batch_of(model, tokenizer, [encoding]), tokens, answer)


@torch.inference_mode()
def read(
    model: Transformer, tokenizer: Tokenizer, encodings: Sequence[Encoding], *, tokens: int = TOKENS
) -> Iterator[tuple[int, Tensor]]:
    """(number of the text, what the head says of it) for each, short ones first; nothing is said of padding."""
    for numbers in batches([len(encoding) for encoding in encodings], tokens):
        lot = [encodings[number] for number in numbers]
        said = model(**batch_of(model, tokenizer, lot).inputs()).cpu()
        for number, encoding, row in zip(numbers, lot, precise(said), strict=True):
            yield number, row if said.dim() == 2 else row[: len(encoding)]


def precise(numbers: Tensor) -> Tensor:
    """What follows a model's last number is computed in float32 at least."""
    return numbers if numbers.dtype == torch.float64 else numbers.float()


def in_order(found: Iterator[tuple[int, Item]], count: int) -> list[Item]:
    """Numbered things, each of which comes once, by number."""
    by_number = dict(found)
    return [by_number[number] for number in range(count)]


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """The numbers of the items, shortest first, in lots whose count times longest stays within `tokens`."""
    lot: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if lot and (len(lot) + 1) * lengths[number] > tokens:
            yield lot
            lot = []
        lot.append(number)
    if lot:
        yield lot


def single(text: Text, made: str) -> str:
    """A text that is no pair."""
    if not isinstance(text, str):
        raise InputError(f"a pair of texts was given; {made} one text")
    return text
