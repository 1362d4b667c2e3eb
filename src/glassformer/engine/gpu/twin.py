"""The twin on a GPU: the same parts and weights, whose steps are recorded."""

import copy
import os

from torch import Tensor

from glassformer.decoding.prompts import PromptCache, bytes_of_a_token
from glassformer.engine.gpu.reader import RecordedReader, Steps
from glassformer.engine.gpu.rows import MOST_ROWS, RowBody, row_layers
from glassformer.engine.gpu.step import Body, plain_body
from glassformer.engine.weights import Weights
from glassformer.model import DTYPES, Transformer
from glassformer.nn.compiled import has_triton


class RecordedTwin:
    """The model itself, or a copy of it in another kind of numbers."""

    def __init__(self, model: Transformer, precision: str) -> None:
        kind = DTYPES[precision]
        self.own = model.tokens.weight.dtype == kind
        self.model = model if self.own else copy.deepcopy(model).to(kind)
        self.precision, self.weights = precision, Weights(model)
        self.size = sum(each.numel() * each.element_size() for each in self.model.parameters())
        self.prompts = PromptCache(bytes_of_a_token(model.config))
        self.layers = row_layers(self.model) if has_kernels(self.model) else None
        self.steps = Steps(self.model, self._body)

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """A copy of a model has no twin: it is prepared anew."""
        return type(None), ()

    def _body(self, rows: int) -> Body:
        """By kernels of our own where they know the decoder and are quicker."""
        if self.layers is None or rows > MOST_ROWS:
            return plain_body
        return RowBody(self.model, self.layers, rows)

    def answer(
        self,
        source: Tensor | None,
        target: Tensor | None,
        source_mask: Tensor | None,
        target_mask: Tensor | None,
        segments: Tensor | None,
    ) -> Tensor | None:
        """What the model's forward gives; None where it is as quick itself."""
        if self.own or self.weights.changed:
            return None
        y: Tensor = self.model(
            source, target, source_mask=source_mask, target_mask=target_mask, segments=segments
        )
        return y.to(DTYPES[self.model.config.dtype])

    def reader(
        self,
        source: Tensor | None,
        source_mask: Tensor | None,
        *,
        hidden: bool = False,
        allowed: Tensor | None = None,
    ) -> RecordedReader | None:
        """A reader that has encoded the source; None where only the model itself can read."""
        decoder = self.model.decoder
        assert decoder is not None, "only a model with a decoder writes"
        if self.weights.changed or allowed is not None or decoder.window is not None:
            return None
        if source is None:
            return RecordedReader(self.model, self.steps)
        memory = self.model.encode(source, source_mask)
        return RecordedReader(self.model, self.steps, memory, source_mask)


def has_kernels(model: Transformer) -> bool:
    """Whether our own can run; without them torch's are recorded."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"  # Triton's own way to run where there is no GPU
    return interpreted or has_triton(model.tokens.weight.device)
