"""A translator of opus-mt's size, 24 tokens to 24: one text and 32 at a time, greedy and five beams.

    python benchmarks/speed_marian.py [--threads N] [--rounds N] [--json FILE]
"""

import random

import made
from turns import Contestant, Rows, alone, options

READ_EACH_STEP = 51.8e6  # weights of the decoder and the words' table
BITS = {"float32": 32, "bfloat16": 16, "int8": 8.2}


def main() -> None:
    """Four rows."""
    arguments = options(__doc__ or "").parse_args()
    chance, at, rows = random.Random(0), arguments.folder, Rows(arguments)
    folder = str(made.folder_of("marian", at))
    for size in (1, 32):
        ids = [[chance.randrange(300, 58000) for _ in range(24)] for _ in range(size)]
        for beams in (1, 5):
            told = {"work": "translate", "ids": ids, "new": 24, "beams": beams, "threads": arguments.threads}
            contestants = [
                Contestant(
                    f"glassformer {kind}",
                    "ours",
                    {**told, "work": "write", "model": folder, "precision": kind, "start": made.START},
                    reads=READ_EACH_STEP * bits / 8 / size,
                )
                for kind, bits in BITS.items()
            ]
            words = {"model": made.as_ctranslate2("marian", at), "tokens": made.tokens("marian", at, ids)}
            contestants += [
                Contestant(f"ctranslate2 {kind}", "ctranslate2_", {**told, **words, "precision": kind})
                for kind in ("float32", "int8")
            ]
            contestants += alone(contestants, "ctranslate2 int8")
            contestants += [
                Contestant(
                    f"transformers {kind}", "transformers_", {**told, "model": folder, "precision": kind}
                )
                for kind in ("float32", "bfloat16")
            ]
            rows.add(f"Marian, batch {size}, beams {beams}", "tokens", contestants)
    rows.conclude()


if __name__ == "__main__":
    main()
