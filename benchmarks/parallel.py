"""A transformer works on the whole sequence at once, a recurrent net position by position: what that is worth.

    python benchmarks/parallel.py [--threads N] [--rounds N] [--lengths N ...] [--svg FILE] [--json FILE]

Our encoder and our decoder (4 layers, 256 wide) beside torch's LSTM with as many parameters (6 layers, 256 wide), on
the same number of tokens at every length: how many a second each scores (forward) and learns from (forward and
backward).
Runs are taken in turn; the picture needs matplotlib.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from turns import keep, processor

from glassformer.config import TransformerConfig
from glassformer.model import Transformer

WIDTH, VOCABULARY = 256, 256
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": WIDTH,
    "heads": 4,
    "d_ff": 4 * WIDTH,
    "norm_first": True,
    "final_norm": True,
    "max_positions": 2048,
}
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


class Recurrent(nn.Module):
    """The same words before it and behind it; an LSTM layer has 8 width² numbers where ours has 12."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, num_layers=6, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits B T V."""
        return functional.linear(self.lstm(self.words(ids))[0], self.words.weight)


def nets() -> dict[str, nn.Module]:
    """What is measured, by name."""
    torch.manual_seed(0)
    return {
        "encoder": Transformer(
            TransformerConfig(stack="encoder", encoder_layers=4, head="masked-language-model", **SHAPE)
        ),
        "decoder": Transformer(TransformerConfig(stack="decoder", decoder_layers=4, **SHAPE)),
        "LSTM": Recurrent(),
    }


def logits(net: nn.Module, ids: Tensor) -> Tensor:
    """B T -> B T V."""
    decodes = isinstance(net, Transformer) and net.decoder is not None
    said: Tensor = net(None, ids) if decodes else net(ids)
    return said


def score(net: nn.Module, ids: Tensor) -> None:
    """Forward only."""
    with torch.inference_mode():
        logits(net, ids)


def learn(net: nn.Module, ids: Tensor) -> None:
    """Forward and backward."""
    functional.cross_entropy(logits(net, ids).flatten(0, 1), ids.flatten()).backward()
    for parameter in net.parameters():
        parameter.grad = None


WORKS = {"scoring": score, "training": learn}


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A line for each work and length: tokens a second of each net, all rounds."""
    chosen, clock, lines = nets(), CLOCKS[arguments.clock], []
    for work, run in WORKS.items():
        for net in chosen.values():
            net.train(work == "training")
        for length in arguments.lengths:
            ids = torch.randint(VOCABULARY, (max(1, arguments.tokens // length), length))
            speeds: dict[str, list[float]] = {name: [] for name in chosen}
            for turn in range(arguments.rounds + 1):  # the first warms up
                for name, net in chosen.items():
                    begun = clock()
                    run(net, ids)
                    if turn:
                        speeds[name].append(ids.numel() / (clock() - begun))
            lines.append({"work": work, "length": length, "speeds": speeds})
            told(lines[-1])
    return lines


def told(line: dict[str, Any]) -> None:
    """One line of the table."""
    middles = {name: statistics.median(values) for name, values in line["speeds"].items()}
    ratios = "  ".join(f"{name} {value:9,.0f} ({value / middles['LSTM']:.2f}x)" for name, value in middles.items())
    print(f"{line['work']:9} {line['length']:5} tokens: {ratios}", flush=True)


def overtaken(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each work and stack the first length at which the LSTM is faster, if there is one."""
    found = []
    for work in WORKS:
        for name in ("encoder", "decoder"):
            at = [
                line["length"]
                for line in lines
                if line["work"] == work
                and statistics.median(line["speeds"]["LSTM"]) > statistics.median(line["speeds"][name])
            ]
            found.append({"work": work, "stack": name, "slower_at": at})
            lengths = ", ".join(map(str, at))
            print(f"{work}, {name}: {f'the LSTM is faster at {lengths}' if at else 'faster at every length'}")
    return found


def draw(lines: list[dict[str, Any]], picture: Path) -> None:
    """Tokens a second against length, both axes by doubling."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
    colours = {"encoder": "#3b6ea8", "decoder": "#6a4c93", "LSTM": "#c4622d"}
    for axis, work in zip(axes, WORKS, strict=True):
        mine = [line for line in lines if line["work"] == work]
        for name, colour in colours.items():
            middles = [statistics.median(line["speeds"][name]) for line in mine]
            axis.plot([line["length"] for line in mine], middles, "o-", ms=3, color=colour, label=name)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set(title=work, xlabel="tokens in a sequence")
        axis.grid(alpha=0.3, which="both")
    axes[0].set(ylabel="tokens a second")
    axes[1].legend(frameon=False)
    figure.savefig(picture)


def main() -> None:
    """The table, the picture if asked, and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens at once; 1: one sequence")
    parser.add_argument("--lengths", type=int, nargs="+", default=[2**power for power in range(4, 12)])
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: for a machine in use")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lines = measured(arguments)
    said = {
        "benchmark": "parallel",
        "processor": processor(),
        "torch": torch.__version__,
        "threads": arguments.threads,
        "tokens": arguments.tokens,
        "clock": arguments.clock,
        "parameters": {name: sum(p.numel() for p in net.parameters()) for name, net in nets().items()},
        "lines": lines,
        "overtaken": overtaken(lines),
    }
    if arguments.svg:
        draw(lines, arguments.svg)
    keep(said, arguments.json)


if __name__ == "__main__":
    main()
