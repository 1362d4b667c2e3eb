"""Where tokens stand, as tables that are computed once, by the model's own formulas, and grow with the longest text."""

from threading import Lock

import torch
from torch import Tensor

from glassformer.engine.native import NativeStack
from glassformer.nn.layer import Layer
from glassformer.nn.position import angles
from glassformer.nn.stack import Stack

FIRST = 256  # positions of tables without an end, to begin with


class PlaceTables:
    """The tables of one stack."""

    def __init__(self, stack: Stack, native: NativeStack) -> None:
        self.stack, self.native, self.reach = stack, native, 0
        self.growing = Lock()  # threads may answer at once, and the longest text decides
        self.grow(stack.limit or FIRST)

    def grow(self, length: int) -> None:
        """Have tables for texts of so many tokens; where a table has an end, a longer text is refused."""
        self.stack.check_length(length)
        if length <= self.reach:
            return
        with self.growing:
            if length > self.reach:
                self.fill(self.stack.limit or max(length, 2 * self.reach))

    def fill(self, reach: int) -> None:
        """Tables of so many positions in place of those before."""
        tables = {
            name: table.float().contiguous()
            for name, table in (
                ("rows", self.rows(reach)),
                *zip(("cosines", "sines"), self.turns(reach), strict=True),
                ("bias", self.bias(reach)),
            )
            if table is not None
        }
        self.native.place(tables, reach)
        self.reach = reach

    def rows(self, reach: int) -> Tensor | None:
        """(reach, E): what is added to the tokens."""
        embedding, ids = self.stack.embedding, torch.arange(reach)
        if embedding.positions is not None:
            table: Tensor = embedding.positions.weight.detach()
            rows: Tensor = table[embedding.offset :]
            return rows
        if embedding.waves is not None:
            waves: Tensor = embedding.waves(ids, torch.empty(0))
            return waves
        return None

    def turns(self, reach: int) -> tuple[Tensor | None, Tensor | None]:
        """Cosine and sine (reach, turning numbers / 2) of every turn."""
        first = self.stack.layers[0]
        assert isinstance(first, Layer)
        rotary = first.self_attention.rotary
        if rotary is None:
            return None, None
        ids = torch.arange(reach)
        angle = angles(ids, rotary.size, rotary.base)
        if rotary.stretch != 1.0:
            angle = angle * rotary.speeds(ids.device)
        return angle.cos(), angle.sin()

    def bias(self, reach: int) -> Tensor | None:
        """(heads, 2 * reach - 1): what each distance, from the farthest before to the farthest behind, adds."""
        relative = self.stack.relative
        if relative is None:
            return None
        return relative.table.weight.detach()[relative.buckets(torch.arange(1 - reach, reach))].T
