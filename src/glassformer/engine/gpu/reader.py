"""A search's reader on a GPU: new tokens are read by recorded steps."""

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from glassformer.decoding.reader import Reader
from glassformer.engine.gpu.step import Body, Shape, Step
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.cache import Cache
from glassformer.nn.twin import Continuations

ROOM = 256  # slots are added by so many, the new token's place included: attention takes masks of whole vectors
SOURCE = 32  # and places of a source
IDLE = 2**29  # bytes of keys and values in steps that wait for later readers


class Steps:
    """The recorded steps of a model; each belongs to one reader at a time."""

    def __init__(self, model: Transformer, body: Callable[[int], Body]) -> None:
        self.model, self.body = model, body  # what runs so many rows
        self.idle: list[Step] = []  # the latest last
        self.given: deque[Step] = deque()  # back, and not looked at yet: whoever gives may hold the lock already
        self.lock = Lock()

    def take(self, shape: Shape, like: Cache) -> Step:
        """One of this shape."""
        with self.lock:
            self.settle()
            for place, step in enumerate(self.idle):
                if step.shape == shape:
                    return self.idle.pop(place)
        try:
            return self.made(shape, like)
        except torch.OutOfMemoryError:
            with self.lock:
                self.idle.clear()
        return self.made(shape, like)

    def made(self, shape: Shape, like: Cache) -> Step:
        """A new one."""
        with torch.inference_mode(False), torch.no_grad():  # so that it may be written to outside, too
            return Step(self.model, shape, like, self.body(shape.rows))

    def settle(self) -> None:
        """Let the oldest idle steps go where they hold too much."""
        while self.given:
            self.idle.append(self.given.popleft())
        while self.idle and sum(step.size for step in self.idle) > IDLE:
            del self.idle[0]


@dataclass(frozen=True, slots=True)
class Read:
    """A token of every row, and which row each of them was before; None: the same."""

    tokens: list[int]
    moved: list[int] | None


class RecordedReader(Reader):
    """What decoding/reader.py's does; one new token of every row is a recorded step.

    What was read either grows in the cache, as there, or stands in a step. While the likeliest token is what the
    search chooses, the next step starts before it has asked, so that the GPU does not wait for it.
    """

    def __init__(
        self, model: Transformer, steps: Steps, memory: Tensor | None = None, source_mask: Tensor | None = None
    ) -> None:
        super().__init__(model, memory, source_mask)
        self.steps = steps
        bounds = [model.config.max_positions - 1] if model.config.limit or has_table(model) else []
        self.most = min(bounds, default=None)  # slots of a step: the model's positions, but for the new token's
        self.step: Step | None = None
        self.give_back: weakref.finalize[Any, RecordedReader] | None = None  # the step
        self.count = 0  # rows of it in use
        self.tail: list[Read] = []  # what was read by it
        self.likeliest: list[int] = []  # to follow each row, where the step has said so
        self.agreed = self.is_ahead = False  # the last choice was the likeliest; the step that reads the next one ran

    @property
    def held(self) -> int:
        """How many tokens of the longest row are held."""
        return super().held + len(self.tail)

    def read_on(
        self, tokens: Sequence[int], rows: Sequence[int] | None = None, trace: Trace | None = None
    ) -> None:
        """Go on with these rows, in this order (None: with all as they are), each by one token."""
        if trace is not None or (self.most is not None and self.held >= self.most):
            self._leave()
            super().read_on(tokens, rows, trace)
            return
        step, moved = self._standing(len(tokens), rows)
        as_told = list(tokens) == self.likeliest[: len(tokens)]
        if not (as_told and self.is_ahead):
            self._forget_ahead(step)
            if not as_told:
                step.ids[: len(tokens), 0] = torch.tensor(tokens, device=step.device)
            step.play()
        self.agreed, self.is_ahead, self.likeliest = as_told, False, []
        self.tail.append(Read(list(tokens), moved))
        self.count = len(tokens)
        self.hidden, self.logits = step.hidden[: self.count], step.logits[: self.count]
        self.fresh = None if self.real is None else self.real.new_ones(self.count, 1)

    def best(self, totals: Sequence[float], beams: int, width: int) -> Continuations:
        """The likeliest continuations; a step has found the single best itself."""
        if self.step is None or self.is_ahead or (beams, width) != (1, 1):
            return super().best(totals, beams, width)
        told = self.step.tell()
        if self.agreed and self.held < self.step.shape.capacity:
            self.hidden, self.logits = self.hidden.clone(), self.logits.clone()
            self.step.play()
            self.is_ahead = True
        count = len(totals)
        tokens, logs = (each[:count] for each in told())
        self.likeliest = list(map(int, tokens))
        sums = [before + log for before, log in zip(totals, logs, strict=True)]
        return Continuations(
            width=1, tokens=self.likeliest, parents=[0] * count, totals=sums, log_probabilities=logs
        )

    def read_ahead(self, tokens: Sequence[int], *, each: bool = True) -> None:
        """Read several tokens of the only row at once."""
        self._leave()
        super().read_ahead(tokens, each=each)

    def crop(self, count: int) -> None:
        """Forget the last tokens of the only row, so many."""
        self._leave()
        super().crop(count)

    def rest(self) -> None:
        """Let go of the step."""
        self._leave()

    # ---- between cache and step

    def _standing(self, count: int, rows: Sequence[int] | None) -> tuple[Step, list[int] | None]:
        """The step that the rows stand in, which are to be these, with room for one token more; how they moved."""
        step, moved = self.step, None if rows is None or list(rows) == list(range(self.count)) else list(rows)
        if step is not None and self.held < step.shape.capacity and step.shape.rows // 4 < count <= step.shape.rows:
            if moved is not None and moved != list(range(count)):  # else only the last ones leave
                self._forget_ahead(step)
                step.move(moved)
                self.likeliest = []
            return step, moved
        self._leave()
        if rows is not None:
            self._select(torch.tensor(rows, device=self.logits.device))
        return self._enter(count), None

    def _enter(self, count: int) -> Step:
        cache, held = self.cache, self.held
        source = next((cache.kept[path][0].shape[2] for path in sorted(cache.of_source)), None)
        room = -(-(held + 2) // ROOM) * ROOM - 1
        shape = Shape(
            rows=as_rows(count),
            capacity=room if self.most is None else min(room, self.most),
            source=None if source is None else -(-source // SOURCE) * SOURCE,
        )
        step = self.steps.take(shape, cache)
        self.give_back = weakref.finalize(self, self.steps.given.append, step)
        self.give_back.atexit = False
        step.load(cache, self.real, self.source_mask, held, source)
        self.cache, self.step, self.count = Cache(), step, count
        return step

    def _leave(self) -> None:
        """Back to a cache that grows."""
        if self.step is None:
            return
        self._forget_ahead(self.step)
        self.hidden, self.logits = self.hidden.clone(), self.logits.clone()
        self.cache = self.step.stored(self.count, self.held)
        columns, origins = followed(self.tail, self.count)
        assert self.ids is not None, "something was read"
        assert self.sources is not None, "something was read"
        rows = torch.tensor(origins, device=self.ids.device)
        self.sources = self.sources[rows]
        self.memory = None if self.memory is None else self.memory[rows]
        self.source_mask = None if self.source_mask is None else self.source_mask[rows]
        new = torch.tensor(columns, device=rows.device).T
        self.ids = torch.cat([self.ids[rows], new], dim=1)
        if self.real is not None:
            self.real = torch.cat([self.real[rows], self.real.new_ones(new.shape)], dim=1)
        self.step, self.tail, self.likeliest, self.agreed = None, [], [], False
        if self.give_back is not None:
            self.give_back()

    def _forget_ahead(self, step: Step) -> None:
        """What was read ahead and not asked for."""
        if self.is_ahead:
            step.crop(self.held)
            self.is_ahead, self.likeliest = False, []


def followed(tail: Sequence[Read], count: int) -> tuple[list[list[int]], list[int]]:
    """What the last rows have read, a token of all of them after the other, and which row each of them was at first."""
    columns, rows = [], list(range(count))
    for read in reversed(tail):
        columns.append([read.tokens[row] for row in rows])
        rows = rows if read.moved is None else [read.moved[row] for row in rows]
    return columns[::-1], rows


def as_rows(count: int) -> int:
    """Rows of a step for so many: the next power of two, so that few steps are recorded."""
    return 1 << (count - 1).bit_length()


def has_table(model: Transformer) -> bool:
    """Whether the decoder's positions are learned, and end somewhere."""
    return model.decoder is not None and model.decoder.limit is not None
