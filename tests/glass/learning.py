"""A step of training computed a second time by torch alone: autograd and torch.optim.AdamW."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from glassformer.glass.formulas import FORMULAS
from glassformer.glass.learning import learn
from glassformer.glass.tape import Tape
from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW

Run = Callable[[Trace], Tensor]  # makes every step of a run, the loss last


def learnt(run: Run, optimizer: AdamW, keep: str | tuple[str, ...] = "*") -> Trace:
    """A traced step of training."""
    tape = Tape()
    trace = Trace(keep, tape=tape)
    run(trace)
    learn(trace, tape, optimizer)
    return trace


def autograd(run: Run, names: Sequence[str]) -> dict[str, Tensor]:
    """The gradients of these steps by autograd through the whole run at once; the parameters keep theirs."""
    met: dict[str, Tensor] = {}

    def watch(name: str, value: Tensor) -> Tensor:
        met[name] = value.clone()
        met[name].retain_grad()
        return met[name]

    run(Trace(edits={name: partial(watch, name) for name in names})).backward()
    return {name: value.grad for name, value in met.items() if value.grad is not None}


def furthest(trace: Trace, model: nn.Module, run: Run) -> float:
    """The largest difference of any gradient; none may be missing on either side."""
    model.zero_grad()
    expected = autograd(run, [name for name in trace if trace[name].value.is_floating_point() and learns(trace, name)])
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            expected[name] = parameter.grad.clone()
    found = {
        name.removeprefix("gradient."): trace[name].value
        for name in trace
        if name.startswith("gradient.") and ".through." not in name
    }
    assert set(found) == set(expected)
    return max(float((found[name] - value).abs().max()) for name, value in expected.items())


def learns(trace: Trace, name: str) -> bool:
    """Whether a step of the run itself, and not of the way back, is made of any parameter."""
    if name in trace.parameters:
        return True
    step = trace[name]
    return step.key in FORMULAS and any(learns(trace, source) for source in step.inputs)


def torch_updates(model: nn.Module, settings: AdamW) -> dict[str, Tensor]:
    """What torch.optim.AdamW makes of the gradients that the parameters have; the model is moved."""
    groups = [
        {"params": [p for p in model.parameters() if (p.ndim >= 2) == matrix], "weight_decay": decay}
        for matrix, decay in ((True, settings.weight_decay), (False, 0.0))
    ]
    theirs = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.eps)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        before = settings.moments.get(names[id(parameter)])
        if before is not None:
            theirs.state[parameter] = {
                "step": torch.tensor(settings.step - 1.0), "exp_avg": before[0].clone(),
                "exp_avg_sq": before[1].clone(),
            }  # fmt: skip
    if settings.clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
    theirs.step()
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            found[f"{name}.new"] = parameter.detach().clone()
            found[f"{name}.first_moment"] = theirs.state[parameter]["exp_avg"]
            found[f"{name}.second_moment"] = theirs.state[parameter]["exp_avg_sq"]
    return found


def gapless(trace: Trace) -> bool:
    """Whether every input was made before it was used."""
    known = set(trace.parameters)
    for step in trace.values():
        if not set(step.inputs) <= known:
            return False
        known.add(step.name)
    return True
