"""The translator that ships, on real sentences: one and 32 at a time, greedy and five beams, against CTranslate2.

    python benchmarks/speed_translator.py --data test.tsv [--threads N] [--rounds N] [--json FILE]

CTranslate2 has the same weights, by our exporter, and is given tokens: its times hold no cutting of texts into tokens,
ours do.
"""

import random
from pathlib import Path

from turns import Contestant, Rows, alone, options

import glassformer as gf
from glassformer.export import ctranslate2
from glassformer.export.options import Options

NAME = "tatoeba-en-fr"


def main() -> None:
    """Four rows."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help="sentences, the English ones in the first column")
    parser.add_argument("--count", type=int, default=128)
    arguments = parser.parse_args()
    lines = arguments.data.read_text("utf-8").splitlines()
    texts = sorted({line.split("\t")[0] for line in lines})
    random.Random(0).shuffle(texts)
    texts = texts[: arguments.count]
    model, path = gf.load(NAME), arguments.folder / f"{NAME}-ctranslate2"
    if not path.exists():
        ctranslate2.write(model, path, Options(dtype="float32"))
    tokens = [[model.tokenizer.token(id) for id in ids] for ids in model.tokenizer.ids(texts)]
    rows = Rows(arguments)
    for size in (1, 32):
        for beams in (1, 5):
            told = {"work": "texts", "batch": size, "beams": beams, "threads": arguments.threads}
            ours = {**told, "model": NAME, "texts": texts}
            theirs = {**told, "model": str(path), "tokens": tokens}
            contestants = [
                Contestant(f"glassformer {kind}", "ours", {**ours, "precision": kind})
                for kind in ("float32", "bfloat16", "int8")
            ]
            contestants += [
                Contestant(f"ctranslate2 {kind}", "ctranslate2_", {**theirs, "precision": kind})
                for kind in ("float32", "int8")
            ]
            contestants += [each for kind in ("float32", "int8") for each in alone(contestants, f"ctranslate2 {kind}")]
            rows.add(f"{NAME}, batch {size}, beams {beams}", "tokens", contestants)
    rows.conclude()


if __name__ == "__main__":
    main()
