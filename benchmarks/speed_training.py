"""Training: letters of two sizes, MiniLM's size on labels, the translator's recipe; against Trainer and a plain loop.

    python benchmarks/speed_training.py [--threads N] [--rounds N] [--json FILE]

A turn is so many steps from the same weights on the same batches, and what each program sets up for them. The plain
loop of letters is a small GPT of torch's parts; the others train transformers' models. Beside each figure stands the
share of the processor's peak in products of that precision (`--peak`, `--peak-bfloat16`, in GFLOP a second for all
threads).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import made
from turns import Contestant, conclude, options, race

PROGRAMS = ("ours", "loop", "trainer")
NAMES = {"ours": "glassformer", "loop": "plain loop", "trainer": "Trainer"}


@dataclass(frozen=True)
class Row:
    """One piece of work."""

    model: str
    told: dict[str, Any]
    parameters: int  # that each counted token passes in a product of matrices
    attended: int  # numbers of products of attention for each counted token


def rows() -> dict[str, Row]:
    """What is raced."""
    return {
        "letters, 4 layers of 128, 12 x 64": Row(
            "letters-small",
            {
                "work": "write", "rows": 12, "length": 64, "vocabulary": 65,
                "sizes": [128, 4, 4], "made": 756, "steps": 40,
            },
            parameters=4 * 12 * 128**2 + 65 * 128,
            attended=4 * 2 * 64 * 128,
        ),
        "letters, 6 layers of 384, 12 x 256": Row(
            "letters",
            {
                "work": "write", "rows": 12, "length": 256, "vocabulary": 65,
                "sizes": [384, 6, 6], "made": 3060, "steps": 3,
            },
            parameters=6 * 12 * 384**2 + 65 * 384,
            attended=6 * 2 * 256 * 384,
        ),
        "MiniLM's size, labels, 32 x 64": Row(
            "minilm-labels",
            {"work": "classify", "rows": 32, "length": 64, "vocabulary": 30522, "made": 2048, "steps": 3},
            parameters=6 * 12 * 384**2,
            attended=6 * 2 * 64 * 384,
        ),
        "the translator's recipe, 125 x 12": Row(
            "translator",
            {"work": "translate", "rows": 125, "length": 12, "vocabulary": 5000, "made": 1500, "steps": 6},
            parameters=6 * 8 * 256**2 + 2 * 4 * 256**2 + 5000 * 256,
            attended=8 * 2 * 12 * 256,
        ),
    }


def main() -> None:
    """A row for each piece of work, a contestant for each program and precision."""
    parser = options(__doc__ or "")
    parser.add_argument("--peak", type=float, default=210.0)
    parser.add_argument("--peak-bfloat16", type=float, default=400.0)
    parser.add_argument("--rows", nargs="*", default=[], help="parts of names of rows")
    arguments = parser.parse_args()
    results = []
    for name, row in rows().items():
        if arguments.rows and not any(part in name for part in arguments.rows):
            continue
        folder = made.folder_of(row.model, Path(arguments.folder))
        results.append(race(name, "tokens", contestants(row, str(folder), arguments), arguments))
    conclude(results, arguments)


def contestants(row: Row, folder: str, arguments: argparse.Namespace) -> list[Contestant]:
    """All programs at both precisions; the floor is the peak over three times the forward's products."""
    peaks = {"float32": arguments.peak, "bfloat16": arguments.peak_bfloat16}
    work = 3 * 2 * (row.parameters + row.attended)  # forward once, backward twice
    return [
        Contestant(
            f"{NAMES[program]} {precision}",
            "training",
            {**row.told, "program": program, "precision": precision, "model": folder, "threads": arguments.threads},
            floor=peak * 1e9 / work,
        )
        for precision, peak in peaks.items()
        for program in PROGRAMS
    ]


if __name__ == "__main__":
    main()
