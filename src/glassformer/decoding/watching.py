"""A search that is looked at: whatever it reads is read beside it a second time, with a trace."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from glassformer.decoding.chooser import log_probabilities_of
from glassformer.decoding.reader import Reader
from glassformer.decoding.records import Candidates
from glassformer.decoding.single import Alternatives, likeliest_of
from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.twin import Around, SearchReader


@dataclass(frozen=True)
class Reading:
    """One reading: its trace, which rows of the one before it its rows continue, and the likeliest next tokens."""

    trace: Trace
    ids: list[list[int]]  # what was read, row by row
    rows: tuple[int, ...]
    likeliest: tuple[Alternatives, ...]  # of each row, by the search's own log-probabilities
    hidden: Tensor  # N T C: the last layer's rows, as the search heard them


class Watch:
    """What was read in one search, and the source; filled while the search runs.

    The search goes by its own fast readings, so looking never changes what it finds.
    """

    def __init__(self, keep: tuple[str, ...] = ("*",), alternatives: int = 5) -> None:
        if alternatives < 0:
            raise InputError(f"alternatives is {alternatives}; expected a whole number of 0 or more")
        self.keep, self.alternatives = keep, alternatives
        self.source: Trace | None = None
        self.readings: list[Reading] = []

    def beside(
        self, reader: SearchReader, model: Transformer, source: Tensor | None, source_mask: Tensor | None
    ) -> "WatchedReader":
        """The reader of a search, and one that reads the same through the glass."""
        if source is None:
            return WatchedReader(self, reader, Reader(model))
        self.source = Trace(self.keep)
        source_mask, _ = model.opened(source, None, source_mask, None, None, None, self.source)
        memory = model.encode(source, source_mask, trace=self.source)
        return WatchedReader(self, reader, Reader(model, memory, source_mask))


class WatchedReader(Around[SearchReader]):
    """Two readers of the same tokens: the search hears the first, the watch sees the second."""

    def __init__(self, watch: Watch, heard: SearchReader, seen: Reader) -> None:
        super().__init__(heard)
        self.watch, self.seen = watch, seen
        self.rows: tuple[int, ...] = ()

    def read(self, target: Tensor, mask: Tensor | None = None) -> None:
        """Read the beginnings, and have them seen."""
        trace = Trace(self.watch.keep)
        self.reader.read(target, mask)
        self.seen.read(target, mask, trace=trace)
        self._note(trace)

    def read_on(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> None:
        """Go on with these rows, each by one token, and have it seen."""
        trace = Trace(self.watch.keep)
        self.reader.read_on(tokens, rows)
        self.seen.read_on(tokens, rows, trace=trace)
        self.rows = self.rows if rows is None else tuple(rows)
        self._note(trace)

    def _note(self, trace: Trace) -> None:
        likeliest = likeliest_of(log_probabilities_of(self.logits), self.watch.alternatives)
        ids, hidden = self.seen.latest.tolist(), self.reader.hidden
        self.watch.readings.append(Reading(trace, ids, self.rows, tuple(likeliest), hidden))
        self.rows = tuple(range(len(self.logits)))


def note_choices(readings: Sequence[Reading], history: Sequence[Candidates], alpha: float) -> None:
    """How a contrastive search chose, as steps of the runs in which the candidates were read.

    The numbers are made of what the search heard; their formulas name what was seen.
    """
    written = readings[0].hidden[0]
    for level, reading in zip(history, readings[1:], strict=True):
        trace, latest = reading.trace, reading.hidden[:, -1]
        forbidden = [-torch.inf] * (len(latest) - len(level.candidates))
        scores, confidence, penalties = (
            latest.new_tensor([*(getattr(one, name) for one in level.candidates), *forbidden])
            for name in ("score", "confidence", "penalty")
        )
        like = functional.normalize(latest, dim=-1) @ functional.normalize(written, dim=-1).T
        penalties = penalties.where(penalties.isfinite(), like.amax(dim=-1))
        trace.record("search.written", "P C", written, "given", (), {})
        trace.record("search.confidence", "A", confidence, "given", (), {})
        trace.record("search.likeness", "A P", like, "likeness", ("decoder.output", "search.written"), {})
        trace.record("search.penalty", "A", penalties, "degeneration_penalty", ("search.likeness",), {})
        given = ("search.confidence", "search.penalty")
        trace.record("search.score", "A", scores, "contrastive_score", given, {"alpha": alpha})
        won = next(n for n, one in enumerate(level.candidates) if one.ended or one.beam is not None)
        written = torch.cat([written, latest[won][None]])
