"""The models that a studio has open: those that ship, folders, hub names; the least used ones make room."""

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from glassformer.glass.names import Names
from glassformer.shipped import says, shipped
from glassformer.show.labels import names_of
from glassformer.tasks.model import Model, load, tasks_for

OPEN = 4  # models held at once


@dataclass(frozen=True)
class Opened:
    """A model that is loaded. One thing at a time is asked of it: a run may edit its weights for a while."""

    name: str
    model: Model
    names: Names
    lock: Lock = field(default_factory=Lock)

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
        }


class Shelf:
    """Opens models by name and keeps the last few."""

    def __init__(self, room: int = OPEN) -> None:
        self.room = room
        self.held: OrderedDict[tuple[str, str | None], Opened] = OrderedDict()
        self.lock = Lock()

    def open(self, name: str, task: str | None = None) -> Opened:
        """The model of this name, loaded now or before; InputError where there is none."""
        with self.lock:
            if (name, task) not in self.held:
                model = load(name, task=task)
                model.transformer.eval()
                self.held[name, task] = Opened(name, model, names_of(model, name))
                while len(self.held) > self.room:
                    self.held.popitem(last=False)
            self.held.move_to_end((name, task))
            return self.held[name, task]

    def listed(self) -> list[dict[str, Any]]:
        """What can be opened without saying where it lies, and what is open beside that."""
        known = {name: says(folder) for name, folder in shipped().items()}
        others = {name: "" for name, _ in self.held if name not in known}
        return [{"name": name, "says": line} for name, line in {**known, **others}.items()]
