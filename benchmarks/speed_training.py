"""Training: letters of two sizes, MiniLM's size on labels, the translator's recipe; against Trainer and a plain loop.

    python benchmarks/speed_training.py [--threads N] [--rounds N] [--data FOLDER] [--json FILE]

A turn is so many steps from the same weights on the same batches, and what each program sets up for them. The plain
loop of letters is a small GPT of torch's parts; the others train transformers' models. Beside each figure stands the
share of the processor's peak in products of that precision (`--peak`, `--peak-bfloat16`, in GFLOP a second for all
threads). With `--data`, which holds sentiment/sst2 and translation/tatoeba-en-fr, also texts of real lengths, an epoch
of them a turn: in the order of chance, as Trainer's default is, and with Trainer told to group them by length.
"""

import argparse
import gzip
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import made
import numpy as np
from turns import Contestant, Rows, options

import glassformer as gf

NAMES = {"ours": "glassformer", "loop": "plain loop", "trainer": "Trainer"}
PROGRAMS = tuple(NAMES)


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
                "sizes": [128, 4, 4], "made": 756, "steps": 80,
            },
            parameters=4 * 12 * 128**2 + 65 * 128,
            attended=4 * 2 * 64 * 128,
        ),
        "letters, 6 layers of 384, 12 x 256": Row(
            "letters",
            {
                "work": "write", "rows": 12, "length": 256, "vocabulary": 65,
                "sizes": [384, 6, 6], "made": 3060, "steps": 8,
            },
            parameters=6 * 12 * 384**2 + 65 * 384,
            attended=6 * 2 * 256 * 384,
        ),
        "MiniLM's size, labels, 32 x 64": Row(
            "minilm-labels",
            {"work": "classify", "rows": 32, "length": 64, "vocabulary": 30522, "made": 2048, "steps": 8},
            parameters=6 * 12 * 384**2,
            attended=6 * 2 * 64 * 384,
        ),
        "the translator's recipe, 125 x 12": Row(
            "translator",
            {"work": "translate", "rows": 125, "length": 12, "vocabulary": 5000, "made": 1500, "steps": 12},
            parameters=6 * 8 * 256**2 + 2 * 4 * 256**2 + 5000 * 256,
            attended=8 * 2 * 12 * 256,
        ),
    }


TEXTS = {  # the file, the model whose tokenizer counts, how many texts, columns that hold them, rows of a batch
    "MiniLM's size on SST-2's sentences, 32 a batch": (
        "sentiment/sst2/train.tsv.gz", "minilm-l6", 320, (0,),
        {"work": "classify", "rows": 32, "most": 2048, "vocabulary": 30522}, "MiniLM's size, labels, 32 x 64",
    ),
    "the translator's recipe on Tatoeba's pairs, 125 a batch": (
        "translation/tatoeba-en-fr/train.part1.tsv.gz", "tatoeba-en-fr", 1250, (0, 1),
        {"work": "translate", "rows": 125, "most": 4000, "vocabulary": 5000}, "the translator's recipe, 125 x 12",
    ),
}  # fmt: skip
ORDERS = {"": "random", ", Trainer's grouped by length": "group_by_length"}


def real_rows(data: Path, folder: Path) -> dict[str, Row]:
    """Texts as long as those of real files are."""
    found = {}
    for name, (file, reader, count, columns, told, like) in TEXTS.items():
        with gzip.open(data / file, "rt", encoding="utf-8") as lines:
            cells = [line.rstrip("\n").split("\t") for line in islice(lines, count)]
        tokenizer = gf.load(reader).tokenizer
        read = [tokenizer.ids([row[column] for row in cells]) for column in columns]
        lengths = folder / f"lengths-{told['work']}.npy"
        np.save(lengths, np.array([[len(ids) for ids in row] for row in zip(*read, strict=True)]))
        alike = rows()[like]
        for order, sampling in ORDERS.items():
            more = {**told, "lengths": str(lengths), "order": sampling, "steps": 0}
            found[name + order] = Row(alike.model, more, alike.parameters, alike.attended)
    return found


def main() -> None:
    """A row for each piece of work, a contestant for each program and precision."""
    parser = options(__doc__ or "")
    parser.add_argument("--peak", type=float, default=210.0)
    parser.add_argument("--peak-bfloat16", type=float, default=400.0)
    parser.add_argument("--data", type=Path, help="a folder with sentiment/sst2 and translation/tatoeba-en-fr")
    arguments = parser.parse_args()
    results = Rows(arguments)
    real = real_rows(arguments.data, arguments.folder) if arguments.data else {}
    for name, row in {**rows(), **real}.items():
        folder = made.folder_of(row.model, Path(arguments.folder))
        results.add(name, "tokens", contestants(row, str(folder), arguments))
    results.conclude()


def contestants(row: Row, folder: str, arguments: argparse.Namespace) -> list[Contestant]:
    """The programs at both precisions; the floor is the peak over three times the forward's products."""
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
        if program != "loop" or row.told.get("order") != "group_by_length"  # it has one order
    ]


if __name__ == "__main__":
    main()
