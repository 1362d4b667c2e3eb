"""Whether a model's weights are still those that were packed."""

from collections.abc import Callable
from operator import attrgetter, is_
from typing import Any

from torch import Tensor

from glassformer.model import Transformer

Holder = dict[str, Any]  # what a part holds, by name
HOLDS: Callable[[Holder, str], Any] = dict.get
VERSION: Callable[[Tensor], int] = attrgetter("_version")  # how often a tensor was changed


class Weights:
    """What a model was made of at one time. torch counts the changes of every tensor; nothing is compared or copied.

    It is asked before every answer, so it walks flat lists without a line of Python for each entry.
    """

    def __init__(self, model: Transformer) -> None:
        holders: list[Holder] = [held for part in model.modules() for held in (part._parameters, part._modules)]
        held = [(holder, name, each) for holder in holders for name, each in holder.items() if each is not None]
        self.holders, self.names = [holder for holder, _, _ in held], [name for _, name, _ in held]
        self.held = [each for _, _, each in held]
        weights = [each for each in self.held if isinstance(each, Tensor)]
        self.counted = [each for each in weights if not each.is_inference()]  # which does not know of its changes
        self.counts = list(map(VERSION, self.counted))

    @property
    def changed(self) -> bool:
        """Whether a weight was changed or replaced, or a part of the model put in another's place."""
        now = map(HOLDS, self.holders, self.names)
        return list(map(VERSION, self.counted)) != self.counts or not all(map(is_, now, self.held))
