"""The random weights that a model starts from."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from glassformer.config import TransformerConfig


def initialize(model: nn.Module, config: TransformerConfig) -> None:
    """Draw every weight as the configuration says: biases 0, norms 1.

    xavier: Glorot and Bengio 2010, with embeddings of standard deviation d_model ** -0.5, as the 2017 Transformer's
    own code does. normal: one standard deviation for all (GPT-1, T5-like uses). truncated-normal: the same, cut at two
    standard deviations (BERT, RoBERTa). normal-scaled-residual: the last map of each sub-layer divided by the root of
    the number of sub-layers (Radford et al. 2019, section 2.3).
    """
    if next(model.parameters()).is_meta:
        return  # shapes alone: there are no numbers to draw
    draw_linear, draw_table = _DRAWS[config.initialization](config)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            draw_linear(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():  # after the linear maps, so that a tied output starts as the table it is
        if isinstance(module, nn.Embedding):
            draw_table(module.weight)
    if config.initialization == "normal-scaled-residual":
        _scale_residual(model)


Draw = Callable[[Tensor], Tensor]


def _xavier(config: TransformerConfig) -> tuple[Draw, Draw]:
    return nn.init.xavier_uniform_, lambda w: nn.init.normal_(w, std=config.d_model**-0.5)


def _normal(config: TransformerConfig) -> tuple[Draw, Draw]:
    def draw(w: Tensor) -> Tensor:
        return nn.init.normal_(w, std=config.initialization_std)

    return draw, draw


def _truncated_normal(config: TransformerConfig) -> tuple[Draw, Draw]:
    std = config.initialization_std

    def draw(w: Tensor) -> Tensor:
        return nn.init.trunc_normal_(w, std=std, a=-2 * std, b=2 * std)

    return draw, draw


_DRAWS: dict[str, Callable[[TransformerConfig], tuple[Draw, Draw]]] = {
    "xavier": _xavier,
    "normal": _normal,
    "truncated-normal": _truncated_normal,
    "normal-scaled-residual": _normal,
}

_LAST_MAPS = (".self_attention.output", ".cross_attention.output", ".feed_forward.down")


def _scale_residual(model: nn.Module) -> None:
    last = [module for name, module in model.named_modules() if name.endswith(_LAST_MAPS)]
    weights = {id(module.weight): module.weight for module in last}  # layers may share one
    for weight in weights.values():
        assert isinstance(weight, nn.Parameter)
        weight.data /= math.sqrt(len(last))
