"""Trainings that the page starts: each in a thread of its own, its records kept for whoever looks."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Literal

from glassformer.errors import InputError
from glassformer.studio.kept import plain
from glassformer.studio.moment import opened_at
from glassformer.studio.shelf import Opened
from glassformer.tasks.model import Model
from glassformer.training.optimizer import AdamW
from glassformer.training.recipe import Recipe
from glassformer.training.record import Record
from glassformer.training.run import FINISHED, Prepared, prepare

State = Literal["preparing", "running", "held", "stopped", "finished", "refused"]
Wanted = Literal["run", "step", "hold", "stop"]
OPEN = ("preparing", "running", "held")
STILL = ("held", "stopped", "finished")  # nothing moves: the model can be looked at
LOOKED = "*.weights"  # what is kept of the probe sentence while it learns


@dataclass
class Clock:
    """Seconds, but not those in which the training is held."""

    held: float = 0.0

    def __call__(self) -> float:
        """The time by which a run goes."""
        return time.monotonic() - self.held


@dataclass
class Training:
    """One run: what it said so far, what the probe sentence looked like meanwhile, and where it is."""

    number: int
    recipe: Recipe
    data: Sequence[str]
    out: Path
    probe: str | None
    target: str | None = None  # what is wanted of the probe
    state: State = "preparing"
    refusal: str = ""
    step: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)
    clock: Clock = field(default_factory=Clock)
    wanted: Wanted = "run"
    prepared: Prepared | None = None
    optimizer: AdamW | None = None

    def described(self) -> dict[str, Any]:
        """What the page says of it."""
        return {
            "training": self.number,
            "task": self.recipe.task,
            "state": self.state,
            "refusal": self.refusal,
            "step": self.step,
            "sizes": self.sizes,
            "probe": self.probe,
            "target": self.target,
            "model": self.model,
            "events": len(self.events),
        }

    @property
    def model(self) -> str | None:
        """The folder of its weights so far, the best first."""
        return next((str(self.out / name) for name in FINISHED if (self.out / name).is_dir()), None)

    def begin(self, *, resume: bool = False, wanted: Wanted = "run") -> None:
        """Start, or go on from the last checkpoint."""
        self.wanted, self.state = wanted, "preparing"
        Thread(target=self._run, args=(resume,), daemon=True).start()

    def ask(self, wanted: Wanted) -> None:
        """Hold it, let it take one step or go on, or stop it; it obeys at its next record."""
        with self.changed:
            if wanted in ("run", "step") and self.state == "stopped":
                self.begin(resume=True, wanted=wanted)
            elif self.state in OPEN:
                self.wanted = wanted
            else:
                raise InputError(f"training {self.number} is {self.state}; there is nothing to {wanted}")
            self.changed.notify_all()

    def moment(self) -> Opened:
        """The model as it stands now, to be looked into like any other."""
        with self.changed:
            if self.prepared is None or self.optimizer is None or self.state not in STILL:
                raise InputError(f"training {self.number} is {self.state}; hold it to look into it")
            name = f"training {self.number}, step {self.step}"
            return opened_at(name, self.prepared, self.optimizer, self.step)

    def followed(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """Every event from one on, as it comes, until the run ends; `state` events say how it stands."""
        place = start
        while True:
            with self.changed:
                self._wait(place)
                fresh, ended = self.events[place:], self.state not in OPEN
            yield from fresh
            place += len(fresh)
            if ended and place == len(self.events):
                return
            if not fresh:
                yield {"kind": "waiting"}  # keeps the connection, and tells the server of one that is gone

    def _wait(self, place: int) -> None:
        """Until there are more events than so many, or none will come; not for ever."""
        self.changed.wait_for(lambda: len(self.events) > place or self.state not in OPEN, timeout=15)

    def _run(self, resume: bool) -> None:
        try:
            prepared = prepare(self.recipe, self.data, self.out, resume=resume)
            self.prepared, self.optimizer, self.sizes = prepared, prepared.optimizer(), prepared.sizes()
            self._tell({"kind": "state", "state": "running"}, "running")
            self._follow(prepared)
        except InputError as error:
            self._refuse(str(error))
        except Exception as error:  # whoever looks on is told, or would wait for ever
            self._refuse(f"{type(error).__name__}: {error}")
            raise

    def _refuse(self, why: str) -> None:
        self.refusal = " ".join(why.split())
        self._tell({"kind": "state", "state": "refused", "error": self.refusal}, "refused")

    def _follow(self, prepared: Prepared) -> None:
        if self.wanted == "hold":  # before its first step: there is a model to look at already
            self._tell({"kind": "begun", "step": self.step, **self._probed(prepared)})
            if not self._may_go_on(None):
                self._tell({"kind": "state", "state": "stopped"}, "stopped")
                return
        records = prepared.records(self.clock, self.optimizer)
        for record in records:
            self.step = record.step
            self._tell({**record.to_dict(), **self._probed(prepared)})
            if not self._may_go_on(record):
                records.close()  # type: ignore[attr-defined]
                self._tell({"kind": "state", "state": "stopped"}, "stopped")
                return
        self._tell({"kind": "state", "state": "finished"}, "finished")

    def _may_go_on(self, record: Record | None) -> bool:
        """Wait while it is held; False: it is to stop."""
        with self.changed:
            if self.wanted == "step" and record is not None and record.kind == "train":
                self.wanted = "hold"
            if self.wanted == "hold":
                began, self.state = time.monotonic(), "held"
                self.events.append({"kind": "state", "state": "held"})
                self.changed.notify_all()
                self.changed.wait_for(lambda: self.wanted != "hold")
                self.clock.held += time.monotonic() - began
                self.state = "running"
                self.events.append({"kind": "state", "state": "running"})
            return self.wanted != "stop"

    def _probed(self, prepared: Prepared) -> dict[str, Any]:
        """What the model makes of the probe sentence now, and how its heads look at it."""
        if self.probe is None:
            return {}
        learning = prepared.model.training
        prepared.model.eval()
        try:
            model = Model(prepared.checkpoint, prepared.tokenizer)
            answer, trace = model(self.probe), model.trace(self.probe, keep=LOOKED)
        except InputError as error:  # a sentence that this model cannot read: the run goes on without it
            return {"probe": {"refused": str(error)}}
        finally:
            prepared.model.train(learning)
        weights = {name: step.value[0].tolist() for name, step in trace.items()}
        return {"probe": {"said": trace.answer, **plain(answer), "tokens": trace.tokens, "weights": weights}}

    def _tell(self, event: dict[str, Any], state: State | None = None) -> None:
        with self.changed:
            self.events.append(event)
            self.state = state or self.state
            self.changed.notify_all()


class Trainings:
    """Starts trainings into folders of their own; one at a time."""

    def __init__(self, place: Callable[[], Path]) -> None:
        self.place = place
        self.held: dict[int, Training] = {}
        self.numbers = itertools.count(1)

    def start(
        self,
        recipe: str,
        data: Sequence[str],
        probe: str | None,
        target: str | None = None,
        *,
        held: bool = False,
    ) -> Training:
        """A new run by a recipe, written as TOML; `held` before its first step, if that is wished."""
        running = [each.number for each in self.held.values() if each.state in OPEN]
        if running:
            raise InputError(f"training {running[0]} is not over yet; stop it, or wait until it is")
        number = next(self.numbers)
        out = self.place() / f"training-{number}"
        training = Training(number, Recipe.parse(recipe), data, out, probe, target)
        self.held[number] = training
        training.begin(wanted="hold" if held else "run")
        return training

    def get(self, number: int) -> Training:
        """A training that this studio started."""
        if number not in self.held:
            raise InputError(f"this studio started no training {number}; start one")
        return self.held[number]

    def close(self) -> None:
        """Stop what still runs; what it learnt up to its last checkpoint stays."""
        for training in self.held.values():
            if training.state in OPEN:
                training.ask("stop")
