"""Runs that the page looks at: made once, kept while there is room, handed out by number."""

import itertools
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import torch

from glassformer.errors import InputError
from glassformer.glass.edits import AnyEdit
from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW
from glassformer.show.labels import Labels
from glassformer.studio.kept import Kept
from glassformer.studio.shelf import Opened
from glassformer.tasks.generation import WATCHED, Generation
from glassformer.tasks.wanted import read_target

ROOM = 2 * 2**30  # bytes of numbers that are kept; the oldest runs make room


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked of a model.

    `first`: of a text that goes on, only the run that makes the first token, which is there at once. `target`: the
    answer that is wanted; the run is then one step of training on it, at this learning rate.
    """

    text: str
    context: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    edits: Sequence[AnyEdit] = ()
    first: bool = False
    target: str | None = None
    learning_rate: float | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The text, and its context if there is one."""
        return (self.text,) if self.context is None else (self.text, self.context)

    def options_for(self, opened: Opened) -> dict[str, Any]:
        """How the answer is written: the same for its stream, its words and its trace, so that these are one."""
        if not isinstance(opened.model.task, Generation):
            return dict(self.options)
        return {"max_new_tokens": WATCHED, "seed": 0, **self.options, **({"max_new_tokens": 1} if self.first else {})}


class Runs:
    """The runs that are kept, by number."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self.held: OrderedDict[int, Kept] = OrderedDict()
        self.numbers = itertools.count(1)
        self.lock = Lock()

    def make(self, opened: Opened, wish: Wish) -> Kept:
        """Run a model, edited if it should be, and keep every number of it."""
        with opened.lock, opened.model.edit(*wish.edits):
            trace, answer = learnt(opened, wish) if wish.target is not None else answered(opened, wish)
        with self.lock:
            kept = Kept(
                number=next(self.numbers),
                opened=opened,
                text=wish.text,
                context=wish.context,
                trace=trace,
                labels=Labels(trace, opened.names),
                answer=answer,
                options=wish.options_for(opened),
                edits=tuple(wish.edits),
                partial=wish.first and isinstance(opened.model.task, Generation),
            )
            self.held[kept.number] = kept
            while len(self.held) > 1 and sum(each.size for each in self.held.values()) > self.room:
                self.held.popitem(last=False)
        return kept

    def get(self, number: int) -> Kept:
        """A run that is still kept."""
        if number not in self.held:
            raise InputError(f"run {number} is not kept any more; run the text again")
        return self.held[number]


def answered(opened: Opened, wish: Wish) -> tuple[Trace, Any]:
    """The run that makes an answer, and the answer."""
    options = wish.options_for(opened)
    answer = opened.model(*wish.given, **options)
    return opened.model.trace(*wish.given, **options), answer


def learnt(opened: Opened, wish: Wish) -> tuple[Trace, Any]:
    """One step of training on the answer that is wanted; the model itself stays as it is."""
    assert wish.target is not None, "a step of training has a target"
    settings = opened.optimizer or AdamW()
    if wish.learning_rate is not None:
        settings = replace(settings, learning_rate=wish.learning_rate)
    with torch.enable_grad():
        trace = opened.model.trace_training_step(
            *wish.given, target=read_target(opened.model.task, wish.target), optimizer=settings
        )
    return trace, None
