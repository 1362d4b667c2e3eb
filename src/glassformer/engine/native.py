"""The native library by its own names: what it is given, and the objects that it hands out."""

import ctypes
import warnings
from collections.abc import Mapping, Sequence
from ctypes import POINTER, Structure, addressof, byref, c_double, c_float, c_int32, c_int64, c_void_p
from functools import cache
from typing import Any

import torch
from torch import Tensor

from glassformer.engine.build import KINDS, library
from glassformer.errors import InputError
from glassformer.nn.twin import Continuations

FORMATS = {"float32": 0, "bfloat16": 1, "int8": 2, "int4": 3}  # as `Kind` numbers them in linear.h


class Sizes(Structure):
    """See `Sizes` in stack.h, here and below field by field."""

    _fields_ = [
        *(
            (name, c_int64)
            for name in (
                *("d_model", "heads", "groups", "head_size", "padded_head", "vocabulary", "embedding_width"),
                *("rotary_size", "causal", "norm_first", "parallel", "gated", "activation", "norm"),
                "output_activation",
            )
        ),
        *(
            (name, c_float)
            for name in ("norm_eps", "attention_scale", "embedding_scale", "output_scale")
        ),
    ]


class NormPart(Structure):
    """A norm's weight and bias; both null: no norm."""

    _fields_ = [("weight", c_void_p), ("bias", c_void_p)]


class AttentionPart(Structure):
    """The maps of an attention."""

    _fields_ = [
        *((name, c_void_p) for name in ("query", "key_value", "output")),
        *((name, NormPart) for name in ("query_norm", "key_norm")),
    ]


class LayerPart(Structure):
    """The parts of a layer."""

    _fields_ = [
        *((name, AttentionPart) for name in ("self", "cross")),
        *((name, NormPart) for name in ("self_norm", "cross_norm", "feed_forward_norm")),
        *((name, c_void_p) for name in ("up", "down")),
        ("window", c_int64),
    ]


class Ends(Structure):
    """What stands before the first layer and behind the last one."""

    _fields_ = [
        *((name, c_void_p) for name in ("tokens", "segments")),
        *((name, NormPart) for name in ("embedding_norm", "final_norm", "transform_norm")),
        *((name, c_void_p) for name in ("projection", "transform", "output")),
    ]


class Places(Structure):
    """Tables of positions."""

    _fields_ = [*((name, c_void_p) for name in ("rows", "cosines", "sines", "bias")), ("reach", c_int64)]


class Step(Structure):
    """One step of a stack."""

    _fields_ = [
        ("rows", c_int64),
        *((name, c_void_p) for name in ("lengths", "ids", "segments", "past", "hidden", "logits")),
        *((name, c_int64) for name in ("each", "threads")),
    ]


class Weighing(Structure):
    """What a search asks of logits; see continuations.h."""

    _fields_ = [
        *((name, c_int64) for name in ("sentences", "beams", "width", "vocabulary", "threads")),
        *((name, c_void_p) for name in ("logits", "before", "tokens", "parents", "totals", "log_probabilities")),
    ]


SIGNATURES: Mapping[str, tuple[Any, Sequence[Any]]] = {  # of every function: what it gives, what it takes
    "linear_new": (c_void_p, [c_int64, c_int64, c_int64, c_void_p, c_void_p]),
    "linear_free": (None, [c_void_p]),
    "linear_size": (c_int64, [c_void_p]),
    "linear_run": (c_int64, [c_void_p, c_void_p, c_int64, c_void_p, c_int64]),
    "stack_new": (c_void_p, [POINTER(Sizes), POINTER(Ends), POINTER(LayerPart), c_int64]),
    "stack_free": (None, [c_void_p]),
    "stack_place": (None, [c_void_p, POINTER(Places)]),
    "source_new": (c_void_p, [c_void_p, c_int64, c_void_p, c_void_p, c_int64]),
    "source_free": (None, [c_void_p]),
    "past_new": (c_void_p, [c_void_p, c_int64, c_int64, c_void_p]),
    "past_free": (None, [c_void_p]),
    "past_choose": (None, [c_void_p, c_void_p]),
    "past_select": (None, [c_void_p, c_void_p, c_int64]),
    "past_crop": (None, [c_void_p, c_void_p]),
    "step_run": (c_int64, [c_void_p, POINTER(Step)]),
    "weighing_run": (c_int64, [POINTER(Weighing)]),
    "parcels_run": (c_int64, [c_void_p, c_int64, c_int64]),
    "activation_run": (c_int64, [c_int64, c_void_p, c_void_p, c_int64]),
}


@cache
def native() -> ctypes.CDLL | None:
    """The best library that was built and that this processor runs; None: there is none."""
    for kind in KINDS:
        path = library(kind)
        if path.exists():
            found = ctypes.CDLL(str(path))
            if not all(hasattr(found, name) for name in SIGNATURES):
                told = f"{path} is of older sources and is not used; python -m glassformer.engine.build makes it anew"
                warnings.warn(told, stacklevel=2)
            elif found.runs_here():
                return declared(found)
    return None


def declared(found: ctypes.CDLL) -> ctypes.CDLL:
    """The library with what its functions take and give."""
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, list(arguments)
    return found


def loaded() -> ctypes.CDLL:
    """The library, where one is known to be there."""
    found = native()
    assert found is not None, "whoever uses the native parts has asked for them"
    return found


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
