"""The logit lens: what the head would say of each layer's residual stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.step import Step
from glassformer.inspection.asking import Asked, question_of
from glassformer.inspection.attribute import layer_steps
from glassformer.inspection.drawing import drawn
from glassformer.inspection.labelled import Labelled, told_apart
from glassformer.inspection.machine import Machine, machine_of
from glassformer.model import Transformer
from glassformer.nn.low_rank import merged
from glassformer.tasks.model import Model
from glassformer.tasks.task import Text

SPAN = ("start", "end")
BEFORE = 3  # positions that are printed before the one that is asked about


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a layer would answer at one position, and how likely."""

    answer: str
    probability: float

    def __str__(self) -> str:
        return f"{self.answer if self.answer.strip() else repr(self.answer)} {self.probability:.0%}"


@dataclass(frozen=True, kw_only=True)
class Lens:
    """For each layer (the embedding first) and each position that the head reads: the best answer, and the target's."""

    about: str  # the number that is followed, in words
    layers: tuple[str, ...]
    positions: tuple[str, ...]  # tokens; one alone, where the head answers for the whole text
    guesses: tuple[tuple[Guess, ...], ...]  # layers by positions
    followed: Labelled  # the number that is asked about, at each layer
    at: int  # the place in `positions` of the answer that is asked about

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "about": self.about,
            "layers": list(self.layers),
            "positions": list(self.positions),
            "guesses": [[vars(guess) for guess in row] for row in self.guesses],
            "followed": self.followed.values.tolist(),
            "at": self.at,
        }

    def plot(self, path: str | None = None, **options: Any) -> Any:
        """The guesses as a map by matplotlib, written to `path` where one is given. Extra: plot."""
        return drawn("lens", self, path, **options)

    def __str__(self) -> str:
        """A line a layer: the number that is followed, and the guesses at the place asked about and some before it."""
        places = range(max(0, self.at - BEFORE), self.at + 1)
        rows = [[f"at {self.positions[place]}" for place in places]]
        rows += [[str(row[place]) for place in places] for row in self.guesses]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        told = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines = [f"logit lens; {self.about} by layer, and each layer's own answer:", f"{'':22}{told[0]}".rstrip()]
        for layer, value, row in zip(self.layers, self.followed.values, told[1:], strict=True):
            lines.append(f"  {layer:>9} {value:+9.4f}  {row}".rstrip())
        return "\n".join(lines)


def lens(
    model: Model, text: Text, context: str | None = None, *, float64: bool = False, **asked: Any
) -> Lens:
    """Every layer's residual stream through the last norm and the head; nostalgebraist 2020.

    Heads of every kind: the last layer's line is the model's own answer. Which number is followed: `target`, `against`,
    `position` and `written`, as `attribute` has them.
    """
    if context is not None:
        text = (str(text), context)
    question = question_of(model, text, Asked(**asked))
    if question.number is not None:
        raise InputError("the lens follows an answer's logit; name an answer as the target")
    with merged(model.transformer), machine_of(model.transformer, question, float64) as machine, torch.no_grad():
        steps = machine.steps()
        side = question.sides[-1]
        names = [f"{side.name}.embedding.output", *layer_steps(list(steps), side.name)]
        logits = [through_head(machine, steps, name) for name in names]
    layers = ("embedding", *map(str, range(len(names) - 1)))
    followed = torch.cat([question.value(each) for each in logits]).double().cpu().numpy()
    spoken = logits[0].ndim == 3
    place = question.terms[0].position if spoken else 0
    return Lens(
        about=question.words,
        layers=layers,
        positions=told_apart(side.tokens) if spoken else ("the whole text",),
        guesses=tuple(guesses(model, each) for each in logits),
        followed=Labelled(values=followed, axes=("layer",), labels=(layers,), measure=question.words),
        at=len(side.tokens) - 1 if place is None else place,
    )


def through_head(machine: Machine, steps: Mapping[str, Step], name: str) -> Tensor:
    """The logits that a row of the residual stream would make."""
    model: Transformer = machine.model
    stack = model.decoder or model.encoder
    assert stack is not None, "a model has a stack"
    x = steps[name].value
    x = x if stack.norm is None else stack.norm(x)
    given = machine.question.batch
    logits: Tensor = model.head(x, given.source_mask if model.decoder is None else given.target_mask)
    return logits


def guesses(model: Model, logits: Tensor) -> tuple[Guess, ...]:
    """The best answer at each position, (1, L) or (1, T, V)."""
    rows = logits[0] if logits.ndim == 3 else logits
    head = model.config.head
    if head == "answer-span":  # over positions: each position's own share of the start and of the end
        start, end = rows.double().softmax(0).T
        return tuple(
            Guess(answer=SPAN[int(e > s)], probability=float(max(s, e))) for s, e in zip(start, end, strict=True)
        )
    if head == "sequence-label" and (model.config.label_choice == "any" or rows.shape[-1] == 1):
        likely = rows.double().sigmoid()
    else:
        likely = rows.double().softmax(-1)
    best = likely.max(-1)
    labels = model.checkpoint.labels
    named = labels.__getitem__ if head in ("sequence-label", "token-label") else model.tokenizer.token
    return tuple(
        Guess(answer=named(id), probability=share)
        for id, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    )
