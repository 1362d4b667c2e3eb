"""AdamW (Loshchilov and Hutter 2019), and its moments as named tensors."""

import torch
from torch import Tensor, nn

from glassformer.training.recipe import TrainingTable

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def make_optimizer(model: nn.Module, training: TrainingTable) -> torch.optim.AdamW:
    """AdamW over all parameters that learn; only matrices decay, biases and norms do not."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": training.weight_decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=training.learning_rate,
        betas=training.betas,
        eps=training.eps,
        fused=True,  # one pass over memory instead of a dozen
    )


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
