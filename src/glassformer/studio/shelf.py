"""The models that a studio has open: those that ship, folders, hub names; the least used ones make room."""

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from glassformer.errors import InputError
from glassformer.glass.names import Names
from glassformer.glass.update import AdamW
from glassformer.show.labels import names_of
from glassformer.studio.front import listed
from glassformer.tasks.model import Model, load, tasks_for

ROOM = 2 * 2**30  # bytes of weights that are kept; the models asked for longest ago make room


@dataclass(frozen=True)
class Opened:
    """A model that is loaded. One thing at a time is asked of it: a run may edit its weights for a while."""

    name: str
    model: Model
    names: Names
    optimizer: AdamW | None = None  # of one that is being trained: as its next update finds it
    lock: Lock = field(default_factory=Lock)

    @property
    def size(self) -> int:
        """Bytes of its weights."""
        return sum(each.numel() * each.element_size() for each in self.model.transformer.parameters())

    @property
    def path_name(self) -> str:
        """Its name as a part of a file's name."""
        return re.sub(r"[^\w.-]+", "-", self.name).strip("-.") or "model"

    def described(self) -> dict[str, Any]:
        """What the page says of it."""
        model = self.model
        return {
            "name": self.name,
            "task": type(model.task).__name__.lower(),
            "tasks": list(tasks_for(model.checkpoint)),
            "family": model.checkpoint.family,
            "parameters": sum(each.numel() for each in model.transformer.parameters()),
            "labels": list(model.checkpoint.labels or ()),
            "config": model.config.to_dict(),
            "rate": None if self.optimizer is None else self.optimizer.learning_rate,
        }


class Shelf:
    """Opens models by name and keeps them while there is room."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self.held: OrderedDict[tuple[str, str | None], Opened] = OrderedDict()
        self.moments: set[str] = set()  # names of what was put here and lies nowhere else
        self.lock = Lock()

    def open(self, name: str, task: str | None = None) -> Opened:
        """The model of this name, loaded now or before; InputError where there is none."""
        with self.lock:
            if (name, task) not in self.held:
                if name in self.moments:
                    raise InputError(f"{name} is not kept any more; look into the training again")
                model = load(name, task=task)
                model.transformer.eval()
                self._keep((name, task), Opened(name, model, names_of(model, name)))
            self.held.move_to_end((name, task))
            return self.held[name, task]

    def put(self, opened: Opened) -> None:
        """A model that no folder holds: one that is being trained, as it stands now."""
        with self.lock:
            self.moments.add(opened.name)
            self._keep((opened.name, None), opened)

    def _keep(self, key: tuple[str, str | None], opened: Opened) -> None:
        self.held[key] = opened
        while len(self.held) > 1 and sum(each.size for each in self.held.values()) > self.room:
            self.held.popitem(last=False)

    def listed(self) -> list[dict[str, str]]:
        """What can be opened without saying where it lies, and what is open beside that."""
        return listed(tuple(name for name, _ in self.held))
