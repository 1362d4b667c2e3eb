"""What reading ahead gains: summaries that quote their source, plays that quote themselves, with and without guesses.

    python benchmarks/reading_ahead.py --data FOLDER --json FILE

The models that ship, greedy, one text at a time, at float32. The way without guesses and each way with them take
turns, text by text; the texts are compared, and guesses are counted. `drafts` of int8 weights stand for a smaller model
with the same tokenizer, of which none ships: they are nearly always right, but cost most of a reading.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from turns import keep, processor

import glassformer as gf
from glassformer.config import TransformerConfig
from glassformer.data.readers import read_examples
from glassformer.data.reading import Reading
from glassformer.decoding.reader import reader_of
from glassformer.engine.prepare import prepare
from glassformer.model import Transformer

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lookup 3": {"prompt_lookup_num_tokens": 3},
    "lookup 8": {"prompt_lookup_num_tokens": 8},
}
GREEDY = {"num_beams": 1, "do_sample": False}


def texts_of(name: str, data: Path, count: int) -> list[str]:
    """Descriptions to shorten, or the beginnings of scenes."""
    if name == "summaries":
        pairs = read_examples("pairs", [str(data / "summarization/debian-synopsis/test.jsonl.gz")], Reading())
        return [pair.source for pair in pairs.examples[:count]]
    found = read_examples("texts", [str(data / "text/tinyshakespeare/input.txt.gz")], Reading()).examples
    lines = [line for text in found for line in str(text).splitlines() if len(line.split()) > 4]
    return ["\n".join(lines[start : start + 2]) for start in range(len(lines) - 3 * count, len(lines), 3)]


def raced(name: str, texts: list[str], new: int, clock: str) -> Iterator[dict[str, Any]]:
    """Tokens a second of each way, and what was guessed."""
    model, ways, now = gf.load(name), dict(WAYS), CLOCKS[clock]
    model.prepare("float32", prompt_bytes=0)  # what one way has read is no gift to the next
    if name != "summaries":
        ways["drafts of int8"] = {"assistant": gf.load(name, precision="int8")}
    seconds: dict[str, float] = defaultdict(float)
    drafted: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    equal: dict[str, int] = defaultdict(int)
    tokens = 0
    for text in texts:
        expected = ()
        for way, options in ways.items():
            started = now()
            answer = model(text, max_new_tokens=new, **GREEDY, **options)
            seconds[way] += now() - started
            if way == "plain":
                expected, tokens = answer.ids, tokens + len(answer.ids)
            equal[way] += answer.ids == expected
            if answer.drafts is not None:
                told = answer.drafts.drafted, answer.drafts.accepted, answer.drafts.readings
                drafted[way] = [one + other for one, other in zip(drafted[way], told, strict=True)]
    for way in ways:
        guessed, accepted, readings = drafted[way]
        yield {
            "model": name,
            "way": way,
            "texts": len(texts),
            "equal": equal[way],
            "tokens_per_second": tokens / seconds[way],
            "ratio": seconds["plain"] / seconds[way],
            "accepted": accepted / guessed if guessed else None,
            "tokens_per_reading": tokens / readings if readings else 1.0,
        }


def at_once(clock: str) -> Iterator[dict[str, Any]]:
    """What it costs a model of GPT-2's size to read several tokens at once, over reading one; random weights."""
    config = TransformerConfig(
        stack="decoder", vocab_size=50257, d_model=768, heads=12, d_ff=3072, decoder_layers=12, norm_first=True,
        final_norm=True, activation="gelu-tanh",
    )  # fmt: skip
    model, now = Transformer(config).eval(), CLOCKS[clock]
    for precision in ("float32", "int8"):
        prepare(model, precision)
        with torch.inference_mode():
            reader = reader_of(model, None, None)
            reader.read(torch.arange(64)[None])
            seconds = defaultdict(list)
            for _ in range(9):
                for count in (1, 2, 4, 6, 9):
                    started = now()
                    reader.read_ahead(range(count))
                    seconds[count].append(now() - started)
                    reader.crop(count)
        middle = {count: statistics.median(each) for count, each in seconds.items()}
        yield {"precision": precision, "cost": {count: each / middle[1] for count, each in middle.items()}}


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--new", type=int, default=60, help="tokens written behind each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a machine in use")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    print("| model | way | tokens a second | over plain | accepted | tokens a reading | equal texts |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name in ("summaries", "shakespeare"):
        for row in raced(name, texts_of(name, arguments.data, arguments.texts), arguments.new, arguments.clock):
            rows.append(row)
            share = "" if row["accepted"] is None else f"{row['accepted']:.0%}"
            speed = f"{row['tokens_per_second']:,.0f} | {row['ratio']:.2f}"
            print(
                f"| {name} | {row['way']} | {speed} | {share} | {row['tokens_per_reading']:.2f} | "
                f"{row['equal']} of {row['texts']} |",
                flush=True,
            )
    costs = list(at_once(arguments.clock))
    for cost in costs:
        told = ", ".join(f"{count} tokens {each:.2f}" for count, each in cost["cost"].items())
        print(f"GPT-2's size at {cost['precision']}, a reading over one of one token: {told}")
    report = {
        "benchmark": "reading ahead",
        "processor": processor(),
        "threads": arguments.threads,
        "clock": arguments.clock,
        "torch": torch.__version__,
        "rows": rows,
        "at_once": costs,
    }
    keep(report, arguments.json)


if __name__ == "__main__":
    main()
