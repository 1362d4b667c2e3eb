"""From the model's own parts to a native stack: every choice decided once, every weight packed once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from glassformer.engine.native import NativeStack, PackedLinear
from glassformer.model import Transformer
from glassformer.native.library import AttentionPart, Ends, LayerPart, NormPart, Sizes
from glassformer.nn.attention import Attention
from glassformer.nn.heads import LanguageHead
from glassformer.nn.layer import Layer
from glassformer.nn.low_rank import LowRank
from glassformer.nn.norm import LayerNorm, RMSNorm, RMSNormFromOne
from glassformer.nn.stack import Stack

WIDE = 16  # a head is as many numbers as whole vectors hold; see vectors.h
ACTIVATIONS = {"relu": 1, "gelu": 2, "gelu-tanh": 3, "silu": 4}  # as vectors.h numbers them
NORMS = {"none": 0, "layer": 1, "rms": 2, "rms-from-one": 2}
HEAD_PRECISION = {"int4": "int8"}  # four bits for each word's row would change which word is likeliest


@dataclass
class Packer:
    """Packs maps at one precision, each once, however many layers share it."""

    precision: str
    packed: dict[tuple[object, ...], PackedLinear] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)

    def linear(self, *weights: tuple[Tensor, Tensor | None], precision: str | None = None) -> int:
        """One map made of several that read the same rows: its handle."""
        chosen = precision or self.precision
        key = (chosen, *(weight.data_ptr() for weight, _ in weights))
        if key not in self.packed:
            rows = torch.cat([weight for weight, _ in weights]) if len(weights) > 1 else weights[0][0]
            self.packed[key] = PackedLinear(rows, joined(weights), chosen)
            self.tensors.extend(weight for weight, _ in weights)  # alive, so that no other has its address
        handle = self.packed[key].handle
        assert handle is not None, "a packed map is there until it is freed"
        return handle

    def pointer(self, tensor: Tensor | None) -> int | None:
        """Where the numbers of a tensor are, in float32, as long as the stack lives."""
        if tensor is None:
            return None
        kept = tensor.detach().float().contiguous()
        self.tensors.append(kept)
        return kept.data_ptr()

    def norm(self, norm: nn.Module | None) -> NormPart:
        """A norm's numbers, or none."""
        if isinstance(norm, LayerNorm):
            return NormPart(self.pointer(norm.weight), self.pointer(norm.bias))
        if isinstance(norm, RMSNorm):
            return NormPart(self.pointer(norm.weight), None)
        if isinstance(norm, RMSNormFromOne):
            return NormPart(self.pointer(1.0 + norm.weight), None)
        return NormPart(None, None)


def joined(weights: tuple[tuple[Tensor, Tensor | None], ...]) -> Tensor | None:
    """The biases one after the other; those that are missing are zeros if others are not."""
    if all(bias is None for _, bias in weights):
        return None
    return torch.cat([weight.new_zeros(len(weight)) if bias is None else bias for weight, bias in weights])


def effective(linear: nn.Linear) -> Tensor:
    """The weight that a map multiplies by, a detour beside it included."""
    if isinstance(linear, LowRank) and linear.own is None:
        return linear.weight.detach() + linear.scale * (linear.lora_B.detach() @ linear.lora_A.detach())
    return linear.weight.detach()


def whole(linear: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """A map's weight and bias."""
    return effective(linear), None if linear.bias is None else linear.bias.detach()


def by_head(linear: nn.Linear, heads: int, size: int) -> tuple[Tensor, Tensor | None]:
    """The same with zeros behind each head's rows, so that a head is whole vectors."""
    weight, bias = whole(linear)
    short = -size % WIDE
    if not short:
        return weight, bias
    weight = functional.pad(weight.view(heads, size, -1), (0, 0, 0, short)).flatten(0, 1)
    return weight, None if bias is None else functional.pad(bias.view(heads, size), (0, short)).flatten()


def from_heads(linear: nn.Linear, heads: int, size: int) -> tuple[Tensor, Tensor | None]:
    """The map that gathers the heads, with columns of zeros for what they were padded by."""
    weight, bias = whole(linear)
    short = -size % WIDE
    if not short:
        return weight, bias
    return functional.pad(weight.view(len(weight), heads, size), (0, short)).flatten(1), bias


def attention_part(packer: Packer, attention: Attention, *, of_source: bool) -> AttentionPart:
    """One map for all that reads the same rows."""
    heads, groups, size = attention.heads, attention.kv_heads, attention.head_size
    query = by_head(attention.query, heads, size)
    key_value = by_head(attention.key, groups, size), by_head(attention.value, groups, size)
    return AttentionPart(
        query=packer.linear(query) if of_source else packer.linear(query, *key_value),
        key_value=packer.linear(*key_value) if of_source else None,
        output=packer.linear(from_heads(attention.output, heads, size)),
        query_norm=packer.norm(attention.query_norm),
        key_norm=packer.norm(attention.key_norm),
    )


def layer_part(packer: Packer, layer: Layer, window: int | None) -> LayerPart:
    """A layer's maps and norms."""
    own: dict[str, object] = {}
    if hasattr(layer, "cross_attention"):
        own["cross"] = attention_part(packer, layer.cross_attention, of_source=True)
        own["cross_norm"] = packer.norm(layer.cross_attention_norm)
    feed_forward = layer.feed_forward
    ways_up = [feed_forward.up] if feed_forward.gate is None else [feed_forward.gate, feed_forward.up]
    return LayerPart(
        self=attention_part(packer, layer.self_attention, of_source=False),
        self_norm=packer.norm(layer.self_attention_norm),
        feed_forward_norm=packer.norm(layer.feed_forward_norm),
        up=packer.linear(*map(whole, ways_up)),
        down=packer.linear(whole(feed_forward.down)),
        window=window or 0,
        **own,
    )


def layer_parts(packer: Packer, stack: Stack) -> Iterator[LayerPart]:
    """All layers, from the first."""
    for number, layer in enumerate(stack.layers):
        assert isinstance(layer, Layer)
        yield layer_part(packer, layer, stack.window if number in stack.windowed else None)


def ends_of(packer: Packer, model: Transformer, stack: Stack) -> Ends:
    """Tables, and the head where it speaks of words."""
    embedding, head = stack.embedding, model.head
    table = model.tokens if stack is model.decoder or model.source_tokens is None else model.source_tokens
    ends = Ends(
        tokens=packer.pointer(table.weight),
        segments=None if embedding.segments is None else packer.pointer(embedding.segments.weight),
        embedding_norm=packer.norm(embedding.norm),
        final_norm=packer.norm(stack.norm),
        projection=None if embedding.projection is None else packer.linear(whole(embedding.projection)),
    )
    if isinstance(head, LanguageHead) and speaks(model, stack):
        ends.output = packer.linear(whole(head.output), precision=HEAD_PRECISION.get(packer.precision))
        if head.dense is not None:
            ends.transform = packer.linear(whole(head.dense))
            ends.transform_norm = packer.norm(head.norm)
    return ends


def speaks(model: Transformer, stack: Stack) -> bool:
    """Whether it is this stack that the head reads."""
    return stack is (model.encoder if model.decoder is None else model.decoder)


def native_stack(model: Transformer, stack: Stack, packer: Packer) -> NativeStack:
    """A stack as the library runs it."""
    config, size = model.config, model.config.size_of_head
    language = isinstance(model.head, LanguageHead) and speaks(model, stack)
    sizes = Sizes(
        d_model=config.d_model,
        heads=config.heads,
        groups=config.kv_heads or config.heads,
        head_size=size,
        padded_head=size + -size % WIDE,
        vocabulary=config.vocab_size if language else 0,
        embedding_width=config.embedding_size or config.d_model,
        rotary_size=config.rotary_size or size,
        causal=stack.causal,
        norm_first=config.norm_first,
        parallel=config.parallel_residual,
        gated=config.gated,
        activation=ACTIVATIONS[config.activation],
        norm=NORMS[config.norm],
        output_activation=ACTIVATIONS[config.output_activation or config.activation],
        norm_eps=config.norm_eps,
        attention_scale=size**-0.5 if config.attention_scale else 1.0,
        embedding_scale=stack.embedding.scale,
        output_scale=config.d_model**-0.5 if config.output_scale else 1.0,
    )
    layers, ends = list(layer_parts(packer, stack)), ends_of(packer, model, stack)
    return NativeStack(sizes, ends, layers, kept=(packer,))
