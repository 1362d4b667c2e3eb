"""The same two linear maps at every position, with an activation between."""

from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.glass.trace import Trace
from glassformer.nn.activation import activated
from glassformer.nn.dropout import Dropout
from glassformer.nn.linear import Linear
from glassformer.nn.part import Part


class FeedForward(Part):
    """Each position by itself: up to the wide layer, through the activation, and back.

    Vaswani et al. 2017, section 3.3; with a gate beside the way up: Shazeer 2020.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.up = Linear(config.d_model, config.d_ff, bias=config.feed_forward_bias)
        self.gate = (
            Linear(config.d_model, config.d_ff, bias=config.feed_forward_bias) if config.gated else None
        )
        self.down = Linear(config.d_ff, config.d_model, bias=config.feed_forward_bias)
        self.activation = config.activation
        self.dropout = Dropout(config.activation_dropout)

    def forward(self, x: Tensor, trace: Trace | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        up = self.step("up", "B T F", self.up(x), trace, "up", (x, self.up))
        active = self.dropout(self.activated(x, up, trace))
        output = self.down(active)
        inputs = (active, self.down)
        return self.step("output", "B T C", output, trace, "feed_forward_output", inputs)

    def function(self, x: Tensor) -> Tensor:
        """The activation of each number."""
        return activated(x, self.activation, learns=self.training)

    def activated(self, x: Tensor, up: Tensor, trace: Trace | None) -> Tensor:
        """What of the wide layer comes through."""
        if self.gate is None:
            return self.step(
                "active", "B T F", self.function(up), trace, "active", (up,), activation=self.activation
            )
        gate = self.step("gate", "B T F", self.gate(x), trace, "gate", (x, self.gate))
        active = self.function(gate) * up
        return self.step("active", "B T F", active, trace, "gated", (gate, up), activation=self.activation)
