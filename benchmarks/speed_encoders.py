"""Encoders of MiniLM's and BERT's sizes reading 128 tokens, one text and 32 at a time.

    python benchmarks/speed_encoders.py [--threads N] [--rounds N] [--json FILE]
"""

import random

import made
from turns import Contestant, alone, conclude, options, race


def main() -> None:
    """Three rows."""
    arguments = options(__doc__ or "").parse_args()
    chance, at, rows = random.Random(0), arguments.folder, []
    for name, size in (("minilm", 1), ("minilm", 32), ("bert-base", 1)):
        ids = [[chance.randrange(300, 30000) for _ in range(128)] for _ in range(size)]
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
        rows.append(race(f"{name}, {size} x 128", "sequences", contestants, arguments))
    conclude(rows, arguments)


if __name__ == "__main__":
    main()
