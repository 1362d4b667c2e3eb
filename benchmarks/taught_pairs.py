"""What a translator makes of sentences, as pairs for the next one to learn from beside the people's own.

    python benchmarks/taught_pairs.py MODEL --data FOLDER --more FILE... --out FOLDER/train.taught.tsv.gz

FOLDER holds tab-separated pairs, source first: train*.tsv.gz, dev.tsv, test.tsv. Two kinds of pairs are written:

- of every source in train, the one of the model's best translations that is nearest to what people wrote (sentence
  BLEU), unless it is just what they wrote: sequence-level interpolation, Kim and Rush 2016, section 3.3;
- of every source in the further FILEs (first column) that train does not have, the model's best translation:
  self-training, He et al. 2020. Left out is what dev or test hold, also with other names and pronouns.
"""

import argparse
import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sacrebleu
import torch
from rich.progress import track

from glassformer.files import replacing
from glassformer.tasks.model import Model, load

BEAMS = 5
LOT = 128  # sources at once, of about one length
NAMED = re.compile(
    r"\b(i|me|my|mine|myself|you|yours?|yourself|he|him|his|himself|she|hers?|herself|its?|itself|we|us|ours?"
    r"|ourselves|they|them|theirs?|themselves|tom|mary|john|bob)\b"
)


def pairs(files: Iterable[Path]) -> Iterator[list[str]]:
    """The columns of every line."""
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            yield from (line.rstrip("\n").split("\t") for line in lines)


def masked(text: str) -> str:
    """A sentence without its names, pronouns and marks: what it shares with those like it."""
    return re.sub(r"[^\w ]", "", NAMED.sub("_", text.lower())).strip()


def translations(model: Model, sources: Sequence[str], count: int, said: str) -> Iterator[tuple[str, list[str]]]:
    """(source, its `count` best translations), short sources first."""
    ordered = sorted(sources, key=len)
    for begin in track(range(0, len(ordered), LOT), description=said):
        lot = ordered[begin : begin + LOT]
        found = model(lot, num_beams=BEAMS, num_return_sequences=count)
        for source, best in zip(lot, found, strict=True):
            yield source, [best.text, *(each.text for each in best.others)]


def nearest(candidates: Sequence[str], references: Sequence[str]) -> str:
    """The candidate with the highest sentence BLEU; of equals the likeliest, which comes first."""
    return max(candidates, key=lambda each: sacrebleu.sentence_bleu(each, references).score)


def taught(model: Model, data: Path, more: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Every pair, those of further sources first."""
    references: dict[str, list[str]] = {}
    for source, target, *_ in pairs(sorted(data.glob("train*.tsv.gz"))):
        references.setdefault(source, []).append(target)
    held = {masked(each[0]) for each in pairs([data / "dev.tsv", data / "test.tsv"])}
    further = dict.fromkeys(each[0] for each in pairs(more) if each[0] not in references)
    allowed = [source for source in further if masked(source) not in held]
    left = len(further) - len(allowed)
    print(f"{len(references):,} sources with references, {len(allowed):,} without, {left:,} left out", flush=True)
    for source, (best,) in translations(model, allowed, 1, "without references"):
        yield source, best
    for source, candidates in translations(model, list(references), BEAMS, "with references"):
        best = nearest(candidates, references[source])
        if best not in references[source]:
            yield source, best


def main() -> None:
    """Translate, choose, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--more", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = dict.fromkeys(taught(load(arguments.model), arguments.data, arguments.more))
    with replacing(arguments.out) as partial:
        partial.write_bytes(gzip.compress("".join(f"{a}\t{b}\n" for a, b in found).encode(), mtime=0))
    print(f"{len(found):,} pairs in {arguments.out}")


if __name__ == "__main__":
    main()
