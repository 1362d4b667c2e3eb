"""Give a model its quicker twin."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from glassformer.decoding.prompts import MOST
from glassformer.engine.native import native
from glassformer.engine.plain import PlainTwin, packs
from glassformer.engine.twin import NativeTwin
from glassformer.errors import InputError
from glassformer.model import Transformer

Precision = Literal["auto", "float32", "bfloat16", "int8", "int4"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LOWER: Mapping[str, str] = {"int8": "bfloat16", "int4": "bfloat16", "bfloat16": "float32"}


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What a model was prepared to."""

    precision: str  # that its weights are packed in
    asked: Precision
    native: bool  # False: torch computes, with weights that oneDNN packed
    size: int  # bytes of packed weights

    @property
    def note(self) -> str | None:
        """One line where this is not what was asked for."""
        if self.asked in ("auto", self.precision):
            return None
        return f"{self.asked} needs the native engine, which is not here; {self.precision} is used instead"

    def __str__(self) -> str:
        how = "native" if self.native else "oneDNN"
        return f"{self.precision}, {self.size / 2**20:,.1f} MiB packed, {how}"


def prepare(
    model: Transformer, precision: Precision = "auto", *, use_native: bool = True, prompt_bytes: int = MOST
) -> Preparation:
    """From now on the model answers by its twin, wherever nothing is learnt and nobody looks.

    The weights are packed as they are now; after they change, prepare again. "auto" is bfloat16 where the processor
    multiplies that, else float32. `use_native` False computes with torch even where the native engine is. Up to
    `prompt_bytes` of keys and values of the latest texts are kept, for those that begin alike.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision!r}; expected one of {', '.join(map(repr, PRECISIONS))}")
    device = model.tokens.weight.device.type
    if device != "cpu":
        raise InputError(f"the engine packs weights for a processor, and this model is on {device}; move it to cpu")
    chosen = best() if precision == "auto" else precision
    unprepare(model)
    model.eval()
    with torch.no_grad():
        if use_native and native() is not None:
            twin: NativeTwin | PlainTwin = NativeTwin(model, chosen)
        else:
            while not packs(chosen):
                chosen = LOWER[chosen]
            twin = PlainTwin(model, chosen)
    twin.prompts.most = prompt_bytes
    model.twin = twin
    return Preparation(precision=chosen, asked=precision, native=isinstance(twin, NativeTwin), size=twin.size)


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


def best() -> str:
    """The precision that this processor is good at and that changes little."""
    return "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"
