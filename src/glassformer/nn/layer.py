"""One layer: attend, (in the decoder of a pair) attend to the source, then think position by position."""

from collections.abc import Callable

from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.glass.trace import Trace
from glassformer.nn.attention import Attention, Visibility
from glassformer.nn.cache import Cache
from glassformer.nn.dropout import Dropout
from glassformer.nn.feed_forward import FeedForward
from glassformer.nn.norm import make_norm
from glassformer.nn.part import Part


class Layer(Part):
    """Two or three sub-layers, each added to what came in.

    Vaswani et al. 2017, section 3.1; with the norm first: Xiong et al. 2020; both reading the same row: Wang and
    Komatsuzaki 2021; through one norm: Gunasekar et al. 2023.
    """

    def __init__(self, config: TransformerConfig, cross: bool) -> None:
        super().__init__()
        self.norm_first, self.parallel = config.norm_first, config.parallel_residual
        self.self_attention = Attention(config, rotary=config.positions == "rotary")
        self.self_attention_norm = make_norm(config)
        if cross:
            self.cross_attention = Attention(config, rotary=False)
            self.cross_attention_norm = make_norm(config)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = None if config.one_norm else make_norm(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        visible: Visibility,
        position_ids: Tensor,
        memory: Tensor | None = None,
        memory_visible: Visibility | None = None,
        cache: Cache | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """(B, T, C) -> (B, T, C), reading memory (B, K, C) if there is one."""

        def attend(h: Tensor) -> Tensor:
            y: Tensor = self.self_attention(h, visible, position_ids, cache=cache, trace=trace)
            return y

        def attend_to_source(h: Tensor) -> Tensor:
            y: Tensor = self.cross_attention(h, memory_visible, memory=memory, cache=cache, trace=trace)
            return y

        if self.parallel:
            return self.side_by_side(x, attend, trace)
        x = self.residual("self_attention", x, attend, trace)
        if memory is not None:
            x = self.residual("cross_attention", x, attend_to_source, trace)
        return self.residual("feed_forward", x, lambda h: self.feed_forward(h, trace), trace)

    def residual(
        self, name: str, x: Tensor, sublayer: Callable[[Tensor], Tensor], trace: Trace | None
    ) -> Tensor:
        """What was there plus what the sub-layer adds: the only place that knows norm first from norm last."""
        norm = getattr(self, f"{name}_norm")
        added = sublayer(norm(x, trace) if self.norm_first else x)
        if trace is None:
            after = self.dropout.onto(x, added)
        else:
            added = self.dropout(added)
            after = self.step(f"after_{name}", "B T C", x + added, trace, "residual", (x, added))
        return after if self.norm_first else norm(after, trace)

    def side_by_side(self, x: Tensor, attend: Callable[[Tensor], Tensor], trace: Trace | None) -> Tensor:
        """What was there plus what both sub-layers make of it, neither knowing of the other."""
        normed = self.self_attention_norm(x, trace)
        attended = self.dropout(attend(normed))
        if self.feed_forward_norm is not None:
            normed = self.feed_forward_norm(x, trace)
        thought = self.dropout(self.feed_forward(normed, trace))
        after = x + (thought + attended)
        return self.step("after_feed_forward", "B T C", after, trace, "residual", (x, attended, thought))
