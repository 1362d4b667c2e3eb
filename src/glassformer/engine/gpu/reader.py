"""A search's reader on a GPU: new tokens are read by recorded steps."""

import weakref
from collections.abc import Callable, Sequence
from threading import Lock

import torch
from torch import Tensor

from glassformer.decoding.reader import Reader
from glassformer.engine.gpu.step import Body, Shape, Step
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.cache import Cache
from glassformer.nn.twin import Continuations

ROOM = 256  # slots are added by so many, the new token's place included
SOURCE = 32  # and places of a source
IDLE = 4  # steps that wait for later readers


class Steps:
    """The recorded steps of a model; each belongs to one reader at a time."""

    def __init__(self, model: Transformer, body: Callable[[int], Body]) -> None:
        self.model, self.body = model, body  # what runs so many rows
        self.idle: list[Step] = []  # the latest last
        self.lock = Lock()

    def take(self, shape: Shape, like: Cache) -> Step:
        """One of this shape."""
        with self.lock:
            for place, step in enumerate(self.idle):
                if step.shape == shape:
                    return self.idle.pop(place)
        return Step(self.model, shape, like, self.body(shape.rows))

    def give(self, step: Step) -> None:
        """Keep it for the next reader."""
        with self.lock:
            self.idle.append(step)
            del self.idle[:-IDLE]


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
        self.give_back: Callable[[], object] = int  # the step
        self.origins: list[int] = []  # the row that each row was when the step was taken
        self.tail: list[list[int]] = []  # what each row has read since then, a token of all rows after the other
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
        step = self._standing(len(tokens), rows)
        as_told = list(tokens) == self.likeliest[: len(tokens)]
        if not (as_told and self.is_ahead):
            self._forget_ahead(step)
            if not as_told:
                step.ids[: len(tokens), 0] = torch.tensor(tokens, device=step.device)
            step.play()
        self.agreed, self.is_ahead, self.likeliest = as_told, False, []
        self.tail.append(list(tokens))
        self.hidden, self.logits = step.hidden[: len(tokens)], step.logits[: len(tokens)]
        self.fresh = None if self.real is None else self.real.new_ones(len(tokens), 1)

    def best(self, totals: Sequence[float], beams: int, width: int) -> Continuations:
        """The likeliest continuations; a step has found the single best itself."""
        if self.step is None or (beams, width) != (1, 1):
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

    # ---- between cache and step

    def _standing(self, count: int, rows: Sequence[int] | None) -> Step:
        """The step that the rows stand in, which are to be these, with room for one token more."""
        if self.step is not None and self._fits(self.step.shape, count):
            if rows is not None:
                self._move(self.step, rows)
            return self.step
        self._leave()
        if rows is not None:
            self._select(torch.tensor(rows, device=self.logits.device))
        return self._enter(count)

    def _fits(self, shape: Shape, count: int) -> bool:
        return self.held < shape.capacity and shape.rows == as_rows(count)

    def _move(self, step: Step, rows: Sequence[int]) -> None:
        if list(rows) == list(range(len(self.origins))):
            return
        self.origins = [self.origins[row] for row in rows]
        self.tail = [[tokens[row] for row in rows] for tokens in self.tail]
        if list(rows) != list(range(len(rows))):  # else only the last ones leave
            self._forget_ahead(step)
            step.move(rows)

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
        self.give_back = weakref.finalize(self, self.steps.give, step)
        step.load(cache, self.real, self.source_mask, held, source)
        self.cache, self.origins, self.step = Cache(), list(range(count)), step
        return step

    def _leave(self) -> None:
        """Back to a cache that grows."""
        if self.step is None:
            return
        self._forget_ahead(self.step)
        self.hidden, self.logits = self.hidden.clone(), self.logits.clone()
        self.cache = self.step.stored(len(self.origins), self.held)
        assert self.ids is not None, "something was read"
        assert self.sources is not None, "something was read"
        rows = torch.tensor(self.origins, device=self.ids.device)
        self.sources = self.sources[rows]
        self.memory = None if self.memory is None else self.memory[rows]
        self.source_mask = None if self.source_mask is None else self.source_mask[rows]
        new = torch.tensor(self.tail, device=rows.device).T
        self.ids = torch.cat([self.ids[rows], new], dim=1)
        if self.real is not None:
            self.real = torch.cat([self.real[rows], self.real.new_ones(new.shape)], dim=1)
        self.step, self.tail, self.likeliest, self.agreed = None, [], [], False
        self.give_back()

    def _forget_ahead(self, step: Step) -> None:
        """What was read ahead and not asked for."""
        if self.is_ahead:
            step.crop(self.held)
            self.is_ahead, self.likeliest = False, []


def as_rows(count: int) -> int:
    """Rows of a step for so many: the next power of two, so that few steps are recorded."""
    return 1 << (count - 1).bit_length()


def has_table(model: Transformer) -> bool:
    """Whether the decoder's positions are learned, and end somewhere."""
    return model.decoder is not None and model.decoder.limit is not None
