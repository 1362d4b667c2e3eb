"""What it gains to go on from keys and values of an earlier text: a conversation, each turn behind all before it.

    python benchmarks/prompt_cache.py --json FILE

GPT-2's size with random weights: every turn adds some tokens to what was asked and answered before, and asks for some
more. The turns with nothing kept and those with the cache are made one after the other; the tokens are compared.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from turns import keep, processor

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.prompts import MOST
from glassformer.decoding.search import search
from glassformer.engine.prepare import prepare
from glassformer.model import Transformer

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
FIRST, ASKED, ANSWERED, TURNS = 200, 20, 16, 5  # tokens of what is said first, of a question, of an answer; answers
GPT2: dict[str, Any] = {
    "stack": "decoder", "vocab_size": 50257, "d_model": 768, "heads": 12, "d_ff": 3072, "decoder_layers": 12,
    "norm_first": True, "final_norm": True, "activation": "gelu-tanh",
}  # fmt: skip


def conversation(model: Transformer, clock: str) -> Iterator[tuple[float, int, tuple[int, ...]]]:
    """Seconds of each turn, how long its prompt is, and the answer."""
    now, options = CLOCKS[clock], Decoding(max_new_tokens=ANSWERED)
    said = torch.randint(50257, (FIRST,), generator=torch.Generator().manual_seed(0)).tolist()
    for turn in range(TURNS):
        said += torch.randint(50257, (ASKED,), generator=torch.Generator().manual_seed(turn)).tolist()
        started = now()
        ((found,),) = search(model, Batch(target=torch.tensor([said])), options, ends=[])
        yield now() - started, len(said), found.ids
        said += found.ids


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a machine in use")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model, rows = Transformer(TransformerConfig.from_dict(GPT2)).eval(), []
    print("| precision | tokens before the answer | seconds, all read | with the cache | quicker |")
    print("|---|---:|---:|---:|---:|")
    for precision in ("float32", "int8"):
        made: dict[int, list[list[tuple[float, int, tuple[int, ...]]]]] = {0: [], MOST: []}
        for _ in range(arguments.rounds):
            for kept, rounds in made.items():
                prepare(model, precision, prompt_bytes=kept)
                rounds.append(list(conversation(model, arguments.clock)))
        for turn in range(TURNS):
            plain, quick = ([each[turn] for each in made[kept]] for kept in (0, MOST))
            before, after = (statistics.median(each[0] for each in lot) for lot in (plain, quick))
            row = {"precision": precision, "prompt": plain[0][1], "read": before, "cached": after}
            rows.append({**row, "equal": plain[0][2] == quick[0][2]})
            print(f"| {precision} | {row['prompt']} | {before:.3f} | {after:.3f} | {before / after:.2f} |", flush=True)
    print(f"{sum(row['equal'] for row in rows)} of {len(rows)} answers have the same tokens")
    told = {"benchmark": "prompt cache", "processor": processor(), "threads": arguments.threads}
    report = {**told, "clock": arguments.clock, "torch": torch.__version__, "rows": rows}
    keep(report, arguments.json)


if __name__ == "__main__":
    main()
