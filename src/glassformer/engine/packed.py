"""One stack, packed: new tokens in, rows of numbers out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glassformer.engine.layout import Packer, native_stack
from glassformer.engine.native import NativePast, NativeSource, NativeStack
from glassformer.engine.places import PlaceTables
from glassformer.model import Transformer
from glassformer.nn.stack import Stack


@dataclass(frozen=True, slots=True)
class Texts:
    """Rows of tokens without padding, and where they stood."""

    lengths: list[int]
    ids: list[int]  # all tokens, one row after the other
    segments: list[int] | None
    mask: Tensor | None  # B T: None: there was no padding
    shape: tuple[int, int]

    @property
    def empty(self) -> bool:
        """Whether a row has no token at all."""
        return min(self.lengths, default=0) == 0

    def spread(self, rows: Tensor) -> Tensor:
        """(tokens, X) -> (B, T, X): zeros where padding was."""
        if self.mask is None:
            return rows.view(*self.shape, -1)
        whole = rows.new_zeros(*self.shape, rows.shape[-1])
        whole[self.mask] = rows
        return whole


def texts_of(ids: Tensor, mask: Tensor | None, segments: Tensor | None) -> Texts:
    """Ids, mask and segments (B, T) without the padding."""
    rows, width = ids.shape
    if mask is None:
        flat = None if segments is None else segments.flatten().tolist()
        return Texts([width] * rows, ids.flatten().tolist(), flat, None, (rows, width))
    real = mask.bool()
    told = None if segments is None else segments[real].tolist()
    return Texts(real.sum(1).tolist(), ids[real].tolist(), told, real, (rows, width))


class Packed:
    """One stack: what runs it, and its tables of positions."""

    def __init__(self, model: Transformer, stack: Stack, packer: Packer) -> None:
        self.native: NativeStack = native_stack(model, stack, packer)
        own = model.config.source_vocab_size if stack is model.encoder else None
        self.known, self.segments = own or model.config.vocab_size, model.config.segments
        self.tables = PlaceTables(stack, self.native)

    def past(self, texts: Texts, source: NativeSource | None, *, keeps: bool = False) -> NativePast:
        """Nothing read yet, by so many rows."""
        return NativePast(self.native, len(texts.lengths), keeps=keeps, source=source)

    def read(
        self,
        past: NativePast,
        texts: Texts,
        threads: int,
        *,
        before: Sequence[int] = (0,),
        hidden: bool = False,
        logits: Tensor | None = None,
        each: bool = False,
    ) -> Tensor | None:
        """New tokens of each row -> hidden rows (tokens, C), if asked for; `logits` (tokens or rows, V) is filled."""
        refuse_unknown("token", texts.ids, self.known)
        refuse_unknown("segment", texts.segments or (), self.segments)
        self.tables.grow(max(texts.lengths) + max(before))
        made = torch.empty(len(texts.ids), self.native.width) if hidden else None
        past.run(texts.lengths, texts.ids, texts.segments, hidden=made, logits=logits, each=each, threads=threads)
        return made


def refuse_unknown(what: str, ids: Sequence[int], known: int) -> None:
    """As torch refuses what no table has; the library reads its tables as it is told."""
    if ids and not 0 <= min(ids) <= max(ids) < known:
        raise IndexError(f"{what} {min(ids) if min(ids) < 0 else max(ids)} was given, and the model knows {known:,}")
