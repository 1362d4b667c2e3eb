"""On a GPU: GPT-2 XL's size going on with a text, and 350 million parameters learning, beside what the card allows.

    python benchmarks/gpu.py [--json FILE] [--part training] [--dropout 0]
    python benchmarks/gpu.py --device cpu --tiny     # the script itself, where there is no GPU

Both in bfloat16, random weights. Going on with a text reads every weight once a token: its floor is the memory's speed,
measured here by copies of a gibibyte, over their bytes; the aim is 75 % of it. A training's share of the peak is what
every run prints (model FLOP utilization, Chowdhery et al. 2022), the peak a product of two large matrices measured
here; the aim is 50 %. It is measured twice, with layers as they stand and compiled, by batches of 8 and of 16 rows of
1,024 ids; what is told is the second half of the steps, so that no compiling is in it. Without a GPU it says so and
measures nothing.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from turns import installed, keep, processor

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.engine.gpu.twin import RecordedTwin
from glassformer.families import FAMILIES
from glassformer.model import Transformer
from glassformer.training.loop import train
from glassformer.training.loss import TokenLoss
from glassformer.training.recipe import TrainingTable
from glassformer.training.utilization import peak, seconds

AIMS = {"decode": 0.75, "training": 0.5}
GIBIBYTE = 2**30


def gpt2(**sizes: float) -> TransformerConfig:
    """A GPT-2 of other sizes, in bfloat16."""
    return FAMILIES["gpt2"].config({"model_type": "gpt2", **sizes})


def bandwidth(device: torch.device) -> float:
    """Bytes a second that are read and written together by copies of a gibibyte."""
    source = torch.zeros(GIBIBYTE, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * GIBIBYTE / min(seconds(lambda: target.copy_(source), device) for _ in range(5))


def decode(config: TransformerConfig, device: torch.device, rounds: int, new: int) -> dict[str, Any]:
    """Tokens a second at batch 1, open and by recorded steps, and what share of the memory's speed the latter are."""
    with device:
        model = Transformer(config).to(torch.bfloat16).eval()
    size = sum(each.numel() * each.element_size() for each in model.parameters())
    batch = Batch(source=None, target=torch.arange(64, device=device)[None] + 5)

    def write() -> None:
        for _ in search(model, batch, Decoding(max_new_tokens=new), ends=()):
            pass

    write()  # what is set up once
    opened = [new / seconds(write, device) for _ in range(min(rounds, 2))]
    model.twin = RecordedTwin(model, "bfloat16")
    write()
    write()
    speeds = [new / seconds(write, device) for _ in range(rounds)]
    return {
        "tokens_per_second": statistics.median(speeds),
        "speeds": speeds,
        "open": statistics.median(opened),
        "floor": bandwidth(device) / size,
        "bytes": size,
    }


class Blocks:
    """Random text in batches of one size."""

    def __init__(self, rows: int, length: int, steps: int, vocabulary: int) -> None:
        self.rows, self.length, self.steps, self.vocabulary = rows, length, steps, vocabulary

    def __len__(self) -> int:
        return self.steps

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch."""
        for place in range(start, self.steps):
            chance = torch.Generator().manual_seed(place)
            ids = torch.randint(self.vocabulary, (self.rows, self.length + 1), generator=chance)
            yield Batch(target=ids[:, :-1], labels=ids[:, 1:])


def learning(model: Transformer, blocks: Blocks, *, compiled: bool) -> dict[str, Any]:
    """Tokens a second and the share of the peak, of the second half of the steps."""
    device, begun = model.tokens.weight.device, time.perf_counter()
    table = TrainingTable(
        max_steps=blocks.steps,
        log_every=max(1, blocks.steps // 2),
        learning_rate=1e-4,
        warmup_steps=0,
        precision="bfloat16",
        compile=compiled,
    )
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    *_, last = (each for each in train(model, blocks, table, objective=TokenLoss()) if each.kind == "train")
    return {
        "rows": blocks.rows,
        "compiled": compiled,
        "loss": last.loss,
        "tokens_per_second": last.tokens_per_second,
        "utilization": last.utilization,
        "gibibytes": torch.cuda.max_memory_allocated(device) / GIBIBYTE if device.type == "cuda" else None,
        "seconds": time.perf_counter() - begun,
    }


def training(config: TransformerConfig, device: torch.device, every: Sequence[Blocks]) -> dict[str, Any]:
    """The same for each size of a batch, as the layers stand and compiled; the best of them is what is aimed with."""
    highest = peak(device, "bfloat16", torch.get_num_threads())
    with torch.device(device):
        model = Transformer(config)
    found = []
    for compiled in (False, True):
        for blocks in every:
            found.append(learning(model, blocks, compiled=compiled))
            print(f"  {told(found[-1])}", flush=True)
    best = max(found, key=lambda each: float(each["utilization"]))
    return {**best, "share": best["utilization"], "peak": highest, "all": found}


def told(made: dict[str, Any]) -> str:
    """One line of one training."""
    way = "compiled" if made["compiled"] else "as they stand"
    memory = "" if made["gibibytes"] is None else f", {made['gibibytes']:.0f} GiB"
    return (
        f"{made['rows']} rows, layers {way}: {made['tokens_per_second']:,.0f} tokens/s, "
        f"{made['utilization']:.1%} of the peak{memory}, {made['seconds']:.0f} s in all"
    )


def measured(device: torch.device, arguments: argparse.Namespace) -> dict[str, Any]:
    """Both figures, or one."""
    tiny, dropout = arguments.tiny, {} if arguments.dropout is None else dropouts(arguments.dropout)
    if tiny:
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 300, "n_positions": 128}
        written, learnt, every = gpt2(**sizes), gpt2(**sizes, **dropout), [Blocks(2, 32, 4, 300)]
    else:
        written = gpt2(n_embd=1600, n_layer=48, n_head=25, vocab_size=50257, n_positions=1024)
        learnt = gpt2(n_embd=1024, n_layer=24, n_head=16, vocab_size=50257, n_positions=1024, **dropout)
        every = [Blocks(rows, 1024, 40, 50257) for rows in (8, 16)]
    made = {}
    if arguments.part != "training":
        made["decode"] = decode(written, device, arguments.rounds, new=16 if tiny else 128)
        made["decode"]["share"] = made["decode"]["tokens_per_second"] / made["decode"]["floor"]
    if arguments.part != "decode":
        made["training"] = training(learnt, device, every)
    return made


def dropouts(share: float) -> dict[str, float]:
    """GPT-2's three, all alike."""
    return dict.fromkeys(("resid_pdrop", "attn_pdrop", "embd_pdrop"), share)


def main() -> None:
    """Measure, print, and write; or say that nothing could be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes that take no time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=("both", "decode", "training"), default="both")
    parser.add_argument("--dropout", type=float, help="while learning; by default GPT-2's own, 0.1")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    made: dict[str, Any] = {"benchmark": "gpu", "ran": False, "torch": installed("torch")}
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: not run")
    else:
        device = torch.device(arguments.device)
        card = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
        begun = time.perf_counter()
        made |= {"ran": True, "card": card, **measured(device, arguments)}
        print(f"{card}, {time.perf_counter() - begun:.0f} s")
        for name, aim in AIMS.items():
            if name not in made:
                continue
            said = made[name]
            print(f"  {name:10} {said['tokens_per_second']:12,.1f} tokens/s   {said['share']:.0%} (aim {aim:.0%})")
    keep({**made, "python": platform.python_version()}, arguments.json)


if __name__ == "__main__":
    main()
