"""AdamW (Loshchilov and Hutter 2019), and its moments as named tensors."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from glassformer.training.recipe import TrainingTable

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def make_optimizer(
    model: nn.Module, training: TrainingTable, rates: Mapping[str, float] | None = None
) -> torch.optim.AdamW:
    """AdamW over all parameters that learn; only matrices decay, biases and norms do not.

    `rates` is each parameter's share of the learning rate, 1 where it is silent; a group keeps its own as "share".
    """
    groups: dict[tuple[bool, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = parameter.ndim >= 2, (rates or {}).get(name, 1.0)
            groups.setdefault(key, []).append(parameter)
    decay = training.weight_decay
    return torch.optim.AdamW(
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
    rows = [torch.linalg.vector_norm(each.grad, dim=-1).flatten() for each in learnt]
    norm: Tensor = torch.linalg.vector_norm(torch.cat(rows))
    if not norm <= most:  # also where it is no number
        nn.utils.clip_grads_with_norm_(learnt, most, norm)
    return norm


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
