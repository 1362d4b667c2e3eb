"""What rounding the weights does to a model: through the glass step by step, layer by layer, and on its task."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from glassformer.engine.prepare import Precision, prepare, prepared
from glassformer.engine.rounding import maps, readable, rounded_weights
from glassformer.errors import InputError
from glassformer.evaluation.by_task import Options
from glassformer.evaluation.precision import Cost, Counter, cost
from glassformer.inspection.compare import Difference, compared, difference
from glassformer.inspection.drawing import drawn
from glassformer.model import Transformer
from glassformer.tasks.model import Model
from glassformer.tasks.task import Run, Text

SHOWN = 12  # steps that are printed


@dataclass(frozen=True, kw_only=True)
class RoundedPart:
    """A layer, or the head: what rounding its weights alone does."""

    part: str
    numbers: int  # weights that are rounded
    weights: float  # how far they move: the length of the difference over their own
    output: float  # how far the run's last numbers then move


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """What a precision costs; all that is relative is a mean over the texts."""

    precision: str  # of the weights: what was asked for, or the nearest that can be had here
    note: str | None  # one line where it is not what was asked for
    size: int  # bytes of the packed weights
    size_before: int  # the same at float32
    texts: int
    output: float  # how far the run's last numbers move when all weights are rounded
    engine: float  # the same of the engine's own answer, which rounds what is multiplied with them too
    parts: tuple[RoundedPart, ...]  # the one that moves the output most first
    differences: tuple[Difference, ...]  # of each step when all weights are rounded; the one that moves most first
    cost: Cost | None = None  # on the task, where examples were given

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; what is not a number is null."""
        plain = {name: value for name, value in vars(self).items() if name not in ("parts", "differences", "cost")}
        known = {"parts": [dict(vars(each)) for each in self.parts], "steps": list(map(finite, self.differences))}
        return {**plain, **known, **({} if self.cost is None else self.cost.as_dict())}

    def plot(self, path: str | None = None, **options: Any) -> Any:
        """How far each step moves, kinds of steps by layers, by matplotlib; written to `path` where one is given."""
        return drawn("comparison", self, path, **{"title": f"what {self.precision} weights move", **options})

    def lines(self) -> Iterator[str]:
        """For people."""
        share = self.size / self.size_before
        sizes = f"{self.size / 2**20:,.1f} MiB packed, {self.size_before / 2**20:,.1f} at float32 ({share:.0%})"
        yield f"{self.precision}: {sizes}"
        if self.cost is not None:
            yield from ("", str(self.cost))
        yield ""
        yield f"the output moves by {self.output:.2%} with all weights rounded,"
        yield f"by {self.engine:.2%} where the engine answers, which rounds what is multiplied with them too"
        yield f"({self.texts} {'text' if self.texts == 1 else 'texts'}; shares of the numbers' own size)"
        yield ""
        wide = max(len(each.part) for each in self.parts)
        yield f"{'one part alone':<{wide}}  output moves  its weights move   numbers"
        for part in self.parts:
            yield f"{part.part:<{wide}}  {part.output:12.2%}  {part.weights:16.2%}  {part.numbers:8,}"
        yield ""
        shown = self.differences[:SHOWN]
        wide = max(len(each.step) for each in shown)
        yield f"{'steps that move most':<{wide}}   moves   largest   cosine"
        yield from (f"{e.step:<{wide}}  {e.relative:6.2%}  {e.largest:8.2e}  {e.cosine:7.4f}" for e in shown)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def quantize(
    model: Model,
    precision: Precision,
    texts: Sequence[Text],
    *,
    examples: Sequence[Any] = (),
    options: Options | None = None,
    counter: Counter | None = None,
) -> Quantization:
    """What a precision of the weights costs a model.

    Every text is run through the glass with the weights as they are and as the engine rounds them: how far each step
    moves, and how far the output when one layer alone is rounded. With `examples` of the model's kind (see
    `glassformer.data.examples`) its task is evaluated at float32 and at this precision too. The model stays as it is.
    """
    if not texts:
        raise InputError("weights are rounded to see what a text's numbers become; give one text or more")
    told = {} if counter is None else {"counter": counter}
    costs = cost(model.task, model.transformer, examples, precision, options, **told) if examples else None
    runs = [run for text in texts for run in model.runs(text)]
    with prepared(model.transformer):
        before = prepare(model.transformer, "float32").size
        preparation = prepare(model.transformer, precision)
        engine = [answered(model.transformer, run) for run in runs]
    seen = Rounded(model, preparation.precision, runs)
    return Quantization(
        precision=preparation.precision,
        note=preparation.note,
        size=preparation.size,
        size_before=before,
        texts=len(texts),
        output=seen.output(),
        engine=seen.moved(engine),
        parts=tuple(sorted(seen.parts(), key=lambda each: -each.output)),
        differences=seen.steps(),
        cost=costs,
    )


class Rounded:
    """A copy of a model that can be read, its weights as they are and as the engine rounds them, and some runs."""

    def __init__(self, model: Model, precision: str, runs: Sequence[Run]) -> None:
        self.model, self.runs = model, runs
        self.copy = readable(model.transformer)
        self.maps = dict(maps(self.copy))
        self.own = {path: linear.weight.detach().clone() for path, linear in self.maps.items()}
        self.rounded = rounded_weights(self.copy, precision)
        self.last = [answered(self.copy, run) for run in runs]

    def parts(self) -> Iterator[RoundedPart]:
        """Each layer rounded alone."""
        members = defaultdict(list)
        for path in self.maps:
            members[part_of(path)].append(path)
        for part, paths in members.items():
            self._set({path: self.rounded[path] for path in paths})
            whole = [torch.cat([each[path].flatten() for path in paths]) for each in (self.own, self.rounded)]
            yield RoundedPart(
                part=part,
                numbers=whole[0].numel(),
                weights=relative(*whole),
                output=self.moved([answered(self.copy, run) for run in self.runs]),
            )
            self._set({path: self.own[path] for path in paths})

    def output(self) -> float:
        """How far the last numbers move with all weights rounded."""
        self._set(self.rounded)
        found = self.moved([answered(self.copy, run) for run in self.runs])
        self._set(self.own)
        return found

    def moved(self, found: Sequence[Tensor]) -> float:
        """How far these last numbers are from the model's own."""
        return sum(relative(one, other) for one, other in zip(self.last, found, strict=True)) / len(found)

    def steps(self) -> tuple[Difference, ...]:
        """How far every step moves with all weights rounded."""
        seen = Model(
            replace(self.model.checkpoint, transformer=self.copy), self.model.tokenizer, self.model.source_tokenizer
        )
        found: dict[str, list[Difference]] = defaultdict(list)
        for run in self.runs:
            before = seen.traced(run)
            self._set(self.rounded)
            after = seen.traced(run)
            self._set(self.own)
            for each in compared(before, after).differences:
                found[each.step].append(each)
        means = (mean_of(each) for each in found.values())
        return tuple(sorted(means, key=lambda each: -each.relative))

    @torch.no_grad()
    def _set(self, weights: Mapping[str, Tensor]) -> None:
        for path, weight in weights.items():
            self.maps[path].weight.copy_(weight)


def finite(found: Difference) -> dict[str, Any]:
    """As plain values, without what is not a number."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in vars(found).items()
    }


def part_of(path: str) -> str:
    """decoder.layers.0.feed_forward.up -> decoder.layers.0; what is outside the layers is called by its own part."""
    words = path.split(".")
    return ".".join(words[: 3 if "layers" in words else 1 if words[0] == "head" else 2])


def answered(transformer: Transformer, run: Run) -> Tensor:
    """The last numbers of a run, unseen."""
    with torch.inference_mode():
        logits: Tensor = transformer(**run.batch.inputs())
        return logits.detach().clone()


def relative(one: Tensor, other: Tensor) -> float:
    """The length of the difference over that of the first."""
    return difference("", "", one.double(), other.double()).relative


def mean_of(found: Sequence[Difference]) -> Difference:
    """One step's difference over all runs: means, and the largest of the largest."""
    count = len(found)
    return replace(
        found[0],
        largest=max(each.largest for each in found),
        relative=sum(each.relative for each in found) / count,
        cosine=sum(each.cosine for each in found) / count,
    )
