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


@dataclass(frozen=True)
class Texts:
    """Rows of tokens without padding, and where they stood."""

    lengths: list[int]
    ids: Tensor  # all tokens, one row after the other
    segments: Tensor | None
    mask: Tensor | None  # B T: None: there was no padding
    shape: torch.Size

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
    if mask is None:
        flat = None if segments is None else segments.reshape(-1)
        return Texts([ids.shape[1]] * len(ids), ids.reshape(-1).contiguous(), flat, None, ids.shape)
    real = mask.bool()
    told = None if segments is None else segments[real]
    return Texts(real.sum(1).tolist(), ids[real], told, real, ids.shape)


class Packed:
    """One stack: what runs it, and its tables of positions."""

    def __init__(self, model: Transformer, stack: Stack, packer: Packer) -> None:
        self.native: NativeStack = native_stack(model, stack, packer)
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
        logits: bool = False,
        each: bool = False,
    ) -> tuple[Tensor | None, Tensor | None]:
        """New tokens of each row -> hidden rows (tokens, C), logits (tokens or rows, V), those that are asked for."""
        self.tables.grow(max(texts.lengths) + max(before))
        rows = len(texts.ids) if each else len(texts.lengths)
        made = (
            torch.empty(len(texts.ids), self.native.width) if hidden else None,
            torch.empty(rows, self.native.vocabulary) if logits else None,
        )
        past.run(
            texts.lengths, texts.ids, texts.segments, hidden=made[0], logits=made[1], each=each, threads=threads
        )
        return made
