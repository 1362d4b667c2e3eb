"""The beginning of a walk: how a text became numbers, by the tokenizer's own account of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glassformer.errors import InputError
from glassformer.glass.plain import as_plain
from glassformer.glass.trace import Trace
from glassformer.studio.shelf import Opened
from glassformer.tasks.answering import Answering
from glassformer.tasks.generation import Generation
from glassformer.tasks.rewriting import Rewriting
from glassformer.text.cutting import Tokenization
from glassformer.text.tokenizer import Tokenizer

MOST = 120  # words of a text whose steps are told; the same goes for the pieces that are listed

IDEAS: Mapping[str, str] = {
    "BPE": "Byte-pair encoding begins with single characters and joins neighbours, always the two that were "
    "joined first when the vocabulary was learnt: merge 3 before merge 11. When no two neighbours can be joined "
    "any more, the pieces are found.",
    "bytes": "Byte-pair encoding begins with single bytes, each written as a character (a space is Ġ), and "
    "joins neighbours, always the two that were joined first when the vocabulary was learnt: merge 3 before "
    "merge 11. When no two neighbours can be joined any more, the pieces are found.",
    "WordPiece": "WordPiece takes the longest piece of its vocabulary that the word begins with, then the "
    "longest that the rest begins with, until nothing is left. A piece that goes on a word is written with ## "
    "before it.",
    "Unigram": "A unigram model knows how likely each piece is, as a log-probability. Of all ways to cut the "
    "word it takes the one with the greatest sum, found from left to right: the best path to each character is "
    "told here, with its sum.",
    "WordLevel": "This vocabulary holds whole words (or single characters): each is looked up, and is one piece.",
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """A text that the model was given: what it is called, what cuts it, and which stack reads it."""

    title: str
    text: str
    tokenizer: Tokenizer
    side: str


def given(opened: Opened, text: str, context: str | None, trace: Trace) -> tuple[Given, ...]:
    """The texts of a run, in the order in which they are read; last the answer that is wanted, where it is words."""
    task, own = opened.model.task, opened.model.tokenizer
    if isinstance(task, Rewriting):
        found = [Given("the text", f"{task.prefix}{text}", task.source_tokenizer, "encoder")]
    else:
        side = "decoder" if trace.tokens.get("decoder") else "encoder"
        found = [Given("the question" if isinstance(task, Answering) else "the text", text, own, side)]
        found += [Given("the context", context, own, side)] if context is not None else []
    if trace.wanted and isinstance(task, Generation | Rewriting):
        found.append(Given("the answer that is wanted", trace.wanted, own, "decoder"))
    return tuple(found)


def cut(one: Given, trace: Trace) -> dict[str, Any]:
    """How one text became ids: its words, each with its steps, its pieces, and what the model then reads."""
    found = one.tokenizer.steps(one.text)
    words = list(found.words)
    return {
        "title": one.title,
        "text": one.text,
        "normalized": changed(found),
        "kind": found.kind,
        "idea": IDEAS["bytes" if by_bytes(one.tokenizer) else found.kind],
        "words": as_plain(words[:MOST]),
        "word_count": len(words),
        "tokens": list(found.tokens[:MOST]),
        "ids": list(found.ids[:MOST]),
        "token_count": len(found.ids),
        "agrees": found.agrees,
        "side": one.side,
        "read": list(read(one, trace)),
    }


def changed(found: Tokenization) -> str | None:
    """The text after it was normalized; None where that changed nothing."""
    normalized = "".join(stretch.normalized for stretch in found.stretches)
    return None if normalized == found.text else normalized


def by_bytes(tokenizer: Tokenizer) -> bool:
    """Whether the pieces are made of bytes that are written as characters."""
    before = tokenizer.backend.pre_tokenizer
    return "ByteLevel" in repr(before)


def read(one: Given, trace: Trace) -> Iterator[dict[str, Any]]:
    """What the stack reads, of a text that goes on only what was there before the first new token."""
    texts = trace.tokens.get(one.side) or [[]]
    ids = trace[f"{one.side}.ids"].value[0].tolist()
    count = trace.begun if one.side == "decoder" and trace.begun else len(ids)
    for token, number in list(zip(texts[0], ids, strict=False))[: min(count, MOST)]:
        yield {"token": token, "id": number}


def place_of(texts: tuple[Given, ...], place: int) -> Given:
    """One of them by its place."""
    if not 0 <= place < len(texts):
        raise InputError(f"this run read {len(texts)} texts, and text {place} was asked for; they are counted from 0")
    return texts[place]
