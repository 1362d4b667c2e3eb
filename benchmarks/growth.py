"""How time and memory grow with the context, the batch and the layers: reading, writing and learning.

    python benchmarks/growth.py [--threads N] [--svg FILE] [--json FILE]

A decoder 256 wide, by itself 4 layers, 256 tokens and 8 rows; one of the three is changed at a time. Each point is a
process of its own, so that its peak of memory is its own: what the process held at most, less what it held before the
work began. Writing is 16 tokens after the context, by the engine in float32. The picture needs matplotlib.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from turns import keep, processor

MIDDLE = {"context": 256, "batch": 8, "layers": 4}
GROWN = {
    "context": [128, 256, 512, 768, 1024],
    "batch": [1, 2, 4, 8, 16, 32, 64],
    "layers": [1, 2, 4, 8, 12],
}
WORKS = ("reading", "writing", "learning")
NEW = 16


def memory(name: str) -> int:
    """A line of this process's status, in bytes."""
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"this system does not say {name} of a process")


def point(told: dict[str, Any]) -> dict[str, float]:
    """Seconds of the work (median) and bytes that it needed at most."""
    import torch

    from glassformer.config import TransformerConfig
    from glassformer.data.batch import Batch
    from glassformer.decoding.options import Decoding
    from glassformer.decoding.search import search
    from glassformer.engine.prepare import prepare
    from glassformer.model import Transformer

    torch.set_num_threads(told["threads"])
    torch.manual_seed(0)
    config = TransformerConfig(
        stack="decoder",
        vocab_size=1000,
        d_model=256,
        heads=4,
        d_ff=1024,
        decoder_layers=told["layers"],
        norm_first=True,
        final_norm=True,
        max_positions=1024 + NEW,
    )
    model = Transformer(config)
    ids = torch.randint(1000, (told["batch"], told["context"]))
    if told["work"] != "learning":
        model.eval()
        prepare(model, "float32", prompt_bytes=0)  # every round reads its prompt

    def work() -> None:
        if told["work"] == "learning":
            logits = model(None, ids)
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()
            model.zero_grad()
        elif told["work"] == "reading":
            with torch.inference_mode():
                model(None, ids)
        else:
            search(model, Batch(target=ids), Decoding(max_new_tokens=NEW), ends=())

    before = memory("VmRSS")
    seconds = []
    for _ in range(told["rounds"] + 1):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return {"seconds": statistics.median(seconds[1:]), "bytes": memory("VmHWM") - before}


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Every point, in a process each."""
    lines = []
    for work in WORKS:
        for grown, values in GROWN.items():
            for value in values:
                told = {**MIDDLE, grown: value, "work": work, "threads": arguments.threads, "rounds": arguments.rounds}
                done = subprocess.run(
                    [sys.executable, __file__, "--point", json.dumps(told)], capture_output=True, text=True, check=True
                )
                lines.append({"work": work, "grown": grown, "value": value, **json.loads(done.stdout)})
                tell(lines[-1])
    return lines


def tell(line: dict[str, Any]) -> None:
    """One line of the table."""
    print(
        f"{line['work']:9} {line['grown']:8} {line['value']:5}: {1000 * line['seconds']:9,.1f} ms  "
        f"{line['bytes'] / 2**20:8,.1f} MiB",
        flush=True,
    )


def draw(lines: list[dict[str, Any]], picture: Path) -> None:
    """Time above, memory below, a column for what grows."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(9, 5), layout="constrained")
    colours = dict(zip(WORKS, ("#3b6ea8", "#c4622d", "#6a4c93"), strict=True))
    for column, grown in enumerate(GROWN):
        for work, colour in colours.items():
            mine = [line for line in lines if line["grown"] == grown and line["work"] == work]
            values = [line["value"] for line in mine]
            drawn = {"marker": "o", "ms": 3, "color": colour, "label": work}
            axes[0, column].plot(values, [1000 * line["seconds"] for line in mine], **drawn)
            axes[1, column].plot(values, [line["bytes"] / 2**20 for line in mine], **drawn)
        axes[1, column].set(xlabel=grown)
        for axis in axes[:, column]:
            axis.grid(alpha=0.3)
            axis.set_ylim(bottom=0)
    axes[0, 0].set(ylabel="milliseconds")
    axes[1, 0].set(ylabel="MiB at most")
    axes[0, 0].legend(frameon=False)
    figure.savefig(picture)


def main() -> None:
    """The table, the picture if asked, and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(json.dumps(point(arguments.point)))
        return
    lines = measured(arguments)
    said = {"benchmark": "growth", "processor": processor(), "threads": arguments.threads, "lines": lines}
    if arguments.svg:
        draw(lines, arguments.svg)
    keep(said, arguments.json)


if __name__ == "__main__":
    main()
