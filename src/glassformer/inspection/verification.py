"""A model verified from text to answer: its formulas in NumPy float64, fast and glass path, cache, batch, reference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from glassformer.data.batch import Batch
from glassformer.glass.generation import GenerationTrace
from glassformer.glass.plain import as_plain
from glassformer.glass.trace import Trace
from glassformer.glass.verify import Check, Verification, as_array, compared
from glassformer.tasks.generation import Generation
from glassformer.tasks.model import Model
from glassformer.tasks.rewriting import Rewriting
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Tokenizer

EXACT = 1e-10  # the most, as a difference, of a model in float64
ROUNDED = 1e-4  # the most, relative to the size of a step's values, of one in less
BESIDE = 3  # positions of padding in the batch that a text is read in once more
WHATS: Mapping[str, str] = {
    "tokenization": "each merge or match walked, against the tokenizers library",
    "formulas": "every step recomputed in NumPy float64 from its inputs",
    "answer": "from the last step to the answer, in NumPy float64",
    "tree": "the tree of a search made anew: sums, penalties, ranks, what was kept",
    "cache": "what each run was given is what an earlier one made",
    "fast": "fused attention, against the glass path",
    "cached": "token by token with a cache, against all at once",
    "batched": "beside another text and padded, against alone",
    "transformers": "the same weights in transformers, against the glass path",
}


class Reference(Protocol):
    """Another program that computes the same model."""

    bound: float  # the most that is allowed, as `Verified.bound`

    def answer(self, batch: Batch) -> Tensor:
        """Its last numbers of a batch, shaped as ours."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far two ways to the same numbers are apart at the most, and where."""

    what: str  # one of WHATS
    largest: float
    relative: float  # to the size of the values
    step: str  # where the one that the bound is of is largest
    text: str  # of which text
    checked: int  # how many steps, tokens or choices were compared
    bound: float
    exact: bool  # the bound is of the difference itself; False: of the relative one

    @property
    def within(self) -> bool:
        """Whether the bound holds."""
        return (self.largest if self.exact else self.relative) <= self.bound

    def worse(self, other: "Difference") -> "Difference":
        """The worse of two, both counted."""
        worst = max(self, other, key=lambda one: one.largest if one.exact else one.relative)
        return replace(
            worst,
            largest=max(self.largest, other.largest),
            relative=max(self.relative, other.relative),
            checked=self.checked + other.checked,
        )


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The largest difference of each kind over all texts; `left_out` says what could not be compared, and why."""

    dtype: str
    texts: int
    differences: tuple[Difference, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def within(self) -> bool:
        """Whether every bound holds."""
        return all(each.within for each in self.differences)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = as_plain(self)
        for each, own in zip(plain["differences"], self.differences, strict=True):
            each["within"] = own.within
        return {**plain, "within": self.within}

    def lines(self) -> Iterator[str]:
        """A line a kind."""
        where = [each.step if each.largest else "the same everywhere" for each in self.differences]
        wide = max(map(len, where), default=0)
        yield f"{'':12}  {'largest':>8}  {'relative':>8}  {'where':{wide}}  compared"
        for each, step in zip(self.differences, where, strict=True):
            mark = "" if each.within else f"   above {each.bound:.0e}"
            numbers = f"{each.largest:8.1e}  {each.relative:8.1e}"
            yield f"{each.what:12}  {numbers}  {step:{wide}}  {each.checked:,}{mark}"
        for what, why in self.left_out:
            yield f"{what:12}  left out: {why}"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def verified(
    model: Model,
    texts: Iterable[Text],
    *,
    reference: Reference | None = None,
    left_out: Sequence[tuple[str, str]] = (),
    **options: Any,
) -> Verified:
    """Every text verified; the options are those of the model's answers."""
    worst: dict[str, Difference] = {}
    count = 0
    for text in texts:
        count += 1
        for each in differences(model, text, reference, options):
            worst[each.what] = each if each.what not in worst else worst[each.what].worse(each)
    found = tuple(worst[what] for what in WHATS if what in worst)
    dtype = str(model.transformer.tokens.weight.dtype).removeprefix("torch.")
    return Verified(dtype=dtype, texts=count, differences=found, left_out=tuple(left_out))


def differences(
    model: Model, text: Text, reference: Reference | None, options: Mapping[str, Any]
) -> Iterator[Difference]:
    """All that is compared of one text."""
    exact = model.transformer.tokens.weight.dtype == torch.float64
    said = text if isinstance(text, str) else " / ".join(text)
    bound = EXACT if exact else ROUNDED

    def worst(what: str, checks: Sequence[Check], most: float = bound) -> Iterator[Difference]:
        if checks:
            yield worst_of(what, checks, bound=most, text=said, exact=exact)

    runs = model.runs(text, **options)
    traces = [model.traced(run) for run in runs]
    yield from worst("tokenization", list(tokenized(model, text, traces[0].answer)))
    parts = grouped([trace.verify() for trace in traces])
    if isinstance(model.task, Generation | Rewriting):
        seen = model.trace_generation(str(text), **options)
        for what, checks in grouped([seen.verify()]).items():
            parts[what] = [*parts.get(what, []), *checks]
        yield from worst("cached", list(cached(seen, traces[0])))
    for what, checks in parts.items():
        yield from worst(what, checks)
    pairs = list(zip(runs, traces, strict=True))
    yield from worst("fast", [fast(model, run, trace) for run, trace in pairs])
    yield from worst("batched", [batched(model, run, trace) for run, trace in pairs])
    if reference is not None:
        found = [apart(reference.answer(run.batch), *last(trace)) for run, trace in pairs]
        yield from worst("transformers", found, reference.bound)


def worst_of(what: str, checks: Sequence[Check], *, bound: float, text: str, exact: bool) -> Difference:
    """The largest of some checks."""
    worst = max(checks, key=lambda check: check.error if exact else check.relative_error)
    return Difference(
        what=what,
        largest=max(check.error for check in checks),
        relative=max(check.relative_error for check in checks),
        step=worst.name,
        text=text,
        checked=len(checks),
        bound=bound,
        exact=exact,
    )


def grouped(found: Sequence[Verification]) -> dict[str, list[Check]]:
    """The checks by what they are of; a step that could not be checked is endlessly far off."""
    parts: dict[str, list[Check]] = {}
    for verification in found:
        left = [Check(name, float("inf"), float("inf")) for name in verification.unchecked]
        for check in (*verification.checks, *left):
            parts.setdefault(kind_of(check.name), []).append(check)
    return parts


def kind_of(name: str) -> str:
    """What a check is of."""
    if name.startswith(("beams.", "contrastive.")):
        return "tree"
    if name.startswith("handed on"):
        return "cache"
    return "answer" if name.startswith(("answer", "token ")) else "formulas"


def tokenized(model: Model, text: Text, answer: str) -> Iterator[Check]:
    """Each token of the text, walked and as the library says; of a text that is written anew the answer's too."""
    task = model.task
    whole = [(model.tokenizer, part) for part in ([text] if isinstance(text, str) else text)]
    if isinstance(task, Rewriting):
        whole = [(task.source_tokenizer, f"{task.prefix}{text}"), (task.tokenizer, answer)]
    for tokenizer, part in whole:
        yield from walked(tokenizer, part)


def walked(tokenizer: Tokenizer, text: str) -> Iterator[Check]:
    """Each token of one text."""
    found = tokenizer.steps(text)
    agree = len(found.ids) == len(found.library)
    for place, (token, id) in enumerate(zip(found.tokens, found.ids, strict=True)):
        error = 0.0 if agree and found.library[place] == id else float("inf")
        yield Check(f"token {place}, {token}", error, error)


def last(trace: Trace) -> tuple[str, Tensor]:
    """The last numbers of a run."""
    name = next((n for n in ("head.logits", "decoder.output", "encoder.output") if n in trace), "head.logits")
    return name, trace[name].value


def fast(model: Model, run: Run, trace: Trace) -> Check:
    """The same run unseen, its attention fused."""
    with torch.inference_mode():
        return apart(model.transformer(**run.batch.inputs()), *last(trace))


def batched(model: Model, run: Run, trace: Trace) -> Check:
    """The same text as one of two, with padding behind it where there is room."""
    with torch.inference_mode():
        both = model.transformer(**beside(run.batch, model.config.max_positions).inputs())
    name, alone = last(trace)
    return apart(both[:1, : alone.shape[1]] if alone.ndim == 3 else both[:1], name, alone)


def cached(seen: GenerationTrace, whole: Trace) -> Iterator[Check]:
    """The logits that chose each token: of its own run, and of the run that reads all at once."""
    rows = as_array(whole["head.logits"].value)[0, -len(seen.tokens) :]
    for token, row in zip(seen.tokens, rows, strict=False):
        own = as_array(seen[token.position]["head.logits"].value)[token.row, -1]
        yield compared(f"head.logits of token {token.position}", own, row)


def apart(found: Tensor, name: str, expected: Tensor) -> Check:
    """How far two answers are from each other."""
    if expected.ndim == found.ndim + 1:  # two labels that another program holds as one score
        expected = expected[..., 1] - expected[..., 0]
    return compared(name, as_array(found), as_array(expected))


def beside(batch: Batch, limit: int) -> Batch:
    """A batch of one text, as the first of two: the second is its own tokens turned round, and longer if it fits."""
    longest = max(part.shape[1] for part in (batch.source, batch.target) if part is not None)
    more = min(BESIDE, max(limit - longest, 0))

    def wider(ids: Tensor | None) -> Tensor | None:
        if ids is None:
            return None
        spare = ids.flip(1)[:, :1].expand(-1, more)
        return torch.cat([torch.cat([ids, spare], 1), torch.cat([ids.flip(1), spare], 1)])

    def mask(ids: Tensor | None, given: Tensor | None) -> Tensor | None:
        if ids is None:
            return None
        own = torch.ones_like(ids, dtype=torch.bool) if given is None else given.bool()
        padded = torch.nn.functional.pad(own, (0, more), value=False)
        return torch.cat([padded, torch.ones_like(padded)])

    return Batch(
        source=wider(batch.source),
        target=wider(batch.target),
        segments=wider(batch.segments),
        source_mask=mask(batch.source, batch.source_mask),
        target_mask=mask(batch.target, batch.target_mask),
    )


def in_float64(model: Model) -> Model:
    """The same model, its weights raised to float64."""
    model.transformer.to(torch.float64)
    return model


