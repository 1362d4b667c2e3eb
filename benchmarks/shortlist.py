"""The shortlist of a translator: what it gains, and what it costs.

    python benchmarks/shortlist.py --data FOLDER --json FILE

Lists of several sizes are learnt from the training pairs of the translator that ships, and it translates its test set
with each: BLEU, and how many translations stay; every sentence alone, so that each has its own list, and 32 at a time,
where a batch may write what any of its sentences may. Time is of the same sentences at float32, all in turn.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from turns import keep, processor

import glassformer as gf
from glassformer.data.readers import read_examples
from glassformer.data.reading import Reading
from glassformer.decoding.shortlist import Shortlist
from glassformer.evaluation.translation import score
from glassformer.training.shortlist import learn_shortlist

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SIZES = ((20, 100), (40, 200), (80, 400), (160, 800))  # tokens for each source token, and of the most frequent


def pairs_of(data: Path, *files: str) -> Sequence[Any]:
    """All pairs of some files of the set."""
    paths = [str(data / "translation/tatoeba-en-fr" / file) for file in files]
    return read_examples("pairs", paths, Reading()).examples


def learnt(model: Any, data: Path, pairs: int) -> dict[str, Shortlist | None]:
    """A list of each size, and none."""
    train = pairs_of(data, "train.part1.tsv.gz", "train.part2.tsv.gz")
    train = train[:: max(1, len(train) // pairs)]
    lists: dict[str, Shortlist | None] = {"none": None}
    most = learn_shortlist(model, train, each=SIZES[-1][0], frequent=SIZES[-1][1])
    for each, frequent in SIZES:
        name = f"{each} and {frequent}"
        lists[name] = Shortlist(most.tokens[:, :each], most.frequent[:frequent], most.vocabulary)
    return lists


def in_lots(model: Any, texts: Sequence[str], batch: int, beams: int, shortlist: Shortlist | None) -> list[str]:
    """Their translations, so many at a time."""
    lots = [texts[start : start + batch] for start in range(0, len(texts), batch)]
    return [one.text for lot in lots for one in model(list(lot), num_beams=beams, shortlist=shortlist)]


def raced(
    model: Any,
    texts: Sequence[str],
    batch: int,
    beams: int,
    lists: dict[str, Shortlist | None],
    *,
    clock: str,
    rounds: int,
) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Of each list the translations, and sentences a second: the median of rounds in turn."""
    now, seconds, found = CLOCKS[clock], {name: [] for name in lists}, dict[str, list[str]]()
    for _ in range(rounds):
        for name, shortlist in lists.items():
            started = now()
            found[name] = in_lots(model, texts, batch, beams, shortlist)
            seconds[name].append(now() - started)
    return found, {name: len(texts) / statistics.median(each) for name, each in seconds.items()}


def size_of(model: Any, texts: Sequence[str], batch: int, shortlist: Shortlist | None) -> float:
    """How many tokens may be written, on average."""
    sources = model.task.sources(texts, model.config)
    lots = [sources[start : start + batch] for start in range(0, len(sources), batch)]
    allowed = [model.task.allowed(shortlist, lot) for lot in lots]
    return statistics.mean(model.config.vocab_size if each is None else len(each) for each in allowed)


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=846)
    parser.add_argument("--pairs", type=int, default=160_000, help="that the lists are learnt from")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a machine in use")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = gf.load("tatoeba-en-fr", precision=arguments.precision)
    lists = learnt(model, arguments.data, arguments.pairs)
    references: dict[str, list[str]] = {}
    for pair in pairs_of(arguments.data, "test.tsv"):
        references.setdefault(pair.source, []).append(pair.target)
    texts = list(references)[: arguments.sentences]
    wanted, rows = [references[text] for text in texts], []
    for batch, beams in ((1, 1), (1, 5), (32, 1), (32, 5)):
        found, speeds = raced(model, texts, batch, beams, lists, clock=arguments.clock, rounds=arguments.rounds)
        for name, shortlist in lists.items():
            same = sum(one == other for one, other in zip(found["none"], found[name], strict=True))
            row = {
                "batch": batch,
                "beams": beams,
                "list": name,
                "size": size_of(model, texts, batch, shortlist),
                "bleu": score(found[name], wanted)["bleu"].value,
                "equal": 100 * same / len(texts),
                "sentences_a_second": speeds[name],
                "over_none": speeds[name] / speeds["none"],
            }
            rows.append(row)
            told = f"BLEU {row['bleu']:.2f}, {row['equal']:.1f} % equal, {row['over_none']:.2f} times as fast"
            print(f"batch {batch}, beams {beams}, {name}: {row['size']:,.0f} tokens, {told}", flush=True)
    report = {
        "benchmark": "shortlist",
        "processor": processor(),
        "threads": arguments.threads,
        "clock": arguments.clock,
        "precision": arguments.precision,
        "sentences": len(texts),
        "rounds": arguments.rounds,
        "torch": torch.__version__,
        "rows": rows,
    }
    keep(report, arguments.json)


if __name__ == "__main__":
    main()
