"""The model's side of a search: it reads tokens and answers with what may follow."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from glassformer.model import Transformer
from glassformer.nn.cache import Cache


class Reader:
    """A model that has read the beginnings of some sentences, a row each, and can read on.

    Rows may be dropped, repeated and put in another order between two readings; what they share with their
    past is never computed again. `memory` (B S C) is the encoded source.
    """

    def __init__(self, model: Transformer, memory: Tensor | None, source_mask: Tensor | None) -> None:
        self.model, self.memory, self.source_mask = model, memory, source_mask
        self.cache = Cache()
        self.sources: Tensor | None = None  # which row of the first reading each row stems from
        self.target_mask: Tensor | None = None

    def read(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The logits after the last token: N T -> N V; `mask` (N T) belongs to a padded beginning."""
        if mask is not None:
            self.target_mask = mask
        elif self.target_mask is not None:
            self.target_mask = torch.cat([self.target_mask, self.target_mask.new_ones(target.shape)], dim=1)
        if self.sources is None:
            self.sources = torch.arange(len(target), device=target.device)
        hidden = self.model.body(
            target=target,
            memory=self.memory,
            source_mask=self.source_mask,
            target_mask=self.target_mask,
            cache=self.cache,
        )
        logits: Tensor = self.model.head(hidden[:, -1])
        return logits

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, in this order."""
        assert self.sources is not None, "there is nothing to select before the first reading"
        sources = self.sources[rows]
        self.cache.reorder(rows)
        if self.target_mask is not None:
            self.target_mask = self.target_mask[rows]
        if self.memory is not None and not torch.equal(sources, self.sources):
            self.memory = self.memory[rows]
            self.source_mask = None if self.source_mask is None else self.source_mask[rows]
        self.sources = sources


def left_padded(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows with their padding moved before the text: every row ends where it goes on."""
    order = mask.bool().byte().argsort(dim=1, stable=True)
    return ids.gather(1, order), mask.gather(1, order)


@contextmanager
def evaluating(model: Transformer) -> Iterator[None]:
    """No dropout inside, whatever the model was doing."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()
