"""docs/performance.md, written from what the races and the other measurements of speed left as JSON.

    python benchmarks/performance.py benchmarks/results/speed_*.json --out docs/performance.md
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

WEIGHTS = {  # what is compared with what: weights of as many bits
    "32 bits": ("float32",),
    "16 bits": ("bfloat16", "float16"),
    "8 bits": ("int8", "q8_0"),
    "4 bits": ("int4", "q4_0"),
}
OURS, LOOP, TRAINER = "glassformer", "plain loop", "Trainer"
HEAD = """# Performance
Written by `python benchmarks/performance.py` from `benchmarks/results/`; each file there names its processor and the
versions of what ran. Every figure is the median of runs that were taken in turn, each program in a process of its own;
in brackets the slowest and the fastest. The best peer is the fastest with weights of as many bits. The floor is what
reading at 46 GB/s allows if nothing is read but the weights, once for each token; of encoders and
trainings it is the processor's peak in products of that precision.
How the engine works, and what was tried, is told in `docs/engine.md`.
"""


def middle(contestant: dict[str, Any]) -> float:
    """The median of its rounds."""
    return statistics.median(contestant["speeds"])


def shown(contestant: dict[str, Any] | None) -> str:
    """Median, slowest, fastest."""
    if contestant is None:
        return "-"
    speeds = contestant["speeds"]
    digits = 1 if middle(contestant) < 1000 else 0
    low, mid, high = (f"{each:,.{digits}f}" for each in (min(speeds), middle(contestant), max(speeds)))
    return f"{mid} ({low} to {high})"


def floor_share(contestant: dict[str, Any] | None) -> str:
    """How near it comes to its floor."""
    floor = contestant and contestant.get("floor")
    return f"{middle(contestant) / floor:.0%}" if contestant and floor else ""


def best_of(row: dict[str, Any], kinds: Sequence[str]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Ours and the best peer among those with such weights."""
    same = [each for each in row["contestants"] if each["name"].split()[-1] in kinds]
    ours = next((each for each in same if each["name"].startswith(OURS)), None)
    return ours, max((each for each in same if not each["name"].startswith(OURS)), key=middle, default=None)


def ratios_of(row: dict[str, Any]) -> dict[str, float]:
    """Number of bits -> ours over the best peer."""
    found = {bits: best_of(row, kinds) for bits, kinds in WEIGHTS.items()}
    return {bits: middle(ours) / middle(best) for bits, (ours, best) in found.items() if ours and best}


def race_table(row: dict[str, Any]) -> Iterator[str]:
    """One row of a race: ours beside the best peer at each number of bits."""
    bounded = any(each.get("floor") for each in row["contestants"])
    if row.get("read"):
        low, mid, high = min(row["read"]), statistics.median(row["read"]), max(row["read"])
        yield f"In the same turns a plain sum read {mid:.1f} GB/s ({low:.1f} to {high:.1f}).\n"
    yield f"| {row['unit']} a second | glassformer |{' of the floor |' * bounded} best peer | | ratio |"
    yield f"|---|---:|{'---:|' * bounded}---|---:|---:|"
    ratios = ratios_of(row)
    for bits, kinds in WEIGHTS.items():
        ours, best = best_of(row, kinds)
        if ours is None:
            continue
        floor = f" {floor_share(ours)} |" * bounded
        name = "none" if best is None else best["name"]
        ratio = f"{ratios[bits]:.2f}" if bits in ratios else ""
        yield f"| {bits} | {shown(ours)} |{floor} {name} | {shown(best)} | {ratio} |"


def training_table(row: dict[str, Any]) -> Iterator[str]:
    """One row of the race of trainings."""
    yield f"| {row['unit']} a second | glassformer | of the peak | {LOOP} | ratio | {TRAINER} | of the peak | ratio |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    by_name = {each["name"]: each for each in row["contestants"]}
    for kind in ("float32", "bfloat16"):
        ours, loop, trainer = (by_name.get(f"{name} {kind}") for name in (OURS, LOOP, TRAINER))
        if ours is None:
            continue
        over = ["" if peer is None else f"{middle(ours) / middle(peer):.2f}" for peer in (loop, trainer)]
        own, theirs = (f"{shown(each)} | {floor_share(each)}" for each in (ours, trainer))
        yield f"| {kind} | {own} | {shown(loop)} | {over[0]} | {theirs} | {over[1]} |"


def summary(files: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each piece of work: ours over the best peer, and the mean of that."""
    yield "\n## In short"
    yield "Ours over the best peer with weights of as many bits.\n"
    yield f"| work | {' | '.join(WEIGHTS)} | geometric mean |"
    yield f"|---|{'---:|' * (len(WEIGHTS) + 1)}"
    for row in (row for made in files for row in made.get("rows", []) if not trains(row)):
        ratios = ratios_of(row)
        cells = [f"{ratios[bits]:.2f}" if bits in ratios else "" for bits in WEIGHTS]
        yield f"| {title(row)} | {' | '.join(cells)} | {statistics.geometric_mean(ratios.values()):.2f} |"


def trains(row: dict[str, Any]) -> bool:
    """Whether a row is a race of trainings."""
    return any(each["name"].startswith(TRAINER) for each in row["contestants"])


def title(row: dict[str, Any]) -> str:
    """The work, as a heading says it."""
    name, _, rest = row["row"].partition(",")
    name = NAMES.get(name, f"{name[0].upper()}{name[1:]}")
    return f"{name},{rest}" if rest else name


def parallel_table(made: dict[str, Any]) -> Iterator[str]:
    """Both stacks beside the recurrent net."""
    yield "One sequence at a time.\n" if made["tokens"] == 1 else f"{made['tokens']:,} tokens at a time.\n"
    yield "| work | tokens in a sequence | encoder | decoder | LSTM | encoder over LSTM | decoder over LSTM |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for line in made["lines"]:
        middles = {name: statistics.median(speeds) for name, speeds in line["speeds"].items()}
        speeds = " | ".join(f"{middles[name]:,.0f}" for name in ("encoder", "decoder", "LSTM"))
        ratios = " | ".join(f"{middles[name] / middles['LSTM']:.2f}" for name in ("encoder", "decoder"))
        yield f"| {line['work']} | {line['length']:,} | {speeds} | {ratios} |"


def growth_table(made: dict[str, Any]) -> Iterator[str]:
    """Time and memory as one thing grows."""
    yield "| what grows | to | reading, ms | MiB | writing, ms | MiB | learning, ms | MiB |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    points = {(line["grown"], line["value"], line["work"]): line for line in made["lines"]}
    for grown, value in dict.fromkeys(key[:2] for key in points):
        lines = [points[grown, value, work] for work in ("reading", "writing", "learning")]
        cells = " | ".join(f"{1000 * line['seconds']:,.1f} | {line['bytes'] / 2**20:,.0f}" for line in lines)
        yield f"| {grown} | {value:,} | {cells} |"


SINGLE = {"parallel": parallel_table, "growth": growth_table}
NAMES = {
    "minilm": "MiniLM-L6's size",
    "bert-base": "BERT-base's size",
    "Marian": "opus-mt's size",
    "tatoeba-en-fr": "The translator that ships",
}
RACES = {
    "gpt2": "GPT-2",
    "marian": "A translator of opus-mt's size",
    "translator": "The translator that ships",
    "encoders": "Encoders",
    "training": "Training",
}
TITLES = {
    "parallel": "The whole sequence at once",
    "growth": "Cost as work grows",
}


def section(file: Path, made: dict[str, Any]) -> Iterator[str]:
    """What one file says."""
    told = f"`{file.name}`: {made['processor']}; {made['threads']} threads"
    if "benchmark" in made:
        yield f"\n## {TITLES[made['benchmark']]}" + (", one by one" if "_one_" in file.name else "")
        yield f"{told}.\n"
        yield from SINGLE[made["benchmark"]](made)
        return
    packages = ", ".join(f"{name} {version}" for name, version in made["packages"].items() if version)
    clock = "" if made["clock"] == "wall" else "; time of the processor, since the machine was in use"
    race, part = file.name.split("_")[1:3]
    yield f"\n## {RACES[race]}" + (f", {part.replace('-', ' ')}" if part.startswith("batch-") else "")
    yield f"{told}{clock}; {packages}."
    for row in made["rows"]:
        yield f"\n### {title(row)}\n"
        yield from (training_table if trains(row) else race_table)(row)


def main() -> None:
    """The page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("docs/performance.md"))
    arguments = parser.parse_args()
    found = {file: json.loads(file.read_text("utf-8")) for file in arguments.files}
    lines = [HEAD.rstrip("\n"), *summary(list(found.values()))]
    lines += [line for file, made in found.items() for line in section(file, made)]
    arguments.out.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
