"""Whether a model's weights are still those that were packed."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from torch import Tensor

from glassformer.model import Transformer

Held = TypeVar("Held")


class Weights:
    """What a model was made of at one time. torch counts the changes of every tensor; nothing is compared or copied.

    It is asked before every answer, so it walks a flat list: who holds each weight and each part, under what name.
    """

    def __init__(self, model: Transformer) -> None:
        self.weights: list[tuple[Mapping[str, Any], str, Tensor, int]] = [
            (holder, name, weight, version(weight))
            for part in model.modules()
            for holder in [part._parameters]
            for name, weight in present(holder)
        ]
        self.parts = [
            (holder, name, part)
            for whole in model.modules()
            for holder in [whole._modules]
            for name, part in present(holder)
        ]

    @property
    def changed(self) -> bool:
        """Whether a weight was changed or replaced, or a part of the model put in another's place."""
        return any(
            version(weight) != count or holder.get(name) is not weight
            for holder, name, weight, count in self.weights
        ) or any(holder.get(name) is not part for holder, name, part in self.parts)


def present(holder: Mapping[str, Held | None]) -> Iterator[tuple[str, Held]]:
    """What is there under its name."""
    return ((name, each) for name, each in holder.items() if each is not None)


def version(weight: Tensor) -> int:
    """How often it was changed; a tensor made in inference mode does not know."""
    return 0 if weight.is_inference() else weight._version
