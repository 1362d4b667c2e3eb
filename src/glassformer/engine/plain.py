"""The twin where there is no native engine: the model's own parts, with linear maps that oneDNN packed."""

import copy

import torch
from torch import Tensor, nn

from glassformer.decoding.prompts import PromptCache, bytes_of_a_token
from glassformer.decoding.reader import Reader
from glassformer.engine.layout import effective
from glassformer.engine.weights import Weights
from glassformer.model import Transformer

HERE = bool(torch._C._has_mkldnn)  # oneDNN
KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def packs(precision: str) -> bool:
    """Whether torch can pack weights of this precision here."""
    if not HERE:
        return precision == "float32"
    return precision == "float32" or (
        precision == "bfloat16" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


class PackedMap(nn.Module):
    """W x + b with a weight that oneDNN laid out as it reads it."""

    def __init__(self, linear: nn.Linear, kind: torch.dtype) -> None:
        super().__init__()
        weight = effective(linear).to(kind).contiguous()
        self.weight, self.bias = linear.weight, linear.bias  # as the parts name them
        self.rows = len(weight)
        self.offset = None if linear.bias is None else linear.bias.detach().to(kind)
        self.kind, self.size = kind, weight.numel() * weight.element_size()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight)

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N)."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(
            x.to(self.kind).contiguous(), self.packed, self.offset, "none", [], ""
        )
        return y.to(x.dtype)


class PlainTwin:
    """The same model with packed maps; everything else is shared with it."""

    def __init__(self, model: Transformer, precision: str) -> None:
        shared = {id(each): each for each in (*model.parameters(), *model.buffers())}
        twin = copy.deepcopy(model, shared)
        self.size = 0
        for part in list(twin.modules()):
            for name, child in list(part.named_children()):
                if isinstance(child, nn.Linear) and HERE:
                    packed = PackedMap(child, KINDS[precision])
                    setattr(part, name, packed)
                    self.size += packed.size
        self.model, self.weights, self.precision = twin, Weights(model), precision
        self.prompts = PromptCache(bytes_of_a_token(model.config))

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """A copy of a model has no twin: it is prepared anew."""
        return type(None), ()

    def answer(
        self,
        source: Tensor | None,
        target: Tensor | None,
        source_mask: Tensor | None,
        target_mask: Tensor | None,
        segments: Tensor | None,
    ) -> Tensor | None:
        """What the model's forward gives; None once its weights are others."""
        if self.weights.changed:
            return None
        y: Tensor = self.model(
            source, target, source_mask=source_mask, target_mask=target_mask, segments=segments
        )
        return y

    def reader(
        self,
        source: Tensor | None,
        source_mask: Tensor | None,
        *,
        hidden: bool = False,
        allowed: Tensor | None = None,
    ) -> Reader | None:
        """A reader that has encoded the source."""
        if self.weights.changed:
            return None
        if source is None:
            return Reader(self.model, allowed=allowed)
        return Reader(self.model, self.model.encode(source, source_mask), source_mask, allowed)
