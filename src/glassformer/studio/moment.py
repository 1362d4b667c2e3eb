"""A training at one of its moments: the model as it stands, and the update that it would take next."""

import math
from copy import deepcopy
from dataclasses import replace

import torch

from glassformer import adapters
from glassformer.glass.update import AdamW
from glassformer.nn.low_rank import low_ranks
from glassformer.show.labels import names_of
from glassformer.studio.shelf import Opened
from glassformer.tasks.model import Model
from glassformer.training.optimizer import optimizer_tensors
from glassformer.training.run import Prepared
from glassformer.training.schedule import Schedule


def opened_at(name: str, prepared: Prepared, optimizer: torch.optim.AdamW, step: int) -> Opened:
    """A copy of the model after so many steps: the training goes on without changing it."""
    update = next_update(prepared, optimizer, step)
    transformer = deepcopy(prepared.model).eval()
    if low_ranks(transformer):
        adapters.settle(transformer)
    transformer.requires_grad_(True)
    for parameter in transformer.parameters():
        parameter.grad = None
    model = Model(replace(prepared.checkpoint, transformer=transformer), prepared.tokenizer)
    return Opened(name, model, names_of(model, name), update)


def next_update(prepared: Prepared, optimizer: torch.optim.AdamW, step: int) -> AdamW | None:
    """AdamW as it would move the weights next; None where not all move alike, or the rate hangs on the clock."""
    training = prepared.recipe.training
    alike = all(group["share"] == 1 for group in optimizer.param_groups)
    if not alike or low_ranks(prepared.model) or training.epochs or training.max_minutes:
        return None
    tensors = optimizer_tensors(prepared.model, optimizer)
    moments = {
        name: (tensors[f"exp_avg/{name}"].clone(), tensors[f"exp_avg_sq/{name}"].clone())
        for name, _ in prepared.model.named_parameters()
        if f"exp_avg/{name}" in tensors
    }
    return AdamW(
        learning_rate=Schedule.of(training).rate(step + 1, training.max_steps or math.inf),
        betas=training.betas,
        eps=training.eps,
        weight_decay=training.weight_decay,
        clip_norm=training.clip_norm or None,
        step=step + 1,
        moments=moments,
    )
