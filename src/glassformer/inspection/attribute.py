"""Which parts of a text an answer hangs on: one call for every task and every method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.naming import chosen, unknown
from glassformer.glass.place import axis_of
from glassformer.glass.verify import as_array
from glassformer.inspection.asking import Asked, Target, question_of
from glassformer.inspection.attribution import Attribution, Scores
from glassformer.inspection.gradients import (
    Parts,
    Values,
    conductance,
    input_x_gradient,
    integrated,
    integrated_at,
    occluded,
    saliency,
)
from glassformer.inspection.labelled import Labelled, told_apart
from glassformer.inspection.machine import Machine, machine_of
from glassformer.inspection.question import Question, Side
from glassformer.inspection.rollout import rollout
from glassformer.nn.low_rank import merged
from glassformer.tasks.model import Model
from glassformer.tasks.task import Text
from glassformer.text.words import words

Method = Literal[
    "saliency",
    "input-x-gradient",
    "integrated-gradients",
    "occlusion",
    "rollout",
    "layer-integrated-gradients",
    "conductance",
]
OVER: Method = "integrated-gradients"


@dataclass(frozen=True, kw_only=True)
class How:
    """How an attribution is computed."""

    step: str | None = None  # within the model: where the parts are looked for
    baseline: str = "zero"  # what stands for nothing: zero, mean (of the text's rows), or a token such as [MASK]
    steps: int | None = None  # of an integral; None: until its parts add up
    unit: Literal["token", "word"] = "token"  # what is left out at once

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps is {self.steps}; an integral needs 1 or more")
        if self.unit not in ("token", "word"):
            raise InputError(f"unit is {self.unit!r}; expected 'token' or 'word'")


def attribute(
    model: Model,
    text: Text,
    context: str | None = None,
    *,
    method: Method = OVER,
    target: Target = None,
    against: str | int | None = None,
    position: int | None = None,
    written: str | None = None,
    step: str | None = None,
    baseline: str = "zero",
    steps: int | None = None,
    unit: Literal["token", "word"] = "token",
    float64: bool = False,
) -> Attribution:
    """How much each token of a text contributes to an answer's logit.

    `target` is the answer: a label; for names the label of word number `position`; "start", "end" or a piece of the
    context; a word for the hidden word number `position`; a token as new token number `position`, or behind the text
    `written` in place of the model's own. Without one it is the model's own answer. Without a position it is where the
    model gives the target first, else the first there is. `against` asks why not another: the difference of both
    logits. A Number asks about any number of a step.

    Methods at the embedding: saliency, input-x-gradient, integrated-gradients, occlusion, rollout; at a `step` within:
    layer-integrated-gradients, conductance, and also saliency and input-x-gradient. In `float64` a copy computes.
    """
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; expected one of {', '.join(METHODS)}")
    if context is not None:
        text = (str(text), context)
    how = How(step=step, baseline=baseline, steps=steps, unit=unit)
    question = question_of(model, text, Asked(target=target, against=against, position=position, written=written))
    with merged(model.transformer), machine_of(model.transformer, question, float64) as machine:
        inputs = embedding_names(question) if method != "rollout" else []
        given = {name: baseline_of(model, machine, name, baseline) for name in inputs}
        return METHODS[method](machine, how, given)


def embedding_names(question: Question) -> list[str]:
    """The steps in which the text comes in."""
    return [f"{side.name}.embedding.output" for side in question.sides]


def baseline_of(model: Model, machine: Machine, name: str, baseline: str) -> Tensor:
    """What stands for nothing, in the shape of an embedding's output."""
    value = machine.value(name)
    if baseline == "zero":
        return torch.zeros_like(value)
    if baseline == "mean":
        return value.mean(1, keepdim=True).expand_as(value)
    side = name.partition(".")[0]
    tokenizer = model.tokenizer if side == "decoder" else model.source_tokenizer or model.tokenizer
    id = tokenizer.id(baseline)
    if id is None:
        raise InputError(f"there is no baseline {baseline!r}; expected zero, mean, or a token, such as its mask")
    question = machine.question
    own = torch.tensor([[of is not None for of in question.side(side).of]], device=value.device)
    field = "target" if side == "decoder" else "source"
    ids = getattr(question.batch, field)
    changed = replace(question, batch=replace(question.batch, **{field: ids.masked_fill(own, id)}))
    return Machine(machine.model, changed).value(name)


# ------------------------------------------------------------------ the methods


def at_inputs(parts: Parts, machine: Machine, method: str, reduce: Callable[[Tensor], Tensor]) -> Attribution:
    """Parts at embeddings as a score for each token."""
    question = machine.question
    scores = [
        Scores.of(side, reduce(parts.values[name][0]).tolist())
        for side, name in zip(question.sides, embedding_names(question), strict=True)
    ]
    return Attribution(
        method=method,
        about=question.words,
        number=parts.number,
        scores=tuple(scores),
        baseline=parts.baseline,
        error=parts.error,
        steps=parts.steps,
        values={name: as_array(value[0]) for name, value in parts.values.items()},
    )


def at_step(parts: Parts, machine: Machine, method: str, name: str, reduce: Callable[[Tensor], Tensor]) -> Attribution:
    """Parts at a step within the model as a score for each token whose row they stand in."""
    question, side = machine.question, side_within(machine.question, name)
    letters = machine.steps(name)[name].axes.split()
    axis = axis_of("position", letters)
    if axis is None:
        scores: tuple[Scores, ...] = ()
    else:
        rows = parts.values[name][0].movedim(axis - 1, 0).flatten(1)
        scores = (Scores.of(side, reduce(rows).tolist()),)
    return Attribution(
        method=method,
        about=question.words,
        number=parts.number,
        scores=scores,
        step=name,
        baseline=parts.baseline,
        error=parts.error,
        steps=parts.steps,
        values={name: as_array(parts.values[name][0])},
    )


def side_within(question: Question, name: str) -> Side:
    """The stack that a step belongs to; a head belongs to the last."""
    part = name.partition(".")[0]
    return question.side(part) if part in ("encoder", "decoder") else question.sides[-1]


def one_step(machine: Machine, name: str) -> str:
    """The step that is named, which must be one."""
    steps = machine.steps("*")
    if name not in steps:
        found = chosen(name, steps)
        if len(found) != 1:
            raise unknown(name, steps) if not found else InputError(
                f"{name!r} fits {len(found)} steps; name one, or use inspection.layers for a table of all layers"
            )
        return found[0]
    return name


def by_gradient(
    kind: Callable[[Machine, Sequence[str]], Parts], method: str, reduce: Callable[[Tensor], Tensor]
) -> Callable[[Machine, How, Values], Attribution]:
    """A method of one gradient."""

    def compute(machine: Machine, how: How, given: Values) -> Attribution:
        if how.step is None:
            return at_inputs(kind(machine, list(given)), machine, method, reduce)
        name = one_step(machine, how.step)
        return at_step(kind(machine, [name]), machine, method, name, reduce)

    return compute


def by_integral(machine: Machine, how: How, given: Values) -> Attribution:
    """Integrated gradients at the embedding, or at a step where one is named."""
    if how.step is not None:
        return by_layer(machine, how, given)
    parts = integrated(machine, list(given), given, how.steps)
    return at_inputs(parts, machine, OVER, total)


def by_layer(machine: Machine, how: How, given: Values) -> Attribution:
    """Integrated gradients at a step within."""
    name = named(machine, how, "layer-integrated-gradients")
    parts = integrated_at(machine, [name], list(given), given, how.steps)
    return at_step(parts, machine, "layer-integrated-gradients", name, total)


def by_conductance(machine: Machine, how: How, given: Values) -> Attribution:
    """Conductance of a step within."""
    name = named(machine, how, "conductance")
    return at_step(conductance(machine, [name], list(given), given, how.steps), machine, "conductance", name, total)


def named(machine: Machine, how: How, method: str) -> str:
    """The step that a method within the model cannot do without."""
    if how.step is None:
        raise InputError(f"{method} looks at a step within the model; name one, such as {machine.question.read}.layers."
                         "0.feed_forward.active")  # fmt: skip
    return one_step(machine, how.step)


def by_occlusion(machine: Machine, how: How, given: Values) -> Attribution:
    """Every token, or every word, left out in turn."""
    question = machine.question
    pieces = {name: units(side, how.unit) for side, name in zip(question.sides, given, strict=True)}
    found, number = occluded(machine, pieces, given)
    scores = []
    for side, name in zip(question.sides, given, strict=True):
        row = [0.0] * len(side.tokens)
        for places, score in zip(pieces[name], found[name], strict=True):
            for place in places:
                row[place] = score / len(places)
        scores.append(Scores.of(side, row))
    return Attribution(method="occlusion", about=question.words, number=number, scores=tuple(scores))


def units(side: Side, unit: str) -> list[list[int]]:
    """What is left out at once: the places of each token, or of each word; added tokens one by one."""
    if unit == "token":
        return [[place] for place in range(len(side.tokens))]
    found = [
        list(word.places)
        for number, text in enumerate(side.texts)
        for word in words(text, side.offsets, [place for place, of in enumerate(side.of) if of == number])
    ]
    inside = {place for places in found for place in places}
    return sorted([*found, *([place] for place in range(len(side.tokens)) if place not in inside)])


def by_rollout(machine: Machine, how: How, given: Values) -> Attribution:
    """How much of each token reaches the row that answers, through attention alone."""
    question = machine.question
    steps = machine.steps("*_attention.weights")
    flow = rollout(steps)[question.sides[-1].name]
    row = answering_row(machine)
    scores = [Scores.of(side, flow[side.name][row].tolist()) for side in question.sides if side.name in flow]
    with torch.no_grad():
        number = float(machine()[0])
    return Attribution(method="rollout", about=question.words, number=number, scores=tuple(scores))


def answering_row(machine: Machine) -> int:
    """The position of the last stack whose row answers."""
    places = [term.position for term in machine.question.terms]
    if places and places[0] is not None:
        return places[0]
    last = machine.model.config.pooling == "last"
    return len(machine.question.sides[-1].tokens) - 1 if last else 0


def total(rows: Tensor) -> Tensor:
    """The sum of each row."""
    return rows.sum(-1)


def length(rows: Tensor) -> Tensor:
    """The length of each row as a vector."""
    return rows.pow(2).sum(-1).sqrt()


METHODS: dict[str, Callable[[Machine, How, Values], Attribution]] = {
    "saliency": by_gradient(saliency, "saliency", length),
    "input-x-gradient": by_gradient(input_x_gradient, "input-x-gradient", total),
    "integrated-gradients": by_integral,
    "occlusion": by_occlusion,
    "rollout": by_rollout,
    "layer-integrated-gradients": by_layer,
    "conductance": by_conductance,
}


# ------------------------------------------------------------------ all layers at once


def layers(
    model: Model,
    text: Text,
    context: str | None = None,
    *,
    method: Literal["layer-integrated-gradients", "conductance", "input-x-gradient"] = "layer-integrated-gradients",
    part: str = "",
    baseline: str = "zero",
    steps: int | None = None,
    float64: bool = False,
    **asked: Any,
) -> Labelled:
    """How much each position of each layer contributes: a table of layers by tokens, of the stack that reads the text.

    `part` is a step of a layer, such as "feed_forward.output"; without one it is what the layer hands on.
    """
    if method not in ("layer-integrated-gradients", "conductance", "input-x-gradient"):
        raise InputError(f"there is no method {method!r} for layers; expected layer-integrated-gradients, conductance "
                         "or input-x-gradient")  # fmt: skip
    if context is not None:
        text = (str(text), context)
    question = question_of(model, text, Asked(**asked))
    with merged(model.transformer), machine_of(model.transformer, question, float64) as machine:
        given = {name: baseline_of(model, machine, name, baseline) for name in embedding_names(question)}
        names = layer_steps(list(machine.steps("*")), question.read, part)
        found = []
        for name in names:
            if method == "conductance":
                parts = conductance(machine, [name], list(given), given, steps)
            elif method == "input-x-gradient":
                parts = input_x_gradient(machine, [name])
            else:
                parts = integrated_at(machine, [name], list(given), given, steps)
            found.append(as_array(parts.values[name][0].sum(-1)))
    side = question.side(question.read)
    return Labelled(
        values=np.stack(found),
        axes=("layer", "position"),
        labels=(tuple(map(str, range(len(names)))), told_apart(side.tokens)),
        measure=f"{method} for {question.words}",
    )


def layer_steps(names: Sequence[str], side: str, part: str = "") -> list[str]:
    """A step of every layer of a stack: that part, or what the layer hands on."""
    found: dict[int, str] = {}
    for name in names:
        if name.startswith(f"{side}.layers."):
            number, _, rest = name.removeprefix(f"{side}.layers.").partition(".")
            if not part or rest == part:
                found[int(number)] = name
    if not found:
        raise unknown(f"{side}.layers.0.{part}", names)
    return [found[number] for number in sorted(found)]
