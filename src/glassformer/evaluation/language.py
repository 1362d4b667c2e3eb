"""Language models: how surprised a model is by a text that people wrote.

-log p is per token and depends on how text is cut into tokens; bits per byte does not. A model that reads from left to
right is asked for every token, one that sees both sides for those that are hidden from it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from glassformer.data.batch import IGNORE, Batch, pad
from glassformer.data.masking import Masking
from glassformer.errors import InputError
from glassformer.evaluation.bootstrap import SEED, Measured, Sums, share
from glassformer.evaluation.report import Case, Part, Report, Told, by_length, grouped, worst_of
from glassformer.evaluation.score import HIGHEST, perplexity, signature
from glassformer.model import Transformer
from glassformer.tasks.filling import Filling
from glassformer.tasks.generation import Generation
from glassformer.tasks.reading import batches, precise
from glassformer.text.tokenizer import Tokenizer

CAUSAL = ("nll", "perplexity", "bits_per_byte")
MASKED = ("nll", "perplexity", "accuracy")
TOKENS = 4096  # read at once
NUMBERS = 2**26  # of a large vocabulary's logits, held at once
LONGEST = 1024  # a window of a model that has no end of its own


@dataclass(frozen=True)
class Window:
    """A stretch of a text: what is read, what is asked for at each place (IGNORE: nothing), and its characters."""

    read: Sequence[int]
    asked: Sequence[int]
    text: str

    @property
    def count(self) -> int:
        """How many tokens are asked for."""
        return sum(token != IGNORE for token in self.asked)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What decides the figures beside model and text."""

    window: int  # tokens read at once
    stride: int  # by so many the next window begins later: in a smaller one than `window` more stands before a token
    start: str | None = None  # stands before every text
    hidden: float | None = None  # share of tokens that are hidden
    seed: int | None = None  # by which they are chosen

    def signed(self) -> str:
        """All of it."""
        return signature(
            window=self.window, stride=self.stride, start=self.start, hidden=self.hidden, masks=self.seed
        )


def protocol_of(
    model: Transformer, tokenizer: Tokenizer, window: int | None = None, stride: int | None = None
) -> Protocol:
    """By default windows as long as the model allows, beside each other."""
    limit = model.config.limit
    longest = limit or LONGEST
    window = longest if window is None else window
    if window < 1 or (limit is not None and window > limit):
        raise InputError(
            f"the window is {window} tokens; expected 1 to {longest}, as many as the model has positions"
        )
    stride = window if stride is None else stride
    if not 1 <= stride <= window:
        raise InputError(f"the stride is {stride} tokens; expected 1 to {window}, the window's length")
    if model.config.head == "masked-language-model":
        return Protocol(window=window, stride=window, hidden=Masking.share, seed=SEED)
    start = start_of(tokenizer)
    return Protocol(window=window, stride=stride, start=None if start is None else tokenizer.token(start))


def start_of(tokenizer: Tokenizer) -> int | None:
    """What stands before a text: the token that the tokenizer puts there, or the one that parts documents."""
    frame = tokenizer.encode("a").ids
    return frame[0] if frame and frame[0] == tokenizer.bos_id else tokenizer.eos_id


def windows_of(
    model: Transformer, tokenizer: Tokenizer, texts: Sequence[str], protocol: Protocol
) -> list[Window]:
    """All texts, cut as the protocol says."""
    if model.config.stack == "encoder-decoder" or model.config.head not in HEADS:
        raise InputError(
            f"this model is a {model.config.stack} with the head {model.config.head}; "
            "how well it foretells a text is asked of a language model"
        )
    cut = HEADS[model.config.head]
    found = [window for number, text in enumerate(texts) for window in cut(tokenizer, text, protocol, number)]
    if not found:
        raise InputError("the texts have no token to ask for; give at least two words")
    return found


def causal(tokenizer: Tokenizer, text: str, protocol: Protocol, number: int = 0) -> Iterator[Window]:
    """Every token is asked for once, with as much before it as stands in its window."""
    encoding = tokenizer.encode(text, special=False)
    start = [] if protocol.start is None else [tokenizer.id(protocol.start) or 0]
    ids = [*start, *encoding.ids]
    ends = [0] * len(start) + [end for _, end in encoding.offsets]  # in characters
    asked = 1  # the first token is given
    for first in range(0, len(ids) - 1, protocol.stride):
        last = min(first + protocol.window, len(ids) - 1)
        labels = [IGNORE] * (asked - first - 1) + ids[asked : last + 1]
        yield Window(ids[first:last], labels, text[ends[asked - 1] : ends[last]])
        asked = last + 1
        if last == len(ids) - 1:
            return


def masked(tokenizer: Tokenizer, text: str, protocol: Protocol, number: int = 0) -> Iterator[Window]:
    """Some tokens of each window are hidden, always the same ones."""
    encoding = tokenizer.encode(text)
    body = encoding.places(0)
    room = protocol.window - (len(encoding) - len(body))
    if tokenizer.mask_id is None or room < 1:
        raise InputError("the model's tokenizer has no mask token, or no room for one; use another model")
    hide = Masking(
        mask_id=tokenizer.mask_id,
        vocab_size=tokenizer.vocab_size,
        never=tokenizer.special_ids,
        hidden=1.0,
        swapped=0.0,
    )
    for turn, first in enumerate(range(0, len(body), room)):
        stretch = body[first : first + room]
        kept = encoding.keep([*range(body[0]), *stretch, *range(body[-1] + 1, len(encoding))])
        random = np.random.default_rng([protocol.seed or 0, number, turn])
        read, asked = hide(np.array([kept.ids]), random)
        start, end = encoding.offsets[stretch[0]][0], encoding.offsets[stretch[-1]][1]
        if (asked != IGNORE).any():
            yield Window(read[0].tolist(), asked[0].tolist(), text[start:end])


HEADS: dict[str, Callable[[Tokenizer, str, Protocol, int], Iterator[Window]]] = {
    "language-model": causal,
    "masked-language-model": masked,
}


@torch.inference_mode()
def measured(
    model: Transformer, windows: Sequence[Window], pad_id: int = 0, *, told: Told | None = None
) -> tuple[Measured, tuple[int, ...]]:
    """What the model says of the windows, each an example for the bootstrap; and every token that it foretold."""
    nll, hits = np.zeros(len(windows)), np.zeros(len(windows))
    foretold: dict[int, list[int]] = {}
    room = max(1, min(TOKENS, NUMBERS // model.config.vocab_size))
    for numbers in batches([len(window.read) for window in windows], room):
        lot = [windows[number] for number in numbers]
        batch, labels = batch_of(model, lot, pad_id)
        logits = precise(model(**batch.inputs()))
        likeliest = logits.argmax(-1)
        nll[numbers], hits[numbers] = costs(logits, labels), ((likeliest == labels) & (labels != IGNORE)).sum(-1).cpu()
        for number, row, asked in zip(numbers, likeliest, labels != IGNORE, strict=True):
            foretold[number] = row[asked].tolist()
        if told is not None:
            told(len(numbers))
    counts = np.array([window.count for window in windows], dtype=np.float64)
    sizes = np.array([len(window.text.encode()) for window in windows], dtype=np.float64)
    tokens = (token for number in range(len(windows)) for token in foretold[number])
    return Measured({"nll": nll, "hits": hits, "tokens": counts, "bytes": sizes}, measure), tuple(tokens)


def batch_of(model: Transformer, windows: Sequence[Window], pad_id: int) -> tuple[Batch, Tensor]:
    """What is read of the windows, and what is asked for, B T."""
    ids, mask = pad([window.read for window in windows], pad_id)
    labels, _ = pad([window.asked for window in windows], IGNORE)
    reads = model.encoder is not None
    batch = Batch(source=ids, source_mask=mask) if reads else Batch(target=ids, target_mask=mask)
    device = model.tokens.weight.device
    return batch.to(device), labels.to(device)


def costs(logits: Tensor, labels: Tensor) -> Tensor:
    """Of each row the sum of -log p over what is asked for."""
    chosen = labels.clamp(min=0)[..., None]
    cost = logits.logsumexp(-1) - logits.gather(-1, chosen)[..., 0]
    return (cost * (labels != IGNORE)).sum(-1, dtype=torch.float64).cpu()


def measure(sums: Sums) -> Sums:
    """-log p per token, its exponential (Jelinek et al. 1977), bits per byte, and how often the token was foretold."""
    nll = sums["nll"] / np.maximum(sums["tokens"], 1)
    return {
        "nll": nll,
        "perplexity": np.exp(np.minimum(nll, HIGHEST)),
        "bits_per_byte": sums["nll"] / math.log(2) / np.maximum(sums["bytes"], 1),
        "accuracy": share(sums["hits"], sums["tokens"]),
    }


def figures_of(model: Transformer) -> tuple[str, ...]:
    """What such a model is measured by."""
    return MASKED if model.config.head == "masked-language-model" else CAUSAL


@dataclass(frozen=True)
class Judged:
    """A model's surprise at texts."""

    protocol: Protocol
    windows: Sequence[Window]
    measured: Measured
    foretold: tuple[int, ...]  # the likeliest token at every place that was asked for


def judged(
    task: Generation | Filling,
    model: Transformer,
    texts: Sequence[str],
    *,
    window: int | None = None,
    stride: int | None = None,
    told: Told | None = None,
) -> Judged:
    """Read all texts; `told` counts windows."""
    protocol = protocol_of(model, task.tokenizer, window, stride)
    windows = windows_of(model, task.tokenizer, texts, protocol)
    return Judged(protocol, windows, *measured(model, windows, task.tokenizer.pad_id or 0, told=told))


def evaluate(
    task: Generation | Filling,
    model: Transformer,
    texts: Sequence[str],
    *,
    window: int | None = None,
    stride: int | None = None,
    told: Told | None = None,
) -> dict[str, float]:
    """{"nll": ..., "perplexity": ..., ...}: by these a training chooses its best weights."""
    values = judged(task, model, texts, window=window, stride=stride, told=told).measured.values()
    return {name: values[name] for name in figures_of(model)}


def report(
    task: Generation | Filling,
    model: Transformer,
    texts: Sequence[str],
    *,
    window: int | None = None,
    stride: int | None = None,
    bootstrap: int = 0,
    seed: int = SEED,
    told: Told | None = None,
) -> Report:
    """Everything that can be said about how well a model foretells texts."""
    found = judged(task, model, texts, window=window, stride=stride, told=told)
    statistics, figures = found.measured.statistics, figures_of(model)
    groups = by_length([each.count for each in found.windows])
    return Report(
        task="language",
        scores=found.measured.scores(figures, found.protocol.signed(), bootstrap=bootstrap, seed=seed),
        counts={
            "texts": len(texts),
            "windows": len(found.windows),
            "tokens": int(statistics["tokens"].sum()),
            "bytes": int(statistics["bytes"].sum()),
        },
        settings={name: value for name, value in asdict(found.protocol).items() if value is not None},
        groupings=(grouped("tokens asked for in the window", *groups, found.measured, figures),),
        worst=tuple(case(found, number) for number in worst_of(statistics["nll"] / statistics["tokens"])),
        given=found.foretold,
    )


def case(found: Judged, number: int) -> Case:
    """A stretch of text, and how surprising it is."""
    statistics, window = found.measured.statistics, found.windows[number]
    nll = float(statistics["nll"][number] / statistics["tokens"][number])
    figures = {"nll": nll, "perplexity": perplexity(nll)}
    return Case(number=number + 1, figures=figures, parts=(Part(name="text", text=window.text),))
