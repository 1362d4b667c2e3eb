"""Whether a model's weights are still those that were packed."""

from torch import Tensor

from glassformer.model import Transformer


class Weights:
    """What a model was made of at one time. torch counts the changes of every tensor; nothing is compared or copied."""

    def __init__(self, model: Transformer) -> None:
        self.model = model
        self.then = [(weight, version(weight)) for weight in model.parameters()]

    @property
    def changed(self) -> bool:
        """Whether a weight was changed or replaced, or a detour beside one taken in."""
        now = list(self.model.parameters())
        return len(now) != len(self.then) or any(
            weight is not then or version(weight) != count
            for weight, (then, count) in zip(now, self.then, strict=True)
        )


def version(weight: Tensor) -> int:
    """How often it was changed; a tensor made in inference mode does not know."""
    return 0 if weight.is_inference() else weight._version
