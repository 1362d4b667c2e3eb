"""What a shortlist of target words would gain a translator, and what it would cost: measured before it is built.

    python benchmarks/shortlist.py --data FOLDER --json FILE

From the training pairs IBM model 1 (Brown et al. 1993) learns which target tokens each source token becomes. The list
of a sentence is the likeliest of each of its tokens and the most frequent of all. The translator that ships then writes
with every other token forbidden: BLEU, and how many translations stay. The most that could be gained is what the same
model gains from a last map of so few rows, as if choosing and gathering them cost nothing.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from turns import keep, processor

import glassformer as gf
from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch
from glassformer.data.readers import read_examples
from glassformer.data.reading import Reading
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.engine.prepare import prepare
from glassformer.evaluation.translation import score
from glassformer.model import Transformer

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SIZES = ((10, 50), (20, 100), (40, 200))  # tokens for each source token, and of the most frequent
Ids = list[list[int]]


def lexicon(sources: Ids, targets: Ids, vocabulary: int, rounds: int) -> np.ndarray:
    """t(target | source), V V in float32: IBM model 1 by expectation maximisation over all pairs at once."""
    pairs = [
        (np.repeat(source, len(target)), np.tile(target, len(source)), np.tile(np.arange(len(target)), len(source)))
        for source, target in zip(map(np.array, sources), map(np.array, targets), strict=True)
    ]
    lengths = np.array([len(target) for target in targets])
    starts = np.concatenate([[0], lengths.cumsum()[:-1]])
    one, other = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    place = np.concatenate([pair[2] + start for pair, start in zip(pairs, starts, strict=True)])
    cells, inverse = np.unique(one.astype(np.int64) * vocabulary + other, return_inverse=True)
    share, rows = np.ones(len(cells)), cells // vocabulary
    for _ in range(rounds):
        each = share[inverse]
        each /= np.bincount(place, each)[place]  # which source token a target token comes from
        share = np.bincount(inverse, each, len(cells))
        share /= np.bincount(rows, share, vocabulary)[rows]
    table = np.zeros((vocabulary, vocabulary), dtype=np.float32)
    table[rows, cells % vocabulary] = share
    return table


def forbidding(model: Transformer, allowed: Tensor) -> Any:
    """The model with every other token forbidden, until the handle is removed."""
    low = torch.zeros(model.config.vocab_size).masked_fill(~allowed, -1e9)
    return model.head.register_forward_hook(lambda head, given, logits: logits + low)


def translated(model: Any, texts: Sequence[str], lists: Sequence[Tensor] | None) -> list[str]:
    """Greedy translations, each with its own shortlist."""
    found = []
    for number, text in enumerate(texts):
        handle = None if lists is None else forbidding(model.transformer, lists[number])
        found.append(model(text, num_beams=1).text)
        if handle is not None:
            handle.remove()
    return found


def speeds(config: TransformerConfig, rows: Sequence[int], batch: int, clock: str) -> dict[int, float]:
    """Tokens a second of the same sizes with last maps of so many rows, random weights, in turn."""
    now, models = CLOCKS[clock], dict[int, Transformer]()
    for count in rows:
        torch.manual_seed(0)
        fields = {**asdict(config), "vocab_size": count, "source_vocab_size": None}
        models[count] = Transformer(TransformerConfig.from_dict(fields)).eval()
        prepare(models[count], "float32")
    source, seconds = torch.randint(5, min(rows), (batch, 12)), {count: [] for count in rows}
    asked = Batch(source=source, target=torch.zeros(batch, 1, dtype=torch.long))
    for _ in range(15):
        for count, model in models.items():
            started = now()
            search(model, asked, Decoding(max_new_tokens=12), ends=[])
            seconds[count].append(now() - started)
    return {count: 12 * batch / statistics.median(each) for count, each in seconds.items()}


def pairs_of(data: Path, *files: str) -> Sequence[Any]:
    """All pairs of some files of the set."""
    paths = [str(data / "translation/tatoeba-en-fr" / file) for file in files]
    return read_examples("pairs", paths, Reading()).examples


def costs(model: Any, data: Path, sentences: int, pairs: int) -> Iterator[dict[str, Any]]:
    """BLEU and equal translations of each size of list."""
    train = pairs_of(data, "train.part1.tsv.gz", "train.part2.tsv.gz")
    train = train[:: max(1, len(train) // pairs)]
    tokenizer, before = model.tokenizer, model.source_tokenizer or model.tokenizer
    sources = before.ids([pair.source for pair in train], special=False)
    targets = tokenizer.ids([pair.target for pair in train], special=False)
    vocabulary = model.config.vocab_size
    table = torch.from_numpy(lexicon(sources, targets, vocabulary, rounds=5))
    frequent = torch.from_numpy(np.bincount(np.concatenate(targets), minlength=vocabulary)).argsort(descending=True)
    references: dict[str, list[str]] = {}
    for pair in pairs_of(data, "test.tsv"):
        references.setdefault(pair.source, []).append(pair.target)
    texts = list(references)[:sentences]
    wanted = [references[text] for text in texts]
    plain = translated(model, texts, None)
    yield {"each": None, "size": vocabulary, "bleu": score(plain, wanted)["bleu"].value, "equal": 100.0}
    for each, always in SIZES:
        lists = []
        for ids in before.ids(texts, special=False):
            allowed = torch.zeros(vocabulary, dtype=torch.bool)
            allowed[frequent[:always]] = True
            allowed[table[ids].topk(each).indices.flatten()] = True
            allowed[list(model.task.ends)] = True
            lists.append(allowed)
        found = translated(model, texts, lists)
        same = sum(one == other for one, other in zip(plain, found, strict=True))
        size = sum(int(allowed.sum()) for allowed in lists) / len(lists)
        bleu = score(found, wanted)["bleu"].value
        yield {"each": each, "always": always, "size": size, "bleu": bleu, "equal": 100 * same / len(texts)}


def main() -> None:
    """Measure, print, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=846)
    parser.add_argument("--pairs", type=int, default=160_000, help="of the training set, that the lexicon learns from")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for a machine in use")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = gf.load("tatoeba-en-fr")
    rows = []
    for row in costs(model, arguments.data, arguments.sentences, arguments.pairs):
        rows.append(row)
        print(f"list of {row['size']:,.0f}: BLEU {row['bleu']:.2f}, {row['equal']:.1f} % equal", flush=True)
    most = {}
    for batch in (1, 32):
        most[batch] = speeds(model.config, (256, 512, model.config.vocab_size), batch, arguments.clock)
        told = ", ".join(f"{count:,} rows {speed:,.0f}" for count, speed in most[batch].items())
        print(f"batch {batch}, tokens a second with a last map of: {told}", flush=True)
    report = {
        "benchmark": "shortlist",
        "processor": processor(),
        "threads": arguments.threads,
        "clock": arguments.clock,
        "torch": torch.__version__,
        "rows": rows,
        "speeds": most,
    }
    keep(report, arguments.json)


if __name__ == "__main__":
    main()
