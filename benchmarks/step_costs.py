"""What a training step costs beside its largest products: attention, drawing what drops out, and pages of memory.

    python benchmarks/step_costs.py [--threads N] [--rounds N] [--json FILE]

Prints milliseconds of attention in bfloat16, forward and backward, by our kernel, by several calls of torch's and by
its one, of 2,048 tokens in texts of several lengths; nanoseconds a number of our dropout and gelu by tanh, forward and
backward, and of torch's; and milliseconds of processor time a step of a small GPT-2 (4 layers of 192, 64 x 64 tokens,
bfloat16) with its memory kept from step to step and handed back each time, for a small and a large vocabulary. Medians
of the rounds, taken in turn.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from gpu import Blocks, gpt2
from torch.nn import functional
from turns import keep, processor

from glassformer.model import Transformer
from glassformer.nn import attention
from glassformer.nn.activation import activated
from glassformer.nn.dropout import dropped
from glassformer.training import loop
from glassformer.training.loss import TokenLoss
from glassformer.training.recipe import TrainingTable

NUMBERS, SHARE = 32 * 12 * 64 * 64, 0.1
VOCABULARIES = (65, 8000)
STEPS = 8
LENGTHS, TOKENS, HEADS, WIDTH = (16, 64, 96, 128, 256, 512, 1024, 2048), 2048, 12, 32


def spent(work: Callable[[], Any]) -> float:
    """Seconds of processor time."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def attentions(rounds: int) -> list[dict[str, Any]]:
    """Milliseconds forward and backward, as a model learns in bfloat16, by several calls and by one."""
    lines = []
    ways = {"kernel": (10**9, 0), "several calls": (0, 10**9), "one call": (0, 0)}  # up to so many keys
    for length in LENGTHS:
        rows = torch.randn(3, TOKENS // length, length, HEADS, WIDTH).requires_grad_()
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, most in ways.items():
                with attending_by(*most):
                    found[name].append(1e3 * spent(lambda rows=rows: attended(rows)))
        lines.append({"keys": length, **{name: statistics.median(values[1:]) for name, values in found.items()}})
    return lines


@contextmanager
def attending_by(kernel: int, several: int) -> Iterator[None]:
    """Attention by our kernel up to so many keys, by several calls up to so many."""
    kept = attention.BY_KERNEL, attention.SEVERAL_CALLS
    attention.BY_KERNEL, attention.SEVERAL_CALLS = kernel, several
    yield
    attention.BY_KERNEL, attention.SEVERAL_CALLS = kept


def attended(rows: torch.Tensor) -> None:
    """One pass forward and backward."""
    q, k, v = (each.bfloat16().transpose(1, 2) for each in rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        attention.fused(q, k, v, attention.Visibility(None), 0.0, WIDTH**-0.5).sum().backward()


Ways = dict[str, Callable[[], Any]]


def dropouts(kind: torch.dtype) -> Ways:
    """Dropout of many numbers."""
    x = torch.ones(NUMBERS, dtype=kind)
    return {"ours": lambda: dropped(x, SHARE), "torch": lambda: functional.dropout(x, SHARE)}


def gelus(kind: torch.dtype) -> Ways:
    """Gelu by tanh of many numbers, there and back."""
    x, back = torch.randn(NUMBERS, dtype=kind).requires_grad_(), torch.ones(NUMBERS, dtype=kind)
    return {
        "ours": lambda: activated(x, "gelu-tanh", learns=True).backward(back),
        "torch": lambda: activated(x, "gelu-tanh", learns=False).backward(back),
    }


def a_number(ways_of: Callable[[torch.dtype], Ways], rounds: int) -> list[dict[str, Any]]:
    """Nanoseconds of each way, for both kinds of number."""
    lines = []
    for kind in (torch.float32, torch.bfloat16):
        ways = ways_of(kind)
        found: dict[str, list[float]] = {name: [] for name in ways}
        with loop.kept_memory(torch.device("cpu")):  # as in a training
            for _ in range(rounds + 1):
                for name, way in ways.items():
                    found[name].append(1e9 * spent(way) / NUMBERS)
        middles = {name: statistics.median(values[1:]) for name, values in found.items()}
        lines.append({"numbers": str(kind).removeprefix("torch."), **middles})
    return lines


@contextmanager
def handed_back(_: torch.device) -> Iterator[Callable[[], object]]:
    """What the C library does of its own accord."""
    yield lambda: None


def point(size: int, kept: bool) -> float:
    """Seconds of processor time a step, in a process whose memory nobody else has used."""
    torch.manual_seed(0)
    if not kept:
        loop.kept_memory = handed_back
    model = Transformer(gpt2(n_embd=192, n_layer=4, n_head=4, vocab_size=size, n_positions=128))
    table = TrainingTable(max_steps=STEPS, learning_rate=1e-4, warmup_steps=0, precision="bfloat16", log_every=1)
    return statistics.median(list(steps(model, table, size))[2:])  # the first ones set up


def pages(rounds: int, threads: int) -> list[dict[str, Any]]:
    """Milliseconds a step, with memory kept and handed back."""
    lines = []
    for size in VOCABULARIES:
        found: dict[str, list[float]] = {"kept": [], "handed back": []}
        for _ in range(rounds):
            for name, values in found.items():
                told = json.dumps([size, name == "kept"])
                command = [sys.executable, __file__, "--threads", str(threads), "--point", told]
                values.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        lines.append({"vocabulary": size, **{name: 1e3 * statistics.median(values) for name, values in found.items()}})
    return lines


def steps(model: Transformer, table: TrainingTable, vocabulary: int) -> Iterator[float]:
    """Seconds of processor time of each step."""
    last = time.process_time()
    for _ in loop.train(model, Blocks(64, 64, STEPS, vocabulary), table, objective=TokenLoss()):
        now = time.process_time()
        yield now - last
        last = now


def main() -> None:
    """The tables, and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.point:
        print(point(*arguments.point))
        return
    mixed = attentions(arguments.rounds)
    drawn, curved = a_number(dropouts, arguments.rounds), a_number(gelus, arguments.rounds)
    paged = pages(arguments.rounds, arguments.threads)
    for line in mixed:
        told = ", ".join(f"{way} {line[way]:6.2f} ms" for way in ("kernel", "several calls", "one call"))
        print(f"attention in bfloat16, {line['keys']:4} keys: {told}")
    for line in drawn:
        print(f"dropout, {line['numbers']:9} ours {line['ours']:5.2f} ns a number, torch {line['torch']:5.2f}")
    for line in curved:
        print(f"gelu by tanh, {line['numbers']:9} ours {line['ours']:5.2f} ns a number, torch {line['torch']:5.2f}")
    for line in paged:
        kept, back = line["kept"], line["handed back"]
        print(f"a step, vocabulary {line['vocabulary']:5}: memory kept {kept:5.0f} ms, handed back {back:5.0f} ms")
    made = {"benchmark": "step_costs", "processor": processor(), "threads": arguments.threads}
    keep({**made, "attention": mixed, "dropout": drawn, "gelu-tanh": curved, "pages": paged}, arguments.json)


if __name__ == "__main__":
    main()
