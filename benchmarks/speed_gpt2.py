"""GPT-2 of 124 million parameters going on with a prompt of 32 tokens by 64, one text and eight at a time.

    python benchmarks/speed_gpt2.py [--threads N] [--rounds N] [--json FILE]

The floor is what reading every weight once a token allows.
"""

import random

import made
from turns import Contestant, Rows, options

WEIGHTS = 123.6e6
BITS = {"float32": 32, "bfloat16": 16, "int8": 8.16, "int4": 5.2}  # with scales; at int4 the words' table has 8
NEW = 64


def main() -> None:
    """Both batches."""
    arguments = options(__doc__ or "").parse_args()
    chance, at, rows = random.Random(0), arguments.folder, Rows(arguments)
    for size in (1, 8):
        ids = [[chance.randrange(300, 50000) for _ in range(32)] for _ in range(size)]
        told = {"work": "write", "ids": ids, "new": NEW, "beams": 1, "threads": arguments.threads}
        folder = str(made.folder_of("gpt2", at))
        contestants = [
            Contestant(
                f"glassformer {precision}",
                "ours",
                {**told, "model": folder, "precision": precision},
                reads=WEIGHTS * bits / 8 / size,
            )
            for precision, bits in BITS.items()
        ]
        contestants += [
            Contestant(f"llama.cpp {dtype}", "llama_cpp", {**told, "model": made.as_gguf("gpt2", at, dtype)})
            for dtype in ("float32", "float16", "bfloat16", "q8_0", "q4_0")
        ]
        words = {"model": made.as_ctranslate2("gpt2", at), "tokens": made.tokens("gpt2", at, ids)}
        contestants += [
            Contestant(f"ctranslate2 {kind}", "ctranslate2_", {**told, **words, "precision": kind})
            for kind in ("float32", "int8")
        ]
        contestants += [
            Contestant(
                f"transformers {kind}", "transformers_", {**told, "model": folder, "precision": kind}
            )
            for kind in ("float32", "bfloat16")
        ]
        rows.add(f"GPT-2 124M, batch {size}", "tokens", contestants)
    rows.conclude()


if __name__ == "__main__":
    main()
