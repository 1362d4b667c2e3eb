"""AdamW (Loshchilov and Hutter 2019), and its moments as named tensors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from glassformer.training.recipe import TrainingTable
from glassformer.training.tables import rows_that_moved, step_table

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class AdamW(torch.optim.AdamW):
    """Torch's, which also takes gradients of some rows of a table; they are gone after the step."""

    def __init__(self, groups: Sequence[dict[str, Any]], **options: Any) -> None:
        super().__init__(groups, **options)
        self.moved: dict[Tensor, tuple[Tensor, Tensor]] = {}  # table -> a moment, and which of its rows are not zero

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in filter(has_rows, group["params"]):
                self.step_rows(parameter, group)
        super().step(closure)

    def step_rows(self, table: Tensor, group: Mapping[str, Any]) -> None:
        """Move one table."""
        assert table.grad is not None
        moments = self.state[table]
        if not moments:
            moments["step"] = torch.zeros(())
            moments |= {name: torch.zeros_like(table) for name in ("exp_avg", "exp_avg_sq")}
        mean, moved = self.moved.get(table, (None, None))
        if moved is None or mean is not moments["exp_avg"]:  # new, or read from a checkpoint
            moved = rows_that_moved(moments)
            self.moved[table] = moments["exp_avg"], moved
        moments["step"] += 1
        step_table(table, table.grad, moments, moved, group)
        table.grad = None


def has_rows(parameter: Tensor) -> bool:
    """Whether its gradient is one of some rows."""
    return parameter.grad is not None and parameter.grad.is_sparse


def make_optimizer(
    model: nn.Module, training: TrainingTable, rates: Mapping[str, float] | None = None
) -> AdamW:
    """AdamW over all parameters that learn; only matrices decay, biases and norms do not.

    `rates` is each parameter's share of the learning rate, 1 where it is silent; a group keeps its own as "share".
    """
    groups: dict[tuple[bool, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = parameter.ndim >= 2, (rates or {}).get(name, 1.0)
            groups.setdefault(key, []).append(parameter)
    decay = training.weight_decay
    return AdamW(
        [
            {"params": own, "weight_decay": decay if is_matrix else 0.0, "share": share}
            for (is_matrix, share), own in groups.items()
        ],
        lr=training.learning_rate,
        betas=training.betas,
        eps=training.eps,
        fused=True,  # one pass over memory instead of a dozen
    )


def clip_gradient(parameters: Sequence[Tensor], most: float) -> Tensor:
    """Scale all gradients so that their norm as one vector is at most this; what it was. Pascanu et al. 2013.

    On a processor torch finds the norm of a tensor by one thread, but those of its rows by all; and where there is
    nothing to clip it multiplies by one.
    """
    learnt = [each for each in parameters if each.grad is not None]
    if not learnt or learnt[0].device.type != "cpu":
        return nn.utils.clip_grad_norm_(learnt, most)
    gradients = list(numbers(learnt))
    norms = [torch.linalg.vector_norm(each, dim=-1).flatten() for each in gradients]
    norm: Tensor = torch.linalg.vector_norm(torch.cat(norms))
    if not norm <= most:  # also where it is no number
        for each in gradients:
            each.mul_(most / (norm + 1e-6))
    return norm


def numbers(parameters: Sequence[Tensor]) -> Iterator[Tensor]:
    """Those of each gradient; where it is of some rows each row stands once."""
    for parameter in parameters:
        assert parameter.grad is not None
        if has_rows(parameter):
            parameter.grad = parameter.grad.coalesce()
            yield parameter.grad.values()
        else:
            yield parameter.grad


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    """The moments under `<moment>/<parameter name>`: flat and named, so that safetensors can hold them."""
    return {
        f"{moment}/{name}": optimizer.state[parameter][moment]
        for name, parameter in model.named_parameters()
        for moment in MOMENTS
        if parameter in optimizer.state
    }


def load_optimizer(model: nn.Module, optimizer: torch.optim.AdamW, tensors: dict[str, Tensor]) -> None:
    """Put the moments back where `optimizer_tensors` found them."""
    for name, parameter in model.named_parameters():
        if f"step/{name}" in tensors:
            optimizer.state[parameter] = {
                moment: tensors[f"{moment}/{name}"].to(parameter.device, copy=True) for moment in MOMENTS
            }
