"""The transformer: tokens, an encoder, a decoder or both, and a head."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import torch
from torch import Tensor, nn

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.glass.touch import Touch
from glassformer.glass.trace import Trace
from glassformer.nn.cache import Cache
from glassformer.nn.heads import make_head
from glassformer.nn.initialization import initialize
from glassformer.nn.part import Part
from glassformer.nn.stack import Stack
from glassformer.nn.twin import Twin

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Transformer(Part):
    """Every family is this one model, composed as its configuration says. Vaswani et al. 2017.

    `drawn=False` leaves its numbers as the memory was: for those who fill it at once.
    """

    def __init__(self, config: TransformerConfig, *, drawn: bool = True) -> None:
        super().__init__()
        self.config = config
        width = config.embedding_size or config.d_model
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.source_tokens = None
        if config.source_vocab_size is not None:
            self.source_tokens = nn.Embedding(config.source_vocab_size, width)
        self.encoder = self.decoder = None
        if config.stack != "decoder":
            self.encoder = Stack(config, config.encoder_layers, causal=False, cross=False)
        if config.stack != "encoder":
            self.decoder = Stack(config, config.decoder_layers, causal=True, cross=self.encoder is not None)
        self.segments = config.segments
        self.compiled = False  # whether it learns by compiled layers
        self.touch: Touch | None = None  # edits in force; every run feels them
        self.touch_alone: Trace | None = None  # hands them the steps of runs that nobody looks at
        self.twin: Twin | None = None  # a quicker way to the same answers; see engine/
        self.head = make_head(config, self.tokens)
        for path, part in self.named_modules():
            if isinstance(part, Part):
                part.path = path
        if drawn:
            initialize(self, config)
        self.to(DTYPES[config.dtype])

    def train(self, mode: bool = True) -> Self:
        """As any module's; what was packed for quick answers is let go of where the weights are to learn."""
        if mode:
            self.twin = None
        return super().train(mode)

    def forward(
        self,
        source: Tensor | None = None,
        target: Tensor | None = None,
        *,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        segments: Tensor | None = None,
        memory: Tensor | None = None,
        cache: Cache | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Ids to what the head answers: (B, T, V), (B, T, L), (B, L), (B, T, 2) or (B, T, C).

        An encoder reads `source`, a decoder `target`, a pair both, or `memory` (what `encode` gave) in place of the
        source. Masks are 1 at real tokens; None means no padding. With a cache, `target` is what is new and
        `target_mask` covers the past too.
        """
        if self.quick is not None and trace is None and memory is None and cache is None:
            answer = self.quick.answer(source, target, source_mask, target_mask, segments)
            if answer is not None:
                return answer
        if trace is not None:
            source_mask, target_mask = self.opened(
                source, target, source_mask, target_mask, memory, cache, trace
            )
        x = self.body(
            source,
            target,
            source_mask=source_mask,
            target_mask=target_mask,
            segments=segments,
            memory=memory,
            cache=cache,
            trace=trace,
        )
        mask = source_mask if self.decoder is None else target_mask
        y: Tensor = self.head(x, mask, self.touched(trace))
        return y

    def touched(self, trace: Trace | None) -> Trace | None:
        """The trace of a run, which knows of the edits in force; where nobody looks and there are any, a blind one."""
        if self.touch is None:
            return trace
        if trace is None:
            return self.touch_alone
        trace.touch = self.touch
        return trace

    @contextmanager
    def touching(self, touch: Touch) -> Iterator[None]:
        """These edits in force for a while, in place of any others."""
        before = self.touch, self.touch_alone
        self.touch, self.touch_alone = touch, Trace.blind(touch)
        try:
            yield
        finally:
            self.touch, self.touch_alone = before

    def scored(self, x: Tensor, chosen: Tensor | tuple[slice | int, ...]) -> Tensor:
        """What the head says at chosen rows of (B, T, C); under edits, which ask where each stands, it reads all."""
        trace = self.touched(None)
        y: Tensor = self.head(x[chosen]) if trace is None else self.head(x, None, trace)[chosen]
        return y

    def body(
        self,
        source: Tensor | None = None,
        target: Tensor | None = None,
        *,
        source_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
        segments: Tensor | None = None,
        memory: Tensor | None = None,
        cache: Cache | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """The same arguments -> (B, T, C), what the head is given."""
        trace = self.touched(trace)
        if self.encoder is not None and memory is None:
            memory = self.encode(required(source, "source"), source_mask, segments, trace)
        if self.decoder is None:
            return required(memory, "source")
        ids = required(target, "target")
        own_segments = self.segmented(ids, segments) if self.encoder is None else None
        x: Tensor = self.decoder(
            ids,
            target_mask,
            self.tokens,
            segment_ids=own_segments,
            memory=memory,
            memory_mask=source_mask,
            cache=cache,
            trace=trace,
        )
        return x

    def recompute_layers(self, wanted: bool) -> None:
        """Whether training keeps only what enters each layer and computes the rest again (gradient checkpointing)."""
        for stack in (self.encoder, self.decoder):
            if stack is not None:
                stack.recompute = wanted

    def compile_layers(self, wanted: bool) -> None:
        """Whether training hands its layers to torch's compiler; who answers or looks runs them as they stand."""
        self.compiled = wanted
        for stack in (self.encoder, self.decoder):
            if stack is not None:
                stack.compiled = wanted

    @property
    def quick(self) -> Twin | None:
        """The twin, where there is one and only the answer matters: nothing is learnt, and no edits are in force."""
        if self.twin is None or self.touch is not None or self.training or torch.is_grad_enabled():
            return None
        return self.twin

    def encode(
        self,
        source: Tensor,
        source_mask: Tensor | None = None,
        segments: Tensor | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Ids (B, S) -> memory (B, S, C): the source, read once."""
        if self.encoder is None:
            raise InputError("this model is a decoder alone: it has no encoder; give the text as target")
        trace = self.touched(trace)
        table = self.tokens if self.source_tokens is None else self.source_tokens
        segment_ids = self.segmented(source, segments)
        memory: Tensor = self.encoder(source, source_mask, table, segment_ids=segment_ids, trace=trace)
        return memory

    def segmented(self, ids: Tensor, segments: Tensor | None) -> Tensor | None:
        """Which text each token belongs to: the first, unless told otherwise."""
        if not self.segments:
            return None
        return torch.zeros_like(ids) if segments is None else segments

    def opened(
        self,
        source: Tensor | None,
        target: Tensor | None,
        source_mask: Tensor | None,
        target_mask: Tensor | None,
        memory: Tensor | None,
        cache: Cache | None,
        trace: Trace,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Make ready to be looked at: names known, and masks that say that nothing is padding."""
        if self.training:
            raise InputError(
                "a model in training drops values at random and cannot be traced; set it to evaluation first"
            )
        trace.know(self.named_parameters())
        read = source if memory is None else memory
        if read is not None and source_mask is None:
            source_mask = torch.ones(read.shape[:2], dtype=torch.bool, device=read.device)
        if target is not None and target_mask is None:
            past = 0 if cache is None else cache.length
            target_mask = torch.ones(
                len(target), past + target.shape[1], dtype=torch.bool, device=target.device
            )
        return source_mask, target_mask


def required(value: Tensor | None, name: str) -> Tensor:
    """The argument that this kind of model cannot do without."""
    if value is None:
        raise InputError(f"this model needs {name} ids, and none were given")
    return value
