"""The objects that the native library hands out to the engine."""

import ctypes
from collections.abc import Sequence
from ctypes import addressof, byref, c_double, c_float, c_int32, c_int64
from typing import Any

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.native.library import Ends, LayerPart, Places, Sizes, Step, Weighing, loaded
from glassformer.nn.twin import Continuations

FORMATS = {"float32": 0, "bfloat16": 1, "int8": 2, "int4": 3}  # as `Kind` numbers them in linear.h


class Owned:
    """Something the library made and this object frees; `kept` is what it points into and must outlive it."""

    def __init__(self, kind: str, made: int | None, needed: float, kept: Sequence[object] = ()) -> None:
        self.library = loaded()
        self.free = getattr(self.library, f"{kind}_free")
        self.handle, self.kept = made, kept
        if made is None:
            raise out_of_memory(needed)

    def __del__(self) -> None:
        if self.handle is not None:
            self.free(self.handle)


def out_of_memory(needed: float) -> InputError:
    """What is said when memory was not enough for so many bytes."""
    return InputError(
        f"about {needed / 2**20:,.0f} MiB more of memory were needed and could not be had; "
        "use a lower precision, a smaller batch or shorter texts"
    )


class PackedLinear(Owned):
    """A linear map whose weight (N, K) and bias (N) were packed."""

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: str) -> None:
        self.shape = weight.shape
        weight = weight.detach().float().contiguous()
        bias = None if bias is None else bias.detach().float().contiguous()
        made = loaded().linear_new(
            FORMATS[precision], *weight.shape, weight.data_ptr(), None if bias is None else bias.data_ptr()
        )
        super().__init__("linear", made, needed=weight.numel() * 4)

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return int(self.library.linear_size(self.handle))

    def __call__(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N), in float32."""
        rows = x.float().contiguous().view(-1, self.shape[1])
        y = torch.empty(len(rows), self.shape[0])
        failed = self.library.linear_run(
            self.handle, rows.data_ptr(), len(rows), y.data_ptr(), torch.get_num_threads()
        )
        if failed:
            raise out_of_memory(rows.numel() * 4)
        return y.view(*x.shape[:-1], self.shape[0])


class NativeStack(Owned):
    """A stack that the library runs."""

    def __init__(
        self, sizes: Sizes, ends: Ends, layers: Sequence[LayerPart], kept: Sequence[object]
    ) -> None:
        table = (LayerPart * len(layers))(*layers)
        made = loaded().stack_new(byref(sizes), byref(ends), table, len(layers))
        super().__init__("stack", made, needed=2**20, kept=kept)
        self.width, self.vocabulary, self.depth = int(sizes.d_model), int(sizes.vocabulary), len(layers)
        self.entry = 8 * int(sizes.groups) * int(sizes.padded_head)  # bytes of a key and a value
        self.places: tuple[object, ...] = ()

    def place(self, tables: dict[str, Tensor], reach: int) -> None:
        """From now on these are the tables of positions."""
        places = Places(**{name: table.data_ptr() for name, table in tables.items()}, reach=reach)
        self.library.stack_place(self.handle, byref(places))
        self.places = tuple(tables.values())


class NativeSource(Owned):
    """The keys and values of encoded sources: memory (tokens, C), row after row without padding."""

    def __init__(self, stack: NativeStack, lengths: Sequence[int], memory: Tensor, threads: int) -> None:
        counts = (c_int64 * len(lengths))(*lengths)
        made = loaded().source_new(stack.handle, len(lengths), counts, memory.data_ptr(), threads)
        super().__init__("source", made, needed=len(memory) * stack.entry * stack.depth)


class NativePast(Owned):
    """What a stack has read, a row each; `keeps` False: for one step alone."""

    def __init__(self, stack: NativeStack, rows: int, *, keeps: bool, source: NativeSource | None) -> None:
        made = loaded().past_new(stack.handle, rows, keeps, None if source is None else source.handle)
        super().__init__("past", made, needed=2**20, kept=(source,))
        self.stack, self.rows, self.layers = stack, rows, stack.depth if keeps else 0

    def choose(self, output: PackedLinear) -> None:
        """From now on logits are what this map of some rows of the head makes, in their order."""
        self.library.past_choose(self.handle, output.handle)
        self.kept = (*self.kept, output)

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order."""
        self.library.past_select(self.handle, (c_int64 * len(rows))(*rows), len(rows))
        self.rows = len(rows)

    def crop(self, lengths: Sequence[int]) -> None:
        """Go on from so many of the first tokens of each row."""
        self.library.past_crop(self.handle, (c_int64 * len(lengths))(*lengths))

    def run(
        self,
        lengths: Sequence[int],
        ids: Sequence[int],
        segments: Sequence[int] | None,
        *,
        hidden: Tensor | None,
        logits: Tensor | None,
        each: bool,
        threads: int,
    ) -> None:
        """Read new tokens (ids and segments as one flat row each) and fill `hidden` and `logits`."""
        counts, numbers = (c_int64 * self.rows)(*lengths), (c_int64 * len(ids))(*ids)
        parts = None if segments is None else (c_int64 * len(segments))(*segments)
        step = Step(
            rows=self.rows,
            lengths=addressof(counts),
            ids=addressof(numbers),
            segments=None if parts is None else addressof(parts),
            past=self.handle,
            hidden=None if hidden is None else hidden.data_ptr(),
            logits=None if logits is None else logits.data_ptr(),
            each=each,
            threads=threads,
        )
        if self.library.step_run(self.stack.handle, byref(step)):
            raise out_of_memory(len(ids) * (self.stack.entry * self.layers + 64 * self.stack.width))


class BestFew:
    """Finds the best continuations of a search's sentences; its room is used again from step to step."""

    def __init__(self, rows: int, beams: int, width: int, vocabulary: int, threads: int) -> None:
        self.shape, self.library = (rows, beams, width), loaded()
        sentences, self.width = rows // beams, min(width, beams * vocabulary)
        count = sentences * self.width
        self.before = (c_double * rows)()
        self.tokens, self.parents = (c_int32 * count)(), (c_int32 * count)()
        self.totals, self.logs = (c_double * count)(), (c_float * count)()
        room: tuple[ctypes.Array[Any], ...] = self.before, self.tokens, self.parents, self.totals, self.logs
        places = [addressof(each) for each in room]
        self.weighing = Weighing(sentences, beams, self.width, vocabulary, threads, None, *places)

    def of(self, logits: Tensor, totals: Sequence[float]) -> Continuations:
        """From logits (N V), in float32, and the score of each row (N) so far."""
        self.weighing.logits = logits.data_ptr()
        self.before[:] = list(totals)
        if self.library.weighing_run(byref(self.weighing)):
            raise out_of_memory(2**20)
        return Continuations(self.width, self.tokens[:], self.parents[:], self.totals[:], self.logs[:])
