"""A few rows through a decoder, a handful of launches a layer; see kernels.py."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from glassformer.engine.gpu.step import Step
from glassformer.engine.layout import effective, whole
from glassformer.model import Transformer
from glassformer.nn.attention import Attention
from glassformer.nn.heads import LanguageHead
from glassformer.nn.layer import Layer
from glassformer.nn.norm import LayerNorm, RMSNorm
from glassformer.nn.stack import Stack

MOST_ROWS = 8  # of more it is no longer the weights alone that cost
WIDEST = 16384  # numbers of a row that a program holds
HELD = 4096  # weights that a program reads at once, at least one row of them
EACH_WARP = 1024  # of them
BLOCK = 128  # keys that a head looks at at once


@dataclass(frozen=True)
class Map:
    """y = W x + b, and what stands before it."""

    weight: Tensor
    bias: Tensor | None
    norm: LayerNorm | RMSNorm | None = None


@dataclass(frozen=True)
class RowLayer:
    """A layer's maps."""

    projection: Map  # to queries, keys and values
    path: str  # of its attention
    output: Map
    up: Map
    gate: Map | None
    down: Map


class RowBody:
    """A step's body (see step.py) where the decoder is of the usual kind; it owns the rows between its launches."""

    def __init__(self, model: Transformer, layers: tuple[RowLayer, ...], rows: int) -> None:
        assert model.decoder is not None, "only a decoder writes"
        self.model, self.stack, self.layers, self.rows = model, model.decoder, layers, rows
        config = model.config
        weight = model.tokens.weight
        self.heads, self.groups, self.size = config.heads, config.kv_heads or config.heads, config.size_of_head
        self.activation = config.activation
        first = self.stack.layers[0]
        assert isinstance(first, Layer)
        self.scale, self.rotary = first.self_attention.scale, first.self_attention.rotary
        self.turned = 0 if self.rotary is None else self.rotary.size

        def room(width: int) -> Tensor:
            return torch.zeros(rows, width, dtype=weight.dtype, device=weight.device)

        self.projected = room((self.heads + 2 * self.groups) * self.size)
        self.mixed, self.active = room(self.heads * self.size), room(config.d_ff)
        self.attended, self.after, self.logits = room(config.d_model), room(config.d_model), room(config.vocab_size)
        head = model.head
        assert isinstance(head, LanguageHead), "row_layers knows no other"
        self.head, self.head_scale = Map(*whole(head.output)), head.scale
        self.kernels = import_module("glassformer.engine.gpu.kernels")
        self.early = weight.is_cuda and torch.cuda.get_device_capability(weight.device) >= (9, 0)

    def __call__(self, step: Step) -> tuple[Tensor, Tensor]:
        """-> the last layer's rows (N 1 C), the logits (N V)."""
        places = step.real[:, :-1].sum(1, dtype=torch.long)[:, None]
        x = self.stack.embedding(step.ids, places, self.model.tokens, None)[:, 0]
        turns = x if self.rotary is None else self.turns(places, x)
        for layer in self.layers:
            x = self.layer(layer, x, turns, step)
        hidden = x[:, None] if self.stack.norm is None else self.stack.norm(x[:, None])
        self.linear(self.head, hidden[:, 0], self.logits, scale=self.head_scale)
        return hidden, self.logits

    def turns(self, places: Tensor, like: Tensor) -> Tensor:
        """(N, 1) -> (N, TURNED): what a pair of one and nothing is turned to, cosines and then sines."""
        assert self.rotary is not None, "it is asked for only in such a model"
        pair = like.new_zeros(len(places), 1, 1, self.turned)
        pair[..., : self.turned // 2] = 1
        y: Tensor = self.rotary(pair, places)
        return y[:, 0, 0]

    def layer(self, layer: RowLayer, x: Tensor, turns: Tensor, step: Step) -> Tensor:
        """(N C) -> (N C)."""
        self.linear(layer.projection, x, self.projected)
        self.attend(layer.path, turns, step)
        self.linear(layer.output, self.mixed, self.attended, residual=x)
        self.linear(layer.up, self.attended, self.active, activation=self.activation, gate=layer.gate)
        self.linear(layer.down, self.active, self.after, residual=self.attended)
        return self.after

    def linear(
        self,
        through: Map,
        x: Tensor,
        y: Tensor,
        *,
        activation: str | None = None,
        gate: Map | None = None,
        residual: Tensor | None = None,
        scale: float = 1.0,
    ) -> None:
        """One launch: the norm, the map, the activation, what is added."""
        outputs, width = through.weight.shape
        wide = power(width)
        each = max(1, HELD // wide // (1 if gate is None else 2))
        norm, bias = through.norm, through.bias
        self.kernels.linear[(-(-outputs // each),)](
            x,
            x if norm is None else norm.weight,
            norm.bias if isinstance(norm, LayerNorm) else x,
            through.weight,
            x if bias is None else bias,
            x if gate is None else gate.weight,
            x if gate is None or gate.bias is None else gate.bias,
            x if residual is None else residual,
            y,
            outputs,
            width,
            0.0 if norm is None else norm.eps,
            scale,
            ROWS=self.rows,
            OUTPUTS=each,
            WIDTH=wide,
            NORM=self.norm_number(norm),
            ACTIVATION=self.kernels.ACTIVATIONS[activation],
            GATED=gate is not None,
            BIASED=bias is not None,
            ADDED=residual is not None,
            **self.launch(each * wide * (1 if gate is None else 2)),
        )

    def norm_number(self, norm: LayerNorm | RMSNorm | None) -> int:
        """What the kernels call a norm."""
        if norm is None:
            return int(self.kernels.NO_NORM)
        return int(self.kernels.LAYER_NORM if isinstance(norm, LayerNorm) else self.kernels.RMS_NORM)

    def attend(self, path: str, turns: Tensor, step: Step) -> None:
        """One launch: keys and values kept, and what each head gathers."""
        kept = step.kept[path]
        self.kernels.attend[(self.rows, self.heads)](
            self.projected,
            kept.key,
            kept.value,
            step.real,
            step.slot,
            turns,
            self.mixed,
            self.heads,
            self.groups,
            self.size,
            step.shape.capacity,
            self.scale,
            SIZE=power(self.size),
            BLOCK=BLOCK,
            TURNED=self.turned,
            **self.launch(BLOCK * power(self.size)),
        )

    def launch(self, numbers: int) -> dict[str, Any]:
        """How a kernel that holds so many numbers in each program is launched."""
        early = {"launch_pdl": True} if self.early else {}
        return {"EARLY": self.early, "num_warps": min(16, max(1, numbers // EACH_WARP)), **early}


def power(number: int) -> int:
    """The least power of two that is not below."""
    return 1 << (number - 1).bit_length()


def row_layers(model: Transformer) -> tuple[RowLayer, ...] | None:
    """The layers of a decoder whose kind the kernels know; None: of another kind."""
    stack, config = model.decoder, model.config
    if stack is None or model.encoder is not None or not isinstance(model.head, LanguageHead):
        return None
    usual = config.norm_first and not config.parallel_residual and config.norm in ("layer", "rms")
    plain = stack.relative is None and stack.window is None and not config.head_norm and not config.segments
    narrow = power(max(config.d_model, config.d_ff, config.heads * config.size_of_head)) <= WIDEST
    if not (usual and plain and narrow and model.head.dense is None):
        return None
    return tuple(layers_of(stack))


def layers_of(stack: Stack) -> Iterator[RowLayer]:
    """Every layer's maps; queries, keys and values become one."""
    for layer in stack.layers:
        assert isinstance(layer, Layer)
        attention, forward = layer.self_attention, layer.feed_forward
        own_norm, next_norm = layer.self_attention_norm, layer.feed_forward_norm
        assert isinstance(own_norm, LayerNorm | RMSNorm), "others are not known"
        assert isinstance(next_norm, LayerNorm | RMSNorm), "others are not known"
        yield RowLayer(
            projection=Map(*joined(attention), own_norm),
            path=attention.path,
            output=Map(*whole(attention.output)),
            up=Map(*whole(forward.up), next_norm),
            gate=None if forward.gate is None else Map(*whole(forward.gate), next_norm),
            down=Map(*whole(forward.down)),
        )


def joined(attention: Attention) -> tuple[Tensor, Tensor | None]:
    """One map to queries, keys and values."""
    maps: tuple[nn.Linear, ...] = (attention.query, attention.key, attention.value)
    weight = torch.cat([effective(each) for each in maps])
    if attention.query.bias is None:
        return weight, None
    return weight, torch.cat([each.bias.detach() for each in maps])
