"""One update of the parameters as steps: AdamW with its moments, its decay, and the gradient cut to a length.

Kingma and Ba 2015, algorithm 1; decay beside the gradient: Loshchilov and Hutter 2019, algorithm 2; clipping: Pascanu,
Mikolov and Bengio 2013, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.tape import Gradient
from glassformer.glass.update_formulas import TINY

Moments = Mapping[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """How parameters move: the settings of torch.optim.AdamW, and the length that the gradient is cut to.

    `step` counts updates from 1; `moments` are what earlier ones left of each parameter (nothing: zeros, as at the
    first). Only matrices decay, as in training.
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    step: int = 1
    moments: Moments = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.learning_rate < 0 or self.weight_decay < 0 or self.eps < 0:
            raise InputError(
                f"learning_rate is {self.learning_rate}, weight_decay {self.weight_decay} and eps {self.eps}; "
                "give numbers that are not below 0"
            )
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas are {self.betas}; give two numbers from 0 up to, but not, 1")
        if self.step < 1:
            raise InputError(f"step is {self.step}; the first update is 1")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise InputError(f"clip_norm is {self.clip_norm}; give a number above 0, or None to clip nothing")


def updates(
    parameters: Mapping[str, Tensor], gradients: Mapping[str, Gradient], settings: AdamW
) -> Iterator[Gradient]:
    """Every number of one update, parameter by parameter; `gradients` are those of the parameters, by name."""
    used = {name: gradient for name, gradient in gradients.items() if name in parameters}
    factor = None
    if settings.clip_norm is not None:
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(each.value) for each in used.values()])
        )
        names = tuple(each.name for each in used.values())
        yield Gradient("update.gradient_norm", "", norm, "gradient_norm", names)
        factor = (settings.clip_norm / (norm + TINY)).clamp(max=1.0)
        constants = {"clip_norm": settings.clip_norm}
        yield Gradient("update.clip_factor", "", factor, "clip_factor", ("update.gradient_norm",), constants)
    for name, gradient in used.items():
        yield from _update(name, parameters[name], gradient, factor, settings)


def _update(
    name: str, parameter: Tensor, gradient: Gradient, factor: Tensor | None, settings: AdamW
) -> Iterator[Gradient]:
    """One parameter's."""
    here, axes, source, g = f"update.{name}", gradient.axes, gradient.name, gradient.value
    if factor is not None:
        g = g * factor
        yield Gradient(f"{here}.clipped", axes, g, "clipped", (source, "update.clip_factor"))
        source = f"{here}.clipped"
    zeros = torch.zeros_like(parameter), torch.zeros_like(parameter)
    corrected = []
    kinds = zip(("first_moment", "second_moment"), settings.moments.get(name, zeros), settings.betas, strict=True)
    for kind, before, beta in kinds:
        yield Gradient(f"{here}.earlier_{kind}", axes, before, "given", ())
        moment = beta * before + (1.0 - beta) * (g if kind == "first_moment" else g.square())
        yield Gradient(f"{here}.{kind}", axes, moment, kind, (f"{here}.earlier_{kind}", source), {"beta": beta})
        corrected.append(moment / (1.0 - beta**settings.step))
        constants = {"beta": beta, "step": settings.step}
        yield Gradient(
            f"{here}.{kind}_corrected", axes, corrected[-1], "moment_corrected", (f"{here}.{kind}",), constants
        )
    rate, decay = settings.learning_rate, settings.weight_decay if parameter.ndim >= 2 else 0.0
    decayed = parameter * (1.0 - rate * decay)
    yield Gradient(
        f"{here}.decayed", axes, decayed, "decayed", (name,), {"learning_rate": rate, "weight_decay": decay}
    )
    new = decayed - rate * corrected[0] / (corrected[1].sqrt() + settings.eps)
    inputs = tuple(f"{here}.{each}" for each in ("decayed", "first_moment_corrected", "second_moment_corrected"))
    yield Gradient(f"{here}.new", axes, new, "moved", inputs, {"learning_rate": rate, "eps": settings.eps})
