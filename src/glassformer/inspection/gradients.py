"""Attribution by gradients, at the embedding's output or at any step, and by leaving pieces out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from glassformer.inspection.machine import Machine, in_lots, set_to

FLOW = 256  # points of a conductance
POINTS, PARTS, MOST = 8, 4, 4096  # of an integral: points in each part of the way, parts at first, points in all
CLOSE = 5e-3  # of what the shares are to add up to; then no part of the way is halved any more

Values = dict[str, Tensor]


@dataclass(frozen=True)
class Parts:
    """What each number of some steps contributes, and how far their sum is from what it should be."""

    values: Values  # step -> 1, ... as the step
    number: float  # what is asked about
    baseline: float | None = None  # the same where the inputs are the baseline's
    steps: int | None = None

    @property
    def error(self) -> float | None:
        """How far the sum is off, as a share of the change that it explains; None where nothing is to be explained."""
        if self.baseline is None:
            return None
        change = self.number - self.baseline
        apart = abs(sum(float(value.sum()) for value in self.values.values()) - change)
        return apart / abs(change) if change else apart


def saliency(machine: Machine, names: Sequence[str]) -> Parts:
    """How strongly the number answers to each input: the size of its gradient. Simonyan et al. 2014."""
    number, _, found = machine.gradients(names)
    return Parts({name: value.abs() for name, value in found.items()}, float(number[0]))


def input_x_gradient(machine: Machine, names: Sequence[str]) -> Parts:
    """The gradient times the input: what a straight line would make of it. Shrikumar et al. 2016."""
    number, values, found = machine.gradients(names)
    return Parts({name: values[name] * found[name] for name in names}, float(number[0]))


def integrated(machine: Machine, names: Sequence[str], baseline: Values, steps: int | None = None) -> Parts:
    """The gradient's mean on the straight way from a baseline to the inputs, times that way.

    The parts add up to the number less that of the baseline. Sundararajan et al. 2017. The mean is by Gauss and
    Legendre's rule at so many `steps`. Without their number the way is halved where the gradients do not yet add up to
    the number's own change on it, which is known exactly at both ends.
    """
    inputs = {name: machine.value(name) for name in names}
    ends = both_ends(machine, inputs, baseline)
    if steps is not None:
        return Parts(path_integral(machine, inputs, baseline, steps), *ends, steps)
    way = Way(machine, inputs, baseline)
    done: list[Stretch] = []
    waiting, used = way.parts([(n / PARTS, (n + 1) / PARTS) for n in range(PARTS)]), PARTS * POINTS
    change = abs(ends[0] - ends[1])
    while waiting:
        allowed = CLOSE * change / (len(waiting) + len(done))
        done += [part for part in waiting if part.error <= allowed]
        waiting = [part for part in waiting if part.error > allowed]
        errors = sum(part.signed for part in (*done, *waiting))
        if abs(errors) <= CLOSE * change or used + 2 * POINTS * len(waiting) > MOST:
            break
        used += 2 * POINTS * len(waiting)
        waiting = way.parts([half for part in waiting for half in part.halves])
    found = {name: sum(part.values[name] for part in (*done, *waiting)) for name in inputs}
    return Parts(found, *ends, used)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Stretch:
    """A part of the way: its shares of the integral, and how far they are from the number's change on it."""

    start: float
    end: float
    values: Values
    signed: float

    @property
    def error(self) -> float:
        """How far off."""
        return abs(self.signed)

    @property
    def halves(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Both halves."""
        amid = (self.start + self.end) / 2
        return (self.start, amid), (amid, self.end)


class Way:
    """The straight way from a baseline to the inputs, of which parts can be integrated."""

    def __init__(self, machine: Machine, inputs: Values, baseline: Values) -> None:
        self.machine, self.inputs, self.baseline = machine, inputs, baseline

    def parts(self, spans: Sequence[tuple[float, float]]) -> list[Stretch]:
        """Each span integrated, all of them together."""
        places, sizes = points(POINTS)
        shares = [start + (end - start) * place for start, end in spans for place in places]
        weights = [(end - start) * size for start, end in spans for size in sizes]
        gradients = gradients_on(self.machine, self.inputs, self.baseline, shares)
        numbers = self.at([share for span in spans for share in span])
        found = []
        for place, (start, end) in enumerate(spans):
            lot = slice(place * POINTS, (place + 1) * POINTS)
            values = {
                name: weighted(gradient[lot], weights[lot]) * (self.inputs[name] - self.baseline[name])
                for name, gradient in gradients.items()
            }
            total = sum(float(value.sum()) for value in values.values())
            found.append(Stretch(start, end, values, total - (numbers[2 * place + 1] - numbers[2 * place])))
        return found

    def at(self, shares: Sequence[float]) -> list[float]:
        """The number so far along."""
        found: list[float] = []
        with torch.inference_mode():
            for lot in in_lots(len(shares)):
                rows = on_the_way(self.inputs, self.baseline, [shares[number] for number in lot])
                edits = {name: set_to(value) for name, value in rows.items()}
                found += self.machine(edits, len(lot)).tolist()
        return found


def both_ends(machine: Machine, inputs: Values, baseline: Values) -> tuple[float, float]:
    """The number where some steps are as they are, and where they are the baseline's."""
    with torch.inference_mode():
        return tuple(  # type: ignore[return-value]
            float(machine({name: set_to(value) for name, value in each.items()})[0]) for each in (inputs, baseline)
        )


def points(count: int) -> tuple[list[float], list[float]]:
    """Gauss and Legendre's points between 0 and 1 and their weights."""
    places, weights = np.polynomial.legendre.leggauss(count)
    return (0.5 * (1.0 + places)).tolist(), (0.5 * weights).tolist()


def on_the_way(inputs: Values, baseline: Values, shares: Sequence[float]) -> Values:
    """The inputs so far along the way from the baseline: a row for each share."""
    found = {}
    for name, value in inputs.items():
        along = torch.tensor(shares, dtype=value.dtype, device=value.device)
        along = along.reshape(-1, *[1] * (value.ndim - 1))
        found[name] = baseline[name] + along * (value - baseline[name])
    return found


def path_integral(machine: Machine, inputs: Values, baseline: Values, count: int) -> Values:
    """The mean gradient on the way, times the way."""
    shares, weights = points(count)
    gradients = gradients_on(machine, inputs, baseline, shares)
    return {
        name: weighted(gradient, weights) * (inputs[name] - baseline[name]) for name, gradient in gradients.items()
    }


def gradients_on(machine: Machine, inputs: Values, baseline: Values, shares: Sequence[float]) -> Values:
    """The gradients so far along the way, a row for each share."""
    found: dict[str, list[Tensor]] = {name: [] for name in inputs}
    for lot in in_lots(len(shares)):
        rows = on_the_way(inputs, baseline, [shares[number] for number in lot])
        edits = {name: set_to(value) for name, value in rows.items()}
        for name, gradient in machine.gradients(list(inputs), edits, len(lot))[2].items():
            found[name].append(gradient)
    return {name: torch.cat(each) for name, each in found.items()}


def weighted(rows: Tensor, weights: Sequence[float]) -> Tensor:
    """The weighted sum of rows, as one row."""
    along = torch.tensor(weights, dtype=rows.dtype, device=rows.device)
    return (rows * along.reshape(-1, *[1] * (rows.ndim - 1))).sum(0, keepdim=True)


def integrated_at(
    machine: Machine, names: Sequence[str], inputs: Sequence[str], baseline: Values, steps: int | None = None
) -> Parts:
    """Integrated gradients at steps within the model: from what they are for the baseline inputs to what they are."""
    edits = {name: set_to(baseline[name]) for name in inputs}
    held: Values = {}

    def hold(name: str) -> None:
        def keep(value: Tensor) -> Tensor:
            held[name] = value.detach().clone()
            return value

        edits[name] = keep

    for name in names:
        hold(name)
    with torch.inference_mode():
        machine(edits)
    return integrated(machine, names, held, steps)


def conductance(
    machine: Machine, names: Sequence[str], inputs: Sequence[str], baseline: Values, steps: int | None = None
) -> Parts:
    """How much of the way's effect flows through each number of some steps. Dhamdhere et al. 2019.

    The sum over the way of the gradient at the step times the step's change, as Captum has it (Shrikumar et al. 2018).
    Where all of the way's effect passes through the steps, the parts add up to it.
    """
    ways = {name: machine.value(name) for name in inputs}
    count = (steps or FLOW) + 1
    shares, _ = points(count)
    gradients: dict[str, list[Tensor]] = {name: [] for name in names}
    values: dict[str, list[Tensor]] = {name: [] for name in names}
    for lot in in_lots(count):
        rows = on_the_way(ways, baseline, [shares[number] for number in lot])
        _, seen, found = machine.gradients(names, {name: set_to(value) for name, value in rows.items()}, len(lot))
        for name in names:
            gradients[name].append(found[name])
            values[name].append(seen[name])
    totals = {}
    for name in names:
        gradient, value = torch.cat(gradients[name]), torch.cat(values[name])
        totals[name] = (gradient[:-1] * (value[1:] - value[:-1])).sum(0, keepdim=True)
    return Parts(totals, both_ends(machine, ways, baseline)[0], None, count - 1)


def occluded(
    machine: Machine, pieces: Mapping[str, Sequence[Sequence[int]]], baseline: Values
) -> tuple[dict[str, list[float]], float]:
    """How much the number falls when some positions of the input are the baseline's. Zeiler and Fergus 2014."""
    inputs = {name: machine.value(name) for name in pieces}
    with torch.inference_mode():
        whole = float(machine()[0])
        found: dict[str, list[float]] = {name: [] for name in pieces}
        for name, lots in pieces.items():
            for lot in in_lots(len(lots)):
                rows = inputs[name].repeat(len(lot), *[1] * (inputs[name].ndim - 1))
                for row, number in enumerate(lot):
                    places = list(lots[number])
                    rows[row, places] = baseline[name][0, places]
                numbers = machine({name: set_to(rows)}, len(lot))
                found[name] += [whole - float(number) for number in numbers]
    return found, whole


GRADIENTS = {"saliency": saliency, "input-x-gradient": input_x_gradient}
