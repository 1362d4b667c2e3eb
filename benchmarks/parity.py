"""How far our numbers are from those of others, from their own formulas, and from themselves by another way.

    python benchmarks/parity.py [--json FILE]

Each line is the largest difference over all its cases, beside the most that is allowed: the families against
`transformers` and torch.nn.Transformer (ten random small configurations each, every class, every parameter moved,
padded batches, float64), real checkpoints in float32 where their packages are installed, the laws of the core, and
every step against its formula. Takes some minutes; then prints one line of JSON, and ends with 1 if a line is over.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import test_core as core
from tests import test_pretrained as real
from tests.families import stacks, test_transformer

from glassformer.adapters import load_whole
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.cache import Cache
from glassformer.pretrained import shipped

Difference = Callable[[], float]
SEEDS = range(10)
FAMILIES = ("bert", "roberta", "gpt2")  # the others, on fewer configurations: families.py
COUNT = f"{len(SEEDS)} configurations"


@cache
def family(name: str) -> stacks.Measured:
    """All classes of one family on ten configurations: the largest differences."""
    stack, found = stacks.STACKS[name], stacks.Measured()
    with tempfile.TemporaryDirectory() as room:
        for each, seed in product(stack.classes, SEEDS):
            found = found.and_(stacks.measured(stack, each, seed, Path(room) / f"{each}-{seed}"))
    return found


@cache
def checkpoint(name: str, place: Path) -> tuple[float, float]:
    """A real one: as we load it, and as others open what we write of it."""
    with tempfile.TemporaryDirectory() as room:
        return real.real_differences(name, place, Path(room))


def traced() -> float:
    """Open attention against fused."""
    source, target = core.ids(2, 6), core.ids(2, 5, 2)
    models = map(core.made, core.MODELS)
    return max(
        core.apart(core.answer(model, source, target, trace=Trace()), core.answer(model, source, target))
        for model in models
    )


@torch.no_grad()
def cached() -> float:
    """A token at a time against all at once."""
    source, target, worst = core.ids(2, 6), core.ids(2, 6, 2), 0.0
    for model in map(core.made, core.WITH_DECODER):
        memory, cache_of_run = None if model.encoder is None else model.encode(source), Cache()
        whole = model(None, target, memory=memory)
        steps = [model(None, one, memory=memory, cache=cache_of_run) for one in target.split(1, dim=1)]
        worst = max(worst, core.apart(torch.cat(steps, dim=1), whole))
    return worst


def padded(side: str) -> float:
    """Texts side by side with padding against each alone."""
    sources, targets = [*core.ids(1, 5), *core.ids(1, 2, 2)], [*core.ids(1, 4, 3), *core.ids(1, 6, 4)]
    (source, source_mask), (target, target_mask) = core.padded(sources, side), core.padded(targets, side)
    worst = 0.0
    for name in core.MODELS:
        model = core.made(name)
        together = core.answer(model, source, target, source_mask, target_mask)
        mask = source_mask if model.decoder is None else target_mask
        for row in range(2):
            alone = core.answer(model, sources[row][None], targets[row][None])[0]
            found = together[row] if name in core.WITH_LABELS_PER_TEXT else together[row][mask[row]]
            worst = max(worst, core.apart(found, alone))
    return worst


def batched() -> float:
    """A batch of two against two batches."""
    source, target, worst = core.ids(2, 6), core.ids(2, 5, 2), 0.0
    for model in map(core.made, core.MODELS):
        together = core.answer(model, source, target)
        for row in range(2):
            alone = core.answer(model, source[row : row + 1], target[row : row + 1])
            worst = max(worst, core.apart(together[row : row + 1], alone))
    return worst


def verified(model: Transformer) -> float:
    """Every step against its formula, float64."""
    trace, ids = Trace(), torch.arange(4)[None] % model.config.vocab_size
    core.answer(model, ids, ids, trace=trace)
    return trace.verify().max_error


def lines() -> Iterator[tuple[str, Difference, float]]:
    """What is measured, how, and the most that is allowed."""
    for name in FAMILIES:
        what = f"{name}: {COUNT} of {len(stacks.STACKS[name].classes)} classes, float64"
        yield f"{what}, ours - transformers", partial(lambda n: family(n).loaded, name), 1e-10
        yield f"{what}, saved and reopened", partial(lambda n: family(n).reopened, name), 1e-10
    what = f"2017: {COUNT}, float64, ours - torch.nn.Transformer"
    yield what, lambda: max(test_transformer.compared(seed) for seed in SEEDS), 1e-10
    for name in real.REAL:
        place = real.real_folder(name)
        if place is not None:
            yield f"{name}: real weights, float32, ours - transformers", partial(_first, name, place), 1e-5
            yield f"{name}: saved and reopened", partial(_second, name, place), 1e-5
    count = f"{len(core.MODELS)} models, float64"
    yield f"traced - fused, {count}", traced, 1e-12
    yield f"cached - whole, {len(core.WITH_DECODER)} models, float64", cached, 1e-12
    yield f"padded on the right - unpadded, {count}", partial(padded, "right"), 1e-12
    yield f"padded on the left - unpadded, {count}", partial(padded, "left"), 1e-12
    yield f"batch of two - two batches, {count}", batched, 1e-12
    yield f"steps - formulas, {count}", lambda: max(verified(core.made(name)) for name in core.MODELS), 1e-10
    for name, folder in shipped().items():
        yield f"steps - formulas, {name}, float64", partial(_shipped, folder), 1e-10
    for name in core.REAL_SIZES:
        what = f"steps - formulas, {name} of real size, float32, relative"
        yield what, partial(core.verified_at_real_size, name), 1e-4


def _first(name: str, place: Path) -> float:
    return checkpoint(name, place)[0]


def _second(name: str, place: Path) -> float:
    return checkpoint(name, place)[1]


def _shipped(folder: Path) -> float:
    return verified(load_whole(folder, dtype="float64").transformer)


def main() -> None:
    """Measure, print, and fail where a line is over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="also write the JSON line to this file")
    arguments = parser.parse_args()
    rows = []
    print(f"{'what':84s} {'largest':>9s} {'allowed':>9s} {'seconds':>8s}")
    for what, measure, allowed in lines():
        started = time.perf_counter()
        found = measure()
        seconds = time.perf_counter() - started
        rows.append({"what": what, "largest": found, "allowed": allowed, "seconds": round(seconds, 1)})
        print(f"{what:84s} {found:9.1e} {allowed:9.0e} {seconds:8.1f}", flush=True)
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    versions["transformers"] = transformers.__version__
    report = json.dumps({"benchmark": "parity", "versions": versions, "rows": rows})
    print(report)
    if arguments.json:
        arguments.json.write_text(report + "\n", "utf-8")
    sys.exit(any(row["largest"] > row["allowed"] for row in rows))


if __name__ == "__main__":
    main()
