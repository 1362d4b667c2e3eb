"""The learning curve of a run: its log.jsonl as a table, and as a picture.

    python benchmarks/learning_curve.py RUN/log.jsonl [--svg FILE]

The table has a line for each evaluation; the picture needs matplotlib.
"""

import argparse
import json
from pathlib import Path
from typing import Any

FIGURES = ("loss", "nll", "bleu", "chrf")


def evaluations(path: Path) -> list[dict[str, Any]]:
    """The records that hold dev figures, their names in lower case."""
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    found = [each for each in records if each["kind"] in ("evaluation", "average") and each.get("metrics")]
    return [{**each, **{name.lower(): value for name, value in each["metrics"].items()}} for each in found]


def table(rows: list[dict[str, Any]]) -> str:
    """The figures in Markdown."""
    lines = [f"| step | epoch | minutes | {' | '.join(FIGURES)} |", "|" + "---:|" * (3 + len(FIGURES))]
    for row in rows:
        step = f"{row['step']:,}" + (" (average)" if row["kind"] == "average" else "")
        figures = " | ".join(f"{row[name]:.2f}" for name in FIGURES)
        lines.append(f"| {step} | {row['epoch']} | {row['seconds'] / 60:.0f} | {figures} |")
    return "\n".join(lines)


def draw(path: Path, rows: list[dict[str, Any]], picture: Path) -> None:
    """Training loss against the left axis, dev BLEU against the right one."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    trained = [each for each in records if each["kind"] == "train"]
    figure, left = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    left.plot([each["step"] for each in trained], [each["loss"] for each in trained], color="#3b6ea8", lw=1)
    left.set(xlabel="step", ylabel="training loss (label-smoothed)")
    right = left.twinx()
    dev = [row for row in rows if row["kind"] == "evaluation"]
    right.plot([row["step"] for row in dev], [row["bleu"] for row in dev], "o-", color="#c4622d")
    right.set(ylabel="dev BLEU", ylim=(0, None))
    figure.savefig(picture)


def main() -> None:
    """Print the table, draw if asked, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", type=Path)
    parser.add_argument("--svg", type=Path)
    arguments = parser.parse_args()
    rows = evaluations(arguments.log)
    print(table(rows))
    if arguments.svg:
        draw(arguments.log, rows, arguments.svg)
    kept = ("kind", "step", "epoch", "seconds", *FIGURES)
    print(json.dumps({"benchmark": "learning_curve", "rows": [{k: row[k] for k in kept} for row in rows]}))


if __name__ == "__main__":
    main()
