"""A model without weights: it answers each beginning with the logits that a test planned."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from glassformer.nn.cache import Cache

Plan = Callable[[tuple[int, ...]], Sequence[float]]


class ScriptedModel:
    """Answers like a Transformer; `plan` gives the logits after a row's tokens, and `read` counts rows."""

    def __init__(self, plan: Plan, max_positions: int = 64, positions: str = "learned") -> None:
        self.plan, self.training, self.read, self.quick = plan, False, 0, None
        limit = None if positions == "relative" else max_positions
        self.config = SimpleNamespace(max_positions=max_positions, positions=positions, limit=limit)

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        return torch.zeros(*source.shape, 1)

    def body(
        self,
        *,
        target: Tensor,
        memory: Tensor | None,
        source_mask: Tensor | None,
        target_mask: Tensor | None,
        cache: Cache,
    ) -> Tensor:
        new = target[:, None, :, None]
        past = cache.past("ids")
        ids = new if past is None else torch.cat([past[0], new], dim=2)
        cache.keep("ids", ids, ids)
        self.read += len(target)
        rows = ids[:, 0, :, 0].tolist()
        real = target_mask.tolist() if target_mask is not None else [[True] * len(row) for row in rows]
        said = [
            self.plan(tuple(t for t, r in zip(row, keep, strict=True) if r))
            for row, keep in zip(rows, real, strict=True)
        ]
        return torch.tensor(said, dtype=torch.float64)[:, None].expand(-1, target.shape[1], -1)

    def scored(self, hidden: Tensor, chosen: tuple[slice, int]) -> Tensor:
        return hidden[chosen]


@pytest.fixture(scope="session")
def scripted() -> type[ScriptedModel]:
    """The class of models that say what was planned."""
    return ScriptedModel
