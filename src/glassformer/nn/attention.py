"""Attention, of a text to itself and of a target to its source."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from glassformer.config import TransformerConfig
from glassformer.glass.trace import Trace
from glassformer.nn.attending import attended, attends
from glassformer.nn.cache import Cache, appended
from glassformer.nn.dropout import dropped
from glassformer.nn.kernels import has_kernels
from glassformer.nn.linear import Linear
from glassformer.nn.norm import make_head_norm
from glassformer.nn.part import Part
from glassformer.nn.position import Rotary
from glassformer.nn.softmax import weighed


class Visibility:
    """What each query may see: a mask, what distance adds to its scores, and both as the one tensor that is added.

    Where nothing but its future is hidden from a query, `causal` says so and there need be no mask: fused attention
    then leaves out half of the work.
    """

    def __init__(self, mask: Tensor | None, bias: Tensor | None = None, *, causal: bool = False) -> None:
        self.mask = mask  # (B, 1, Q, K): 0 where it may look, the lowest number where not; None: anywhere
        self.bias = bias  # (B, H, Q, K)
        self.causal = causal
        self.added = mask if bias is None else bias if mask is None else bias + mask

    def hidden(self, scores: Tensor) -> Tensor:
        """Scores (B, H, Q, K) with all of this added to them."""
        if self.causal and self.added is None:
            queries = scores.shape[-1]
            real = torch.ones(1, queries, dtype=torch.bool, device=scores.device)
            self.added = mask_of(real, queries, True, scores.dtype)
        added = self.added_in(scores.dtype)
        return scores if added is None else scores + added

    def added_in(self, kind: torch.dtype) -> Tensor | None:
        """What is added, in the kind of number that scores are in: the lowest of one is none of another."""
        added = self.added
        if added is not None and added.dtype != kind and kind == torch.bfloat16:
            return added.clamp_min(torch.finfo(torch.bfloat16).min).to(torch.bfloat16)
        return added


def mask_of(
    attention_mask: Tensor, queries: int, causal: bool, dtype: torch.dtype, window: int | None = None
) -> Tensor:
    """(B, K) real tokens -> (B, 1, Q, K): the lowest number at padding and, if causal, at the future of each query.

    With a window, at what lies too far back for it as well.

    Not minus infinity: a query that may look nowhere then looks everywhere alike, instead of becoming no number at all.
    """
    allowed = attention_mask[:, None, None, :].bool()
    if causal:
        keys = torch.arange(attention_mask.shape[1], device=attention_mask.device)
        allowed = allowed & (keys <= keys[-queries:, None])
        if window is not None:
            allowed = allowed & (keys > keys[-queries:, None] - window)
    allowed = allowed.expand(-1, -1, queries, -1)
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(
        ~allowed, torch.finfo(dtype).min
    )


def kind_of_scores(x: Tensor) -> torch.dtype:
    """The kind of number that scores are in where the residual stream is x: the lowest of one is none of another."""
    device = x.device.type
    if device != "cpu" and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


BY_KERNEL = 2048  # up to so many keys training in bfloat16 is quicker so, on a processor; the weights are kept
SEVERAL_CALLS = 512  # and up to so many by several calls, where there is no kernel


def fused(q: Tensor, k: Tensor, v: Tensor, visible: Visibility, dropout: float, scale: float) -> Tensor:
    """The whole of attention, as few calls as are quick; (B, H, Q, D).

    On a processor torch's one call has a backward pass that in bfloat16 takes up to eight times as long as in float32,
    and for a model that drops weights it has nothing. So a kernel of ours learns there, except from very long texts;
    without it several calls do from short ones, and for long ones torch's is given float32.
    """
    if q.device.type != "cpu":
        return in_one_call(q, k, v, visible, dropout, scale)
    mixed = torch.is_autocast_enabled("cpu")
    kind = torch.get_autocast_dtype("cpu") if mixed else q.dtype
    narrow = kind == torch.bfloat16 and k.shape[2] <= SEVERAL_CALLS
    learns = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad)
    with torch.autocast("cpu", enabled=False):
        added = None if visible.causal else visible.added_in(kind)
        short = dropout or k.shape[2] <= BY_KERNEL
        if mixed and learns and short and attends(q, k, v, added):
            return attended(q, k, v, scale, added, visible.causal, dropout)
        if dropout or (narrow and learns):
            return weights_of(q.to(kind), k.to(kind), visible, dropout, scale) @ v.to(kind)
        if mixed:
            q, k, v = q.float(), k.float(), v.float()
        return in_one_call(q, k, v, visible, 0.0, scale)


def weights_of(q: Tensor, k: Tensor, visible: Visibility, dropout: float, scale: float) -> Tensor:
    """How much each query takes of each value, (B, H, Q, K), of which some is dropped."""
    if not has_kernels(q, k):
        return dropped(visible.hidden((q * scale) @ k.mT).softmax(dim=-1), dropout)
    scores = q @ k.mT
    if visible.causal:
        return weighed(scores, scale, None, True, dropout)
    return weighed(scores, scale, visible.added_in(scores.dtype), False, dropout)


def in_one_call(q: Tensor, k: Tensor, v: Tensor, visible: Visibility, dropout: float, scale: float) -> Tensor:
    """Torch's own call for it."""
    added = None if visible.causal else visible.added
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=added, dropout_p=dropout, is_causal=visible.causal, scale=scale
    )


class Attention(Part):
    """Each position gathers from the others, weighted by how well its query meets their keys.

    Vaswani et al. 2017, section 3.2; keys shared by several query heads: Ainslie et al. 2023; queries and keys normed:
    Henry et al. 2020.
    """

    def __init__(self, config: TransformerConfig, rotary: bool) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_size = (
            config.heads,
            config.kv_heads or config.heads,
            config.size_of_head,
        )
        output_bias = config.attention_output_bias
        output_bias = config.attention_bias if output_bias is None else output_bias
        inner, kv_inner = self.heads * self.head_size, self.kv_heads * self.head_size
        self.query = Linear(config.d_model, inner, bias=config.attention_bias)
        self.key = Linear(config.d_model, kv_inner, bias=config.attention_bias)
        self.value = Linear(config.d_model, kv_inner, bias=config.attention_bias)
        self.output = Linear(inner, config.d_model, bias=bool(output_bias))
        self.query_norm, self.key_norm = make_head_norm(config), make_head_norm(config)
        self.scale = 1.0 / math.sqrt(self.head_size) if config.attention_scale else 1.0
        self.scores_formula = "scores" if config.attention_scale else "scores_unscaled"
        self.scores_constants = {"head_size": self.head_size} if config.attention_scale else {}
        self.rotary = Rotary(config) if rotary else None
        self.dropout = config.attention_dropout

    def forward(
        self,
        x: Tensor,
        visible: Visibility,
        position_ids: Tensor | None = None,
        memory: Tensor | None = None,
        cache: Cache | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """(B, Q, C), and memory (B, K, C) to attend to instead of itself -> (B, Q, C)."""
        q = self.project("query", "B H Q D", self.query, x, self.heads, trace)
        q = self.normed(self.query_norm, "B H Q D", q, trace)
        q = self.turned("query_turned", "B H Q D", q, position_ids, trace)
        past = None if cache is None else cache.past(self.path)
        if memory is not None and past is not None:
            k, v = (
                self.step(n, "B G K D", t, trace, "given")
                for n, t in zip(("key", "value"), past, strict=True)
            )
        else:
            source = x if memory is None else memory
            axes = "B G K D" if past is None else "B G N D"
            k = self.project("key", axes, self.key, source, self.kv_heads, trace)
            v = self.project("value", axes, self.value, source, self.kv_heads, trace)
            k = self.normed(self.key_norm, axes, k, trace)
            k = self.turned("key_turned", axes, k, position_ids, trace)
            if past is not None:
                k = self.extended("key", past[0], k, trace)
                v = self.extended("value", past[1], v, trace)
            if cache is not None:
                cache.keep(self.path, k, v, of_source=memory is not None)
        mixed = self.mix(q, k, v, visible, trace)
        output = self.output(mixed.transpose(1, 2).flatten(2))
        return self.step(
            "output",
            "B T C",
            output,
            trace,
            "attention_output",
            (mixed, self.output),
        )

    def mix(self, q: Tensor, k: Tensor, v: Tensor, visible: Visibility, trace: Trace | None) -> Tensor:
        """The same formula twice: fused for speed, open for reading; a test holds them equal."""
        keys, values = self.shared(k), self.shared(v)
        dropout = self.dropout if self.training else 0.0
        if trace is None:
            return fused(q, keys, values, visible, dropout, self.scale)
        scores = q @ keys.mT * self.scale
        scores = self.step(
            "scores", "B H Q K", scores, trace, self.scores_formula, (q, k), **self.scores_constants
        )
        formula, inputs = (
            ("weights", (scores, visible.mask))
            if visible.bias is None
            else ("biased_weights", (scores, visible.bias, visible.mask))
        )
        weights = self.step("weights", "B H Q K", visible.hidden(scores).softmax(dim=-1), trace, formula, inputs)
        return self.step("mixed", "B H Q D", weights @ values, trace, "mixed", (weights, v))

    def project(
        self, name: str, axes: str, linear: nn.Linear, x: Tensor, heads: int, trace: Trace | None
    ) -> Tensor:
        """(B, T, C) -> (B, heads, T, D)."""
        split = linear(x).unflatten(-1, (heads, self.head_size)).transpose(1, 2)
        return self.step(name, axes, split, trace, name, (x, linear), heads=heads)

    def normed(self, norm: Part | None, axes: str, x: Tensor, trace: Trace | None) -> Tensor:
        """Queries or keys normed, head by head, in a model that does so."""
        if norm is None:
            return x
        y: Tensor = norm(x, trace, axes)
        return y

    def turned(
        self, name: str, axes: str, x: Tensor, position_ids: Tensor | None, trace: Trace | None
    ) -> Tensor:
        """Queries and keys turned by their positions, in a model whose positions are turns."""
        if self.rotary is None or position_ids is None:
            return x
        return self.step(
            name,
            axes,
            self.rotary(x, position_ids),
            trace,
            self.rotary.formula,
            (x, position_ids),
            **self.rotary.constants,
        )

    def extended(self, name: str, past: Tensor, new: Tensor, trace: Trace | None) -> Tensor:
        """What was kept from earlier positions, then what is new."""
        past = self.step(f"past_{name}", "B G P D", past, trace, "given")
        return self.step(f"all_{name}", "B G K D", appended(past, new), trace, "append", (past, new))

    def shared(self, x: Tensor) -> Tensor:
        """(B, G, K, D) -> (B, H, K, D)."""
        return x if self.kv_heads == self.heads else x.repeat_interleave(self.heads // self.kv_heads, dim=1)
