"""Give a model its quicker twin."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from glassformer.decoding.prompts import MOST
from glassformer.engine.gpu.twin import RecordedTwin
from glassformer.engine.plain import PlainTwin, packs
from glassformer.engine.twin import NativeTwin
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.native.library import native

Way = Literal["native", "oneDNN", "recorded"]  # on a processor by the native engine or torch; on a GPU
Precision = Literal["auto", "float32", "bfloat16", "int8", "int4"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
PROCESSOR = torch.device("cpu")
LOWER: Mapping[str, str] = {"int8": "bfloat16", "int4": "bfloat16", "bfloat16": "float32"}


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What a model was prepared to."""

    precision: str  # that its weights are packed in
    asked: Precision
    way: Way
    size: int  # bytes of packed weights

    @property
    def native(self) -> bool:
        """Whether the native engine computes, and not torch."""
        return self.way == "native"

    @property
    def note(self) -> str | None:
        """One line where this is not what was asked for."""
        if self.asked in ("auto", self.precision):
            return None
        where = "works on a processor" if self.way == "recorded" else "is not here"
        return f"{self.asked} needs the native engine, which {where}; {self.precision} is used instead"

    def __str__(self) -> str:
        how = "steps recorded" if self.way == "recorded" else f"packed, {self.way}"
        return f"{self.precision}, {self.size / 2**20:,.1f} MiB {how}"


def prepare(
    model: Transformer, precision: Precision = "auto", *, use_native: bool = True, prompt_bytes: int = MOST
) -> Preparation:
    """From now on the model answers by its twin, wherever nothing is learnt and nobody looks.

    The weights are packed as they are now; after they change, prepare again. "auto" is bfloat16 where the processor
    multiplies that, else float32. `use_native` False computes with torch even where the native engine is. On a GPU
    nothing is packed, and steps are recorded. Up to `prompt_bytes` of keys and values of the latest texts are kept, for
    those that begin alike.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision!r}; expected one of {', '.join(map(repr, PRECISIONS))}")
    device = model.tokens.weight.device
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"there is no engine for {device.type}, where this model is; move it to cpu or cuda")
    unprepare(model)
    model.eval()
    with torch.no_grad():
        twin, way = made(model, best(device) if precision == "auto" else precision, use_native)
    twin.prompts.most = prompt_bytes
    model.twin = twin
    return Preparation(precision=twin.precision, asked=precision, way=way, size=twin.size)


def made(model: Transformer, precision: str, use_native: bool) -> tuple[NativeTwin | PlainTwin | RecordedTwin, Way]:
    """The twin, at this precision or the next that is to be had."""
    on_gpu = model.tokens.weight.is_cuda
    if use_native and not on_gpu and native() is not None:
        return NativeTwin(model, precision), "native"
    possible = multiplies if on_gpu else packs
    while not possible(precision):
        precision = LOWER[precision]
    return (RecordedTwin(model, precision), "recorded") if on_gpu else (PlainTwin(model, precision), "oneDNN")


def unprepare(model: Transformer) -> None:
    """Let the model answer by itself again."""
    model.twin = None


@contextmanager
def unaided(model: Transformer) -> Iterator[None]:
    """Let it answer by itself for a while."""
    twin, model.twin = model.twin, None
    try:
        yield
    finally:
        model.twin = twin


@contextmanager
def prepared(model: Transformer) -> Iterator[None]:
    """Whatever it is prepared to inside, afterwards it is as it was."""
    twin, training = model.twin, model.training
    try:
        yield
    finally:
        model.twin = twin
        model.train(training)


def best(device: torch.device = PROCESSOR) -> str:
    """The precision that this device is good at and that changes little."""
    good = multiplies("bfloat16") if device.type == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if good else "float32"


def multiplies(precision: str) -> bool:
    """Whether the GPU has this kind of number."""
    return precision == "float32" or (
        precision == "bfloat16" and torch.cuda.is_bf16_supported(including_emulation=False)
    )
