"""A module that names what it computes."""

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from glassformer.glass.trace import Trace


class Part(nn.Module):
    """A module whose values have names: its path in the model, the same as its weights', and the step's own."""

    path = ""  # set once by the whole model

    def step(
        self,
        name: str,
        axes: str,
        value: Tensor,
        trace: Trace | None,
        formula: str,
        inputs: Iterable[Tensor | nn.Linear | None] = (),
        **constants: Any,
    ) -> Tensor:
        """Pass the value through, or record it: what it is, and the formula and inputs that made it.

        Among the inputs a linear map stands for its weight and bias, which are then looked up only for those who look.
        """
        if trace is None:
            return value
        return trace.add(f"{self.path}.{name}", axes, value, formula, spread(inputs), constants)


def spread(inputs: Iterable[Tensor | nn.Linear | None]) -> Iterator[Tensor | None]:
    """The tensors among some inputs: of a linear map its weight and its bias."""
    for each in inputs:
        if isinstance(each, nn.Linear):
            yield each.weight
            yield each.bias
        else:
            yield each
