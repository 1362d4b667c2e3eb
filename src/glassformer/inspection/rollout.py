"""Attention rollout: how much of each token reaches each row, if attention alone carried it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from glassformer.glass.step import Step

Flow = dict[str, Tensor]  # stack -> rows of this stack by tokens of that one


def rollout(steps: Mapping[str, Step]) -> dict[str, Flow]:
    """For each stack, how its last rows are mixed of the tokens that it, and the encoder, read; each row adds up to 1.

    Every attention, the mean of its heads, is halved with what stays in the residual stream, and layers are multiplied.
    Abnar and Zuidema 2020, section 3. In the decoder of a pair the source comes in through cross-attention in the same
    way, mixed as the encoder mixed it.
    """
    found: dict[str, Flow] = {}
    for side in ("encoder", "decoder"):
        names = [name for name in steps if name.startswith(f"{side}.layers.") and name.endswith("_attention.weights")]
        if not names:
            continue
        size = steps[names[0]].value.shape[-2]
        flow: Flow = {side: torch.eye(size, dtype=torch.float64)}
        for name in names:
            weights = steps[name].value[0].to(torch.float64).mean(0).cpu()  # Q K
            crossing = ".cross_attention." in name
            coming = found["encoder"] if crossing else flow
            flow = mixed(flow, {each: weights @ rows for each, rows in coming.items()})
        found[side] = flow
    return found


def mixed(stays: Flow, comes: Flow) -> Flow:
    """Half of what was there and half of what comes in."""
    found: Flow = {}
    for flow in (stays, comes):
        for name, rows in flow.items():
            found[name] = found[name] + 0.5 * rows if name in found else 0.5 * rows
    return found
