"""Verify every family against its reference and write what `glassformer families` prints.

    python benchmarks/families.py [FAMILY ...]

Small random models in float64, every parameter moved, padded batches: ours beside theirs, ours opened by theirs again,
every step beside its formula, and the tokens that both write after 20 random beginnings, greedy and with five beams.
Named families are measured anew and the others kept; without a name, all are. Takes some minutes.
"""

import json
import sys
import tempfile
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.families import test_transformer as paper
from tests.families.harness import padded as batch_of
from tests.families.harness import perturb
from tests.families.pairs import (
    LENGTHS,
    PAIRS,
    WRITTEN,
    Pair,
    ours,
    padded,
    reference,
    reopened,
    texts,
    theirs,
)  # fmt: skip
from tests.families.stacks import PROMPTS, STACKS, Measured, measured

from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.families import FAMILIES
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.pretrained import load_transformer, save, save_transformer

SEEDS = range(3)
LONGEST = 9
PLACE = Path(__file__).parents[1] / "src" / "glassformer" / "families" / "verified.json"
HOW = (
    f"{len(SEEDS)} random configurations of each class, float64, every parameter moved, padding on both sides; largest "
    f"difference from transformers {transformers.__version__} (transformer: torch {torch.__version__.split('+')[0]}), "
    "from the same opened again from our file, and of any step from its formula; new tokens equal to generate's, "
    f"greedy and with five beams, after {PROMPTS} random beginnings."
)


def of_pair(pair: Pair, name: str, seed: int, folder: Path) -> Measured:
    """One random model of one class of a family of pairs."""
    spans = {"num_labels": 2} if name.endswith("Answering") else {}
    model = reference(pair, name, seed, **spans)
    model.save_pretrained(folder / "theirs")
    checkpoint = load_transformer(folder / "theirs")
    save(checkpoint, folder / "ours")
    transformer, pad = checkpoint.transformer, model.config.pad_token_id
    writes = name == pair.generates
    sources = texts(LENGTHS, seed, end=None if writes else model.config.eos_token_id)
    targets = texts(WRITTEN, seed + 1) if writes else [[row[-1], *row[:-1]] for row in sources]
    expected = theirs(model, sources, targets if writes else None)
    again = theirs(reopened(folder / "ours", name), sources, targets if writes else None)
    sides = list(product(("right", "left"), repeat=2))
    trace = Trace()
    if transformer.decoder is None:
        answers = [read(transformer, sources, pad, first) for first, _ in sides]
        opened = read(transformer, sources, pad, "right", trace)
    else:
        answers = [ours(transformer, sources, targets, pad, each) for each in sides]
        opened = ours(transformer, sources, targets, pad, ("right", "right"), trace=trace)
    return Measured(
        loaded=max(float((found - expected).abs().max()) for found in answers),
        reopened=float((again - expected).abs().max()),
        glass=float((opened - answers[0]).abs().max()),
        formulas=trace.verify().max_error,
        tokens=written(model, checkpoint, seed) if writes else 0,
    )


@torch.no_grad()
def read(
    model: Transformer, sources: list[list[int]], pad: int, side: str, trace: Trace | None = None
) -> torch.Tensor:
    """An encoder alone: one row for each real position."""
    ids, mask = padded(sources, pad, side)
    rows: torch.Tensor = model(ids, source_mask=mask, trace=trace)
    return rows[mask.bool()]


def written(model: Any, checkpoint: Any, seed: int) -> int:
    """How many tokens both write alike; another one is an error."""
    pad, end = model.config.pad_token_id, model.config.eos_token_id
    sources = texts(tuple(1 + place % 9 for place in range(PROMPTS)), seed)
    source, mask = padded(sources, pad, "right")
    start = torch.full((PROMPTS, 1), model.config.decoder_start_token_id)
    batch, count = Batch(source=source, source_mask=mask, target=start), 0
    for beams in (1, 5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = model.generate(
                source, attention_mask=mask, do_sample=False, num_beams=beams, max_length=LONGEST
            )
        said = {**checkpoint.generation, "max_length": LONGEST, "num_beams": beams}
        best = search(checkpoint.transformer, batch, Decoding.read(said), ends=(end,))
        for (one, *_), row in zip(best, rows[:, 1:].tolist(), strict=True):
            assert list(one.ids) == row[: len(one.ids)]
            assert set(row[len(one.ids) :]) <= {pad, end}
            count += len(one.ids)
    return count


@torch.no_grad()
def of_paper(seed: int, folder: Path) -> Measured:
    """One model of 2017: torch's own beside ours, and ours saved and opened again."""
    model = Transformer(paper.drawn(seed)).eval()
    perturb(model, seed)
    save_transformer(folder, model)
    source, target = batch_of(20, 0, 0, seed, "left"), batch_of(20, 0, 0, seed, "right")
    masks = {"source_mask": source.mask, "target_mask": target.mask}
    trace = Trace()
    first = model(source.ids, target.ids, **masks, trace=trace)
    second = load_transformer(folder).transformer(source.ids, target.ids, **masks)
    return Measured(
        loaded=paper.compared(seed),
        reopened=float((first - second).abs().max()),
        formulas=trace.verify().max_error,
    )


def of_family(name: str) -> dict[str, Any]:
    """All classes of a family on a few configurations."""
    found, classes = Measured(), ("Transformer",)
    if name in STACKS:
        classes = STACKS[name].classes
    elif name in PAIRS:
        encoder = tuple(each for each in FAMILIES[name].architectures if each.endswith("EncoderModel"))
        classes = (PAIRS[name].generates, *PAIRS[name].others, *encoder)
    for seed, each in product(SEEDS, classes):
        with tempfile.TemporaryDirectory() as room:
            folder = Path(room)
            if name in STACKS:
                one = measured(STACKS[name], each, seed, folder)
            elif name in PAIRS:
                one = of_pair(PAIRS[name], each, seed, folder)
            else:
                one = of_paper(seed, folder)
        found = found.and_(one)
    figures = {key: getattr(found, key) for key in ("loaded", "reopened", "formulas", "as_it_is", "tokens")}
    rounded = {
        key: float(f"{value:.1e}") if isinstance(value, float) else value for key, value in figures.items()
    }
    return {"source": FAMILIES[name].source, "classes": list(classes), **rounded}


def main() -> None:
    """Measure, and write the file whole."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    before = json.loads(PLACE.read_text("utf-8"))["families"] if PLACE.is_file() else {}
    asked = sys.argv[1:] or list(FAMILIES)
    for name in asked:
        before[name] = of_family(name)
        print(name, before[name])
        found = {each: before[each] for each in FAMILIES if each in before}
        partial = PLACE.with_name(PLACE.name + ".partial")
        partial.write_text(
            json.dumps({"how": HOW, "families": found}, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
        partial.replace(PLACE)


if __name__ == "__main__":
    main()
