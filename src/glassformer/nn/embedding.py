"""Ids become rows of numbers: what a token means, plus where it stands, plus which text it belongs to."""

import math

from torch import Tensor, nn

from glassformer.config import TransformerConfig
from glassformer.glass.trace import Trace
from glassformer.nn.dropout import Dropout
from glassformer.nn.norm import make_table_norm
from glassformer.nn.part import Part
from glassformer.nn.position import Waves


class Embedding(Part):
    """The first values of the residual stream.

    Vaswani et al. 2017, sections 3.4 and 3.5; segments: Devlin et al. 2019, section 3; tables narrower than the model:
    Lan et al. 2020, section 3.1.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.scale = math.sqrt(config.d_model) if config.embedding_scale else 1.0
        self.tokens_formula = "tokens_scaled" if config.embedding_scale else "tokens"
        self.tokens_constants = {"d_model": config.d_model} if config.embedding_scale else {}
        self.positions = self.waves = self.segments = self.norm = self.projection = None
        width, self.axes = config.d_model, "B T C"
        if config.embedding_size is not None:
            width, self.axes = config.embedding_size, "B T E"
            self.projection = nn.Linear(width, config.d_model)
        if config.positions.startswith("learned"):
            self.offset = config.position_offset
            self.positions = nn.Embedding(config.max_positions + config.position_offset, width)
        elif config.positions.startswith("sinusoidal"):
            self.waves = Waves(config)
        if config.segments:
            self.segments = nn.Embedding(config.segments, width)
        if config.embedding_norm:
            self.norm = make_table_norm(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        ids: Tensor,
        position_ids: Tensor,
        table: nn.Embedding,
        segment_ids: Tensor | None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Ids (B, T), their positions and segments (B, T) -> (B, T, C)."""
        tokens = table(ids) * self.scale if self.scale != 1.0 else table(ids)
        inputs = (ids, table.weight)
        tokens = self.step(
            "tokens", self.axes, tokens, trace, self.tokens_formula, inputs, **self.tokens_constants
        )
        positions, segments = self.placed(position_ids, tokens, trace), self.told_apart(segment_ids, trace)
        x = tokens
        for part in (
            *segments,
            *positions,
        ):  # in the order of the published models: the last digit is theirs too
            x = x + part
        parts: tuple[Tensor | nn.Linear, ...] = (tokens, *positions, *segments)
        formula = "sum" if len(parts) > 1 else "same"
        if self.norm is not None or self.projection is not None:
            x = self.step("sum", self.axes, x, trace, formula, parts)
            formula, parts = "same", (x,)
        if self.norm is not None:
            x = self.norm(x, trace)
            formula, parts = "same", (x,)
        if self.projection is not None:
            formula, parts = "projected", (x, self.projection)
            x = self.projection(x)
        y: Tensor = self.dropout(self.step("output", "B T C", x, trace, formula, parts))
        return y

    def placed(self, position_ids: Tensor, like: Tensor, trace: Trace | None) -> tuple[Tensor, ...]:
        """The rows of the positions, if this embedding adds any."""
        if self.positions is not None:
            rows = self.positions(position_ids + self.offset)
            inputs = (position_ids, self.positions.weight)
            return (self.step("positions", self.axes, rows, trace, "positions", inputs, offset=self.offset),)
        if self.waves is not None:
            rows, formula = self.waves(position_ids, like), self.waves.formula
            constants = self.waves.constants
            return (self.step("positions", "B T C", rows, trace, formula, (position_ids,), **constants),)
        return ()

    def told_apart(self, segment_ids: Tensor | None, trace: Trace | None) -> tuple[Tensor, ...]:
        """The rows of the segments, if this embedding adds any."""
        if self.segments is None or segment_ids is None:
            return ()
        rows = self.segments(segment_ids)
        return (
            self.step("segments", self.axes, rows, trace, "segments", (segment_ids, self.segments.weight)),
        )
