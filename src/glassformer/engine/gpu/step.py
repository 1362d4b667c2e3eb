"""One new token of some rows, in memory that stays where it is: so that a GPU can record it once and play it again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from threading import Lock

import torch
from torch import Tensor

from glassformer.model import Transformer
from glassformer.nn.cache import Cache

WARM_UPS = 2  # runs before a recording, in which libraries set up what they need
RECORDING = Lock()  # a process records one graph at a time


@dataclass(frozen=True)
class Shape:
    """What a recording is good for."""

    rows: int
    capacity: int  # tokens that each row can hold before the new one
    source: int | None  # of each row's source; None: there is none


@dataclass(frozen=True)
class Kept:
    """The keys and values of one attention: two of (rows, G, K, D)."""

    key: Tensor
    value: Tensor
    of_source: bool


class StandingCache(Cache):
    """Keys and values of every slot, used or not; a new token's are behind them all and then go to the next slot.

    So the model's own parts run on it as they are: the mask says which slots are used.
    """

    def __init__(self, kept: Mapping[str, Kept], capacity: int, slot: Tensor) -> None:
        super().__init__()
        self.standing, self.slot, self.length = kept, slot, capacity
        self.kept = {path: (each.key, each.value) for path, each in kept.items()}

    def keep(self, path: str, key: Tensor, value: Tensor, *, of_source: bool = False) -> None:
        """Write the last of these keys and values to the slot; those of a source are there already."""
        own = self.standing[path]
        if not own.of_source:
            own.key.index_copy_(2, self.slot, key[:, :, -1:])
            own.value.index_copy_(2, self.slot, value[:, :, -1:])


class Step:
    """The memory of some rows, and what one token more does to it."""

    def __init__(self, model: Transformer, shape: Shape, like: Cache, body: "Body") -> None:
        weight = model.tokens.weight
        self.model, self.shape, self.body = model, shape, body
        device, rows, room = weight.device, shape.rows, shape.capacity
        self.device = device
        self.kept = {path: self._kept(path, like, *both) for path, both in like.kept.items()}
        self.ids = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.slot = torch.zeros(1, dtype=torch.long, device=device)  # where the next token's keys and values go
        self.real = torch.zeros(rows, room + 1, dtype=torch.uint8, device=device)  # the last one is the new token
        self.real[:, -1] = 1
        self.order = torch.arange(rows, device=device)
        self.source: int | None = None  # how many places of the sources are in use
        self.source_mask = self.memory = None  # the latter is never read: its keys and values are there
        if shape.source is not None:
            self.source_mask = torch.ones(rows, shape.source, dtype=torch.bool, device=device)
            self.memory = torch.zeros(rows, shape.source, model.config.d_model, dtype=weight.dtype, device=device)
        self.hidden = self.logits = torch.empty(0)  # what the latest token made of each row; where they stand stays so
        self.best = torch.zeros(2, rows, dtype=torch.float64, device=device)  # the likeliest tokens, their logs
        self.told = torch.zeros(2, rows, dtype=torch.float64, device="cpu", pin_memory=device.type == "cuda")
        self.sent = torch.cuda.Event() if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.play = recorded(self._run, device)

    @cached_property
    def reorder(self) -> Callable[[], None]:
        """Row n becomes what row `order[n]` was; recorded when it is first asked for."""
        return recorded(self._reorder, self.device, warm_up=False)

    @property
    def size(self) -> int:
        """Bytes of keys and values."""
        return sum(t.numel() * t.element_size() for each in self.kept.values() for t in (each.key, each.value))

    def _kept(self, path: str, like: Cache, key: Tensor, value: Tensor) -> Kept:
        shape, of_source = self.shape, path in like.of_source
        room = shape.source if of_source else shape.capacity
        assert room is not None, "attention to a source has one"
        sizes = shape.rows, key.shape[1], room, key.shape[3]
        return Kept(key.new_zeros(sizes), value.new_zeros(sizes), of_source)

    # ---- what is recorded

    def _run(self) -> None:
        """Read the tokens in `ids`; the likeliest to follow take their place."""
        hidden, logits = self.body(self)
        if self.hidden.numel() and self.device.type == "cpu":  # elsewhere a recording writes to where it wrote before
            hidden, logits = self.hidden.copy_(hidden), self.logits.copy_(logits)
        self.hidden, self.logits = hidden, logits
        self.real.index_fill_(1, self.slot, 1)
        self.slot += 1
        wide = self.logits if self.logits.itemsize >= 4 else self.logits.float()
        logs, tokens = wide.log_softmax(dim=1).max(dim=1)
        self.ids.copy_(tokens[:, None])
        self.best[0].copy_(tokens)
        self.best[1].copy_(logs)

    def _reorder(self) -> None:
        held: list[Tensor] = [self.real, *(t for each in self.kept.values() for t in (each.key, each.value))]
        for tensor in held if self.source_mask is None else [*held, self.source_mask]:
            tensor.copy_(tensor.index_select(0, self.order))

    # ---- what a reader does with it

    def load(
        self, cache: Cache, real: Tensor | None, source_mask: Tensor | None, length: int, source: int | None
    ) -> None:
        """Take over what was read: the rows of a cache, of so many tokens, and what of them is no padding."""
        for path, (key, value) in cache.kept.items():
            own, count, places = self.kept[path], len(key), key.shape[2]
            own.key[:count, :, :places], own.value[:count, :, :places] = key, value
            own.key[:, :, places:] = own.value[:, :, places:] = 0  # what is not seen weighs nothing, if it is a number
        self.real[:, :-1] = 0
        self.real[:, :length] = 1
        if real is not None:
            self.real[: len(real), :length] = real.to(torch.uint8)
        if self.source_mask is not None and source is not None:
            self.source_mask[:] = torch.arange(self.source_mask.shape[1], device=self.device) < source
            if source_mask is not None:
                self.source_mask[: len(source_mask), :source] = source_mask.bool()
        self.source = source
        self.slot.fill_(length)

    def stored(self, rows: int, length: int) -> Cache:
        """The same as a cache that grows: the first rows."""
        cache = Cache()
        cache.length = length
        for path, each in self.kept.items():
            places = self.source if each.of_source else length
            key, value = (tensor[:rows, :, :places].clone() for tensor in (each.key, each.value))
            cache.keep(path, key, value, of_source=each.of_source)
        return cache

    def move(self, rows: Sequence[int]) -> None:
        """These rows become the first ones, in this order."""
        self.order[: len(rows)] = torch.tensor(rows, device=self.device)
        self.reorder()

    def crop(self, length: int) -> None:
        """Forget what stands behind so many tokens."""
        self.real[:, length:-1] = 0
        self.slot.fill_(length)

    def tell(self) -> Callable[[], list[list[float]]]:
        """Have the likeliest tokens and their logs sent here; what is returned waits until they have come."""
        self.told.copy_(self.best, non_blocking=True)
        if self.sent is not None:
            self.sent.record(torch.cuda.current_stream(self.device))

        def come() -> list[list[float]]:
            if self.sent is not None:
                self.sent.synchronize()
            told: list[list[float]] = self.told.tolist()
            return told

        return come


Body = Callable[[Step], tuple[Tensor, Tensor]]  # -> the last layer's rows (N 1 C), the logits (N V)


def plain_body(step: Step) -> tuple[Tensor, Tensor]:
    """By the model's own parts."""
    model = step.model
    cache = StandingCache(step.kept, step.shape.capacity, step.slot)
    hidden = model.body(
        target=step.ids,
        memory=step.memory,
        source_mask=step.source_mask,
        target_mask=step.real,
        cache=cache,
    )
    return hidden, model.scored(hidden, (slice(None), -1))


def recorded(work: Callable[[], None], device: torch.device, *, warm_up: bool = True) -> Callable[[], None]:
    """The same work, on a GPU as one graph that is launched at once; elsewhere as it is."""
    if device.type != "cuda":
        return work
    with RECORDING, torch.cuda.device(device):
        beside = stream_beside(device)
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS if warm_up else 0):
                work()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):
            work()
    replay: Callable[[], None] = graph.replay
    return replay


@cache
def stream_beside(device: torch.device) -> torch.cuda.Stream:
    """Where recordings of this GPU are made: libraries keep memory for each stream that they have met."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
