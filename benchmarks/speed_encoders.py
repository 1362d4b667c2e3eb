"""Encoders of MiniLM's and BERT's sizes reading 128 tokens, one text and 32 at a time.

    python benchmarks/speed_encoders.py [--threads N] [--rounds N] [--json FILE]

The floor is the processor's peak in products of that precision (`--peak`, `--peak-bfloat16`, `--peak-int8`, thousand
millions of multiplications and additions a second for all threads) over those that one text takes.
"""

import random
from dataclasses import replace

import made
from turns import Contestant, Rows, alone, options

LENGTH = 128
SIZES = {"minilm": (6, 384), "bert-base": (12, 768)}  # layers, d_model; d_ff is four times as wide


def work(layers: int, width: int) -> int:
    """Multiplications and additions that one text takes: the linear maps', then attention's."""
    return 2 * LENGTH * layers * 12 * width**2 + 4 * LENGTH**2 * layers * width


def main() -> None:
    """Three rows."""
    parser = options(__doc__ or "")
    parser.add_argument("--peak", type=float, default=210.0)
    parser.add_argument("--peak-bfloat16", type=float, default=400.0)
    parser.add_argument("--peak-int8", type=float, default=800.0)
    arguments = parser.parse_args()
    peaks = {"float32": arguments.peak, "bfloat16": arguments.peak_bfloat16, "int8": arguments.peak_int8}
    chance, at, rows = random.Random(0), arguments.folder, Rows(arguments)
    for name, size in (("minilm", 1), ("minilm", 32), ("bert-base", 1)):
        ids = [[chance.randrange(300, 30000) for _ in range(LENGTH)] for _ in range(size)]
        told = {"work": "read", "ids": ids, "threads": arguments.threads}
        folder = str(made.folder_of(name, at))
        contestants = [
            Contestant(f"glassformer {kind}", "ours", {**told, "model": folder, "precision": kind})
            for kind in ("float32", "bfloat16", "int8", "open")
        ]
        contestants += [
            Contestant(
                f"onnxruntime {'int8' if quantized else 'float32'}",
                "onnxruntime_",
                {**told, "model": made.as_onnx(name, at, quantized)},
            )
            for quantized in (False, True)
        ]
        contestants += alone(contestants, "onnxruntime int8")
        contestants += [
            Contestant(f"transformers {kind}", "transformers_", {**told, "model": folder, "precision": kind})
            for kind in ("float32", "bfloat16")
        ]
        contestants = [
            replace(each, floor=peaks.get(each.name.split()[-1], arguments.peak) * 1e9 / work(*SIZES[name]))
            for each in contestants
        ]
        rows.add(f"{name}, {size} x {LENGTH}", "sequences", contestants)
    rows.conclude()


if __name__ == "__main__":
    main()
