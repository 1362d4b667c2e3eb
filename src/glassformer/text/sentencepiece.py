"""SentencePiece models (Kudo and Richardson 2018): their file, read here, and a backend that cuts as they do."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from glassformer.errors import InputError

SPACE = "\u2581"
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = range(1, 7)  # kinds of pieces
UNIGRAM, BPE = 1, 2  # kinds of models
NEVER = -1e6  # the score of a token that the model does not have: below any text's


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary."""

    text: str
    score: float = 0.0
    kind: int = NORMAL


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a .model or .spm file says."""

    pieces: tuple[Piece, ...]
    kind: int
    byte_fallback: bool
    charsmap: bytes  # how characters are normalized, compiled
    prefix: bool  # a space is put before the text
    trimmed: bool  # spaces at the ends, and doubled ones, are dropped

    @property
    def unknown(self) -> str:
        """The piece that stands for whatever has none."""
        return next((piece.text for piece in self.pieces if piece.kind == UNKNOWN), "<unk>")


# ------------------------------------------------------------------ the file, a protocol buffer


def read(path: Path) -> Model:
    """A trained model."""
    try:
        return parsed(path.read_bytes())
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path} is not a whole SentencePiece model ({error}); fetch it again") from error


def parsed(data: bytes) -> Model:
    """The three of its messages that decide how a text is cut: pieces, trainer_spec, normalizer_spec."""
    pieces: list[Piece] = []
    spec: dict[int, int | bytes | float] = {}
    cleaning: dict[int, int | bytes | float] = {}
    for number, value in fields(data):
        if number == 1 and isinstance(value, bytes):
            pieces.append(piece(dict(fields(value))))
        elif number in (2, 3) and isinstance(value, bytes):
            (spec if number == 2 else cleaning).update(fields(value))
    if not pieces:
        raise ValueError("it holds no pieces")
    charsmap = cleaning.get(2, b"")
    assert isinstance(charsmap, bytes)
    return Model(
        pieces=tuple(pieces),
        kind=int(spec.get(3, UNIGRAM)),
        byte_fallback=bool(spec.get(35, 0)),
        charsmap=charsmap,
        prefix=bool(cleaning.get(3, 1)),
        trimmed=bool(cleaning.get(4, 1)),
    )


def piece(values: Mapping[int, int | bytes | float]) -> Piece:
    """One message of the vocabulary."""
    text = values[1]
    assert isinstance(text, bytes)
    return Piece(text.decode("utf-8"), float(values.get(2, 0.0)), int(values.get(3, NORMAL)))


def fields(data: bytes) -> Iterator[tuple[int, int | bytes | float]]:
    """(number, value) of each field of a message, as the wire has them."""
    place = 0
    while place < len(data):
        key, place = whole(data, place)
        kind = key & 7
        if kind == 0:
            value, place = whole(data, place)
            yield key >> 3, value
        elif kind == 5:
            yield key >> 3, struct.unpack_from("<f", data, place)[0]
            place += 4
        elif kind == 1:
            place += 8
        elif kind == 2:
            length, place = whole(data, place)
            if place + length > len(data):
                raise ValueError("it ends too early")
            yield key >> 3, data[place : place + length]
            place += length
        else:
            raise ValueError(f"it has a field of kind {kind}")


def whole(data: bytes, place: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


# ------------------------------------------------------------------ the backend


def backend(model: Model, order: Sequence[str], special: Sequence[str]) -> Backend:
    """A tokenizer that cuts as this model does and numbers its tokens in this order.

    Tokens that the model lacks are never cut out of a text, except those of one character, which would be unknown
    otherwise; pieces that the order lacks do not exist. `special` are found in a text as they are written.
    """
    built = Backend(bpe(model, order) if model.kind == BPE else unigram(model, order))
    steps: list[Any] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    if model.trimmed:
        ends, doubled = Regex(r"\A +| +\z"), Regex(" {2,}")
        steps += [normalizers.Replace(ends, ""), normalizers.Replace(doubled, " ")]
    steps.append(normalizers.Replace(" ", SPACE))
    if model.prefix:
        steps.append(normalizers.Replace(Regex(rf"\A{SPACE}"), SPACE * 2))  # one is taken for the prefix
    built.normalizer = normalizers.Sequence(steps)
    cuts: list[Any] = [pre_tokenizers.Metaspace(SPACE, "always", False)] if model.prefix else []
    whole_ones = sorted((p.text for p in model.pieces if p.kind == USER), key=len, reverse=True)
    if whole_ones:
        cuts.append(pre_tokenizers.Split(Regex("|".join(map(re.escape, whole_ones))), "isolated"))
    if cuts:
        built.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    built.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            *([decoders.ByteFallback()] if model.byte_fallback else []),
            decoders.Fuse(),
            *([decoders.Strip(" ", 1, 0)] if model.prefix else []),
        ]
    )
    built.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return built


def unigram(model: Model, order: Sequence[str]) -> models.Unigram:
    """The likeliest pieces. Kudo 2018."""
    scores = {p.text: p.score for p in model.pieces if p.kind in (NORMAL, USER, BYTE)}
    unknown = min(scores.values()) - 10.0  # what an unknown character costs
    rest = {p.text: 0.0 for p in model.pieces if p.kind in (UNKNOWN, CONTROL)}
    listed = [
        (token, scores.get(token, rest.get(token, unknown if len(token) == 1 else NEVER))) for token in order
    ]
    return models.Unigram(listed, unk_id=list(order).index(model.unknown), byte_fallback=model.byte_fallback)


def bpe(model: Model, order: Sequence[str]) -> models.BPE:
    """Two pieces become one where the one they become has the best score. Sennrich et al. 2016."""
    numbers = {token: number for number, token in enumerate(order)}
    normal = {
        p.text: (-p.score, place)
        for place, p in enumerate(model.pieces)
        if p.kind == NORMAL and p.text in numbers
    }
    ranked = [
        (*rank, token[:cut], token[cut:])
        for token, rank in normal.items()
        for cut in range(1, len(token))
        if token[:cut] in normal and token[cut:] in normal
    ]
    return models.BPE(
        numbers,
        [(left, right) for _, _, left, right in sorted(ranked)],
        unk_token=model.unknown,
        fuse_unk=True,
        byte_fallback=model.byte_fallback,
        ignore_merges=any(p.kind == USER for p in model.pieces),
    )
