"""The native library by its own names: what its functions take and give, and the one that this processor runs."""

import ctypes
import warnings
from collections.abc import Mapping, Sequence
from ctypes import POINTER, Structure, c_float, c_int64, c_uint64, c_void_p
from functools import cache
from typing import Any

from glassformer.native.build import KINDS, library


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


class Fate(Structure):
    """What dropout does; see learning.h, here and below."""

    _fields_ = [("zeros", c_int64), ("keep", c_float), ("seed", c_uint64)]


class Scores(Structure):
    """Of which shape scores are, and what is added to them."""

    _fields_ = [
        *((name, c_int64) for name in ("batches", "heads", "queries", "keys")),
        ("added", c_void_p),
        ("strides", c_int64 * 3),
        ("causal", c_int64),
        ("scale", c_float),
    ]


class Rows(Structure):
    """Where the numbers of queries, keys, values or what is mixed of them are."""

    _fields_ = [("at", c_void_p), *((name, c_int64) for name in ("batch", "head", "row"))]


class Mix(Structure):
    """What attention reads and makes."""

    _fields_ = [
        ("size", c_int64),
        *((name, Rows) for name in ("query", "key", "value", "mixed")),
        ("weights", c_void_p),
    ]


class Adam(Structure):
    """The factors of a step of AdamW."""

    _fields_ = [
        (name, c_float)
        for name in ("decay", "new_mean", "old_square", "new_square", "root_left", "eps", "rate")
    ]


class Table(Structure):
    """A table that learns, its moments, and the rows that have a gradient."""

    _fields_ = [
        *((name, c_int64) for name in ("rows", "size", "count")),
        *((name, c_void_p) for name in ("ids", "gradient", "values", "mean", "square", "moved")),
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
    "learn_gelu_tanh": (c_int64, [c_int64, c_void_p, c_void_p, c_int64, c_int64]),
    "learn_gelu_tanh_back": (c_int64, [c_int64, c_void_p, c_void_p, c_void_p, c_int64, c_int64]),
    "learn_drop": (c_int64, [c_int64, POINTER(Fate), c_void_p, c_void_p, c_int64, c_int64]),
    "learn_drop_onto": (c_int64, [c_int64, POINTER(Fate), c_void_p, c_void_p, c_void_p, c_int64, c_int64]),
    "learn_drop_back": (c_int64, [c_int64, POINTER(Fate), c_void_p, c_void_p, c_int64, c_int64]),
    "learn_weigh": (c_int64, [c_int64, POINTER(Fate), POINTER(Scores), c_void_p, c_void_p, c_void_p, c_int64]),
    "learn_weigh_back": (c_int64, [c_int64, POINTER(Fate), POINTER(Scores), c_void_p, c_void_p, c_void_p, c_int64]),
    "learn_has_pairs": (c_int64, []),
    "learn_turn_columns": (c_int64, [c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_int64]),
    "learn_turned_width": (c_int64, [c_int64]),
    "learn_attends": (c_int64, [c_int64]),
    "learn_attention_width": (c_int64, [c_int64]),
    "learn_attend": (c_int64, [POINTER(Fate), POINTER(Scores), POINTER(Mix), c_int64]),
    "learn_attend_back": (c_int64, [POINTER(Fate), POINTER(Scores), POINTER(Mix), POINTER(Mix), c_int64]),
    "learn_step_table": (c_int64, [POINTER(Adam), POINTER(Table), c_int64]),
    "parcels_run": (c_int64, [c_void_p, c_int64, c_int64]),
    "activation_run": (c_int64, [c_int64, c_void_p, c_void_p, c_int64]),
}


@cache
def native() -> ctypes.CDLL | None:
    """The best library that was built and that this processor runs; None: there is none."""
    for kind in KINDS:
        path = library(kind)
        if path.exists():
            try:
                found = ctypes.CDLL(str(path))
            except OSError as error:
                warnings.warn(f"{path} cannot be loaded and is not used: {error}", stacklevel=2)
                continue
            if not all(hasattr(found, name) for name in SIGNATURES):
                told = f"{path} is of older sources and is not used; python -m glassformer.native.build makes it anew"
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
