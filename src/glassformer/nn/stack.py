"""Encoder and decoder: an embedding, then layers."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.glass.standing import PADDING, Standing, numbered
from glassformer.glass.trace import Trace
from glassformer.nn.attention import Visibility, kind_of_scores, mask_of
from glassformer.nn.cache import Cache
from glassformer.nn.compiled import compiled
from glassformer.nn.embedding import Embedding
from glassformer.nn.layer import Layer
from glassformer.nn.norm import make_norm
from glassformer.nn.part import Part
from glassformer.nn.position import RelativeBias


class Stack(Part):
    """Layers on top of an embedding; a decoder is one that may not look ahead. Vaswani et al. 2017, section 3.1."""

    def __init__(self, config: TransformerConfig, layers: int, causal: bool, cross: bool) -> None:
        super().__init__()
        self.causal, self.window = causal, config.window if causal else None
        self.windowed = frozenset(config.near_layers)
        self.in_part = config.windowed_layers is not None  # the others see everything
        self.limit = config.max_positions if config.positions.startswith("learned") else None
        self.embedding = Embedding(config)
        self.relative = None
        if config.positions.endswith("relative"):
            self.relative = RelativeBias(config, both_ways=not causal)
        self.layers = nn.ModuleList(Layer(config, cross) for _ in range(layers))
        if config.distinct_layers is not None:
            share(self.layers, config.distinct_layers)
        self.norm = make_norm(config) if config.final_norm else None
        self.recompute = False  # learn with less memory: Chen et al. 2016
        self.compiled = False  # learn by compiled layers

    def forward(
        self,
        ids: Tensor,
        attention_mask: Tensor | None,
        table: nn.Embedding,
        *,
        segment_ids: Tensor | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        cache: Cache | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Ids (B, T), attention mask (B, past + T), memory (B, K, C) -> (B, T, C)."""
        seen = 0 if cache is None else cache.length
        self.check_length(seen + ids.shape[1])
        if trace is not None:
            if trace.touch is not None:
                trace.stand(self.standing(ids, attention_mask, memory, memory_mask, cache, trace.begun))
            ids = self.step("ids", "B T", ids, trace, "given")
            attention_mask = self.given("attention_mask", "B K", attention_mask, trace)
            segment_ids = self.given("segment_ids", "B T", segment_ids, trace)
            memory = self.given("memory", "B S C", memory, trace)
            memory_mask = self.given("memory_attention_mask", "B S", memory_mask, trace)
        keys = self.numbered(attention_mask, ids, seen)
        position_ids = self.step(
            "position_ids", "B T", keys[:, seen:], trace, "position_ids", (attention_mask,), new=ids.shape[1]
        )
        x = self.embedding(ids, position_ids, table, segment_ids, trace)
        visible = self.visibility(attention_mask, keys, position_ids, x, trace)
        memory_visible = None if memory is None else self.memory_visibility(memory_mask, x, trace)
        near = self.near(visible, attention_mask, keys, x, trace)
        learning = self.training and torch.is_grad_enabled()
        again = learning and self.recompute
        run = compiled(through) if learning and self.compiled and trace is None and cache is None else through
        for number, layer in enumerate(self.layers):
            seen_here = near if number in self.windowed else visible
            read = (x, seen_here, position_ids, memory, memory_visible, cache, trace)
            x = checkpoint(run, layer, *read, use_reentrant=False) if again else run(layer, *read)
        if self.norm is not None:
            x = self.norm(x, trace)
        if cache is not None:
            cache.length = seen + ids.shape[1]
        return self.step("output", "B T C", x, trace, "same", (x,))

    def check_length(self, length: int) -> None:
        """A table of learned positions ends somewhere."""
        if self.limit is not None and length > self.limit:
            raise InputError(
                f"the text has {length} tokens, but this model has {self.limit} positions; shorten the text or split it"
            )

    def given(self, name: str, axes: str, value: Tensor | None, trace: Trace) -> Tensor | None:
        """A value that the run starts from, unless an earlier step made it."""
        if value is None or trace.knows(value):
            return value
        return self.step(name, axes, value, trace, "given")

    def standing(
        self,
        ids: Tensor,
        attention_mask: Tensor | None,
        memory: Tensor | None,
        memory_mask: Tensor | None,
        cache: Cache | None,
        begun: int | None,
    ) -> Standing:
        """Where what is read stands in its texts, for edits that ask."""
        source = None if memory is None else numbered(memory_mask, memory)
        if cache is None:
            given = torch.full((len(ids),), begun, device=ids.device) if begun and self.causal else None
            return Standing(numbered(attention_mask, ids), 0, given, source, {})
        like = ids.new_empty(len(ids), cache.length + ids.shape[1])
        numbers = numbered(attention_mask, like)
        if isinstance(cache.left_out, Tensor):
            numbers = torch.where(numbers == PADDING, numbers, numbers + cache.left_out[:, None])
        if cache.begun is None:
            cache.begun = numbers.amax(1) + 1
        return Standing(numbers, cache.length, cache.begun, source, cache.by_edits)

    def numbered(self, attention_mask: Tensor | None, ids: Tensor, seen: int) -> Tensor:
        """(B, past + T): how many real tokens stand before each; padding, on either side, does not count."""
        if attention_mask is None:
            return torch.arange(seen + ids.shape[1], device=ids.device).expand(ids.shape[0], -1)
        return (attention_mask.long().cumsum(1) - 1).clamp(min=0)

    def visibility(
        self,
        attention_mask: Tensor | None,
        keys: Tensor,
        position_ids: Tensor,
        x: Tensor,
        trace: Trace | None,
    ) -> Visibility:
        """Padding, the future, and what distance adds, for this stack's own attention."""
        window = None if self.in_part else self.window
        whole = attention_mask is None and keys.shape == position_ids.shape and keys.shape[1] > 1
        if trace is None and self.causal and whole and window is None and self.relative is None:
            return Visibility(None, causal=True)
        mask = self.hidden("mask", attention_mask, window, keys, x, trace)
        if self.relative is None:
            return Visibility(mask)
        if trace is not None and keys.shape != position_ids.shape:
            keys = self.step(
                "key_position_ids", "B K", keys, trace, "position_ids", (attention_mask,), new=keys.shape[1]
            )
        elif trace is not None:
            keys = position_ids
        return Visibility(mask, self.relative(position_ids, keys, trace))

    def near(
        self,
        visible: Visibility,
        attention_mask: Tensor | None,
        keys: Tensor,
        x: Tensor,
        trace: Trace | None,
    ) -> Visibility:
        """The same for the layers that see only so far back."""
        if not self.in_part:
            return visible
        mask = self.hidden("window_mask", attention_mask, self.window, keys, x, trace)
        return Visibility(mask, visible.bias)

    def hidden(
        self,
        name: str,
        attention_mask: Tensor | None,
        window: int | None,
        keys: Tensor,
        x: Tensor,
        trace: Trace | None,
    ) -> Tensor | None:
        """The mask over padding, the future and what lies too far back, where there is any."""
        queries, dtype = x.shape[1], kind_of_scores(x)
        if attention_mask is None and self.causal and (queries > 1 or window is not None):
            attention_mask = torch.ones(1, keys.shape[1], dtype=torch.bool, device=x.device)
        if attention_mask is None:
            return None
        mask = mask_of(attention_mask, queries, self.causal, dtype, window)
        limits = {} if window is None else {"window": window}
        return self.step(
            name,
            "B 1 Q K",
            mask,
            trace,
            "mask",
            (attention_mask,),
            queries=queries,
            causal=self.causal,
            never=torch.finfo(dtype).min,
            **limits,
        )

    def memory_visibility(self, memory_mask: Tensor | None, x: Tensor, trace: Trace | None) -> Visibility:
        """The padding of the source."""
        if memory_mask is None:
            return Visibility(None)
        queries, dtype = x.shape[1], kind_of_scores(x)
        mask = mask_of(memory_mask, queries, False, dtype)
        never = torch.finfo(dtype).min
        return Visibility(
            self.step(
                "memory_mask",
                "B 1 Q S",
                mask,
                trace,
                "mask",
                (memory_mask,),
                queries=queries,
                causal=False,
                never=never,
            )
        )


def through(layer: nn.Module, *read: Any) -> Tensor:
    """What a layer makes of what it reads: all layers are one function to a compiler, which is met by each in turn."""
    y: Tensor = layer(*read)
    return y


def share(layers: nn.ModuleList, distinct: int) -> None:
    """Give layers the parameters of the first of their group: the same numbers, each run under its own name.

    Lan et al. 2020, section 3.1.
    """
    for place, layer in enumerate(layers):
        group = place * distinct // len(layers)
        first = layers[-(-group * len(layers) // distinct)]
        for path, part in layer.named_modules():
            for name in dict(part.named_parameters(recurse=False)):
                setattr(part, name, first.get_submodule(path).get_parameter(name))
