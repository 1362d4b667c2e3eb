"""What pretraining is worth: a small net that was pretrained, and the same net from random weights, on SST-2.

    python benchmarks/corpus.py FOLDER texts/corpus.txt
    glassformer train recipes/pretrain-bert.toml --data texts --out runs/pretrain-bert      # and -roberta, -gpt
    python benchmarks/pretraining.py --data FOLDER/sst2 --runs runs --out results [--seeds 1,2,3] [--rates 3e-4,1e-3]

Both nets have the same tokenizer, sizes and epochs. The learning rate of each is the one of RATES that does best on the
dev set with the first seed; the other seeds then use it. Prints a table, and writes pretraining.json and the curves
of dev accuracy, pretraining.svg, into the folder. Runs that are there already are not made again.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from glassformer.training.recipe import Recipe
from glassformer.training.run import run_recipe

RECIPES = Path(__file__).parents[1] / "recipes"
NETS = ("bert", "roberta", "gpt")
STARTS = ("nothing", "pretrained")


def recipe_of(net: str, start: str, pretrained: Path, seed: int, rate: float) -> Recipe:
    """How one net learns SST-2."""
    values = Recipe.read(RECIPES / "sst2-small.toml").to_dict()
    values["seed"] = seed
    values["training"]["learning_rate"] = rate
    dropout = values["model"]["dropout"]
    if start == "pretrained":
        values["model"] = {"start": str(pretrained), "dropout": dropout}
    else:
        model = Recipe.read(RECIPES / f"pretrain-{net}.toml").to_dict()["model"]
        values["model"] = {**model, "dropout": dropout}
        values["tokenizer"] = {"use": str(pretrained)}
    return Recipe.from_dict(values)


def run(recipe: Recipe, data: str, out: Path) -> dict[str, Any]:
    """One run's curve, its best dev accuracy and the test accuracy of those weights."""
    if not (out / "log.jsonl").is_file() or '"test"' not in (out / "log.jsonl").read_text("utf-8"):
        for _ in run_recipe(recipe, [data], out, resume=(out / "log.jsonl").is_file()):
            pass
    records = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    curve = [(each["step"], each["metrics"]["accuracy"]) for each in records if each["kind"] == "evaluation"]
    (test,) = (each["metrics"]["accuracy"] for each in records if each["kind"] == "test")
    return {"curve": curve, "dev": max(value for _, value in curve), "test": test, "seconds": records[-1]["seconds"]}


def measured(
    net: str, start: str, arguments: argparse.Namespace, seeds: Sequence[int], rates: Sequence[float]
) -> dict[str, Any]:
    """A net's runs: each rate with the first seed, then the best rate with the others."""
    pretrained = arguments.runs / f"pretrain-{net}" / "best"

    def one(seed: int, rate: float) -> dict[str, Any]:
        out = arguments.out / "runs" / f"{net}-{start}-{rate:g}-seed-{seed}"
        return run(recipe_of(net, start, pretrained, seed, rate), str(arguments.data), out)

    tried = {rate: one(seeds[0], rate) for rate in rates}
    rate = max(tried, key=lambda each: tried[each]["dev"])
    runs = [tried[rate], *(one(seed, rate) for seed in seeds[1:])]
    return {"net": net, "start": start, "learning_rate": rate, "seeds": list(seeds), "runs": runs}


def row(found: Mapping[str, Any]) -> str:
    """A line of the table."""
    tests = [each["test"] for each in found["runs"]]
    spread = f" ± {stdev(tests):.1f}" if len(tests) > 1 else ""
    devs = fmean(each["dev"] for each in found["runs"])
    minutes = fmean(each["seconds"] for each in found["runs"]) / 60
    return (
        f"| {found['net']} | {found['start']} | {found['learning_rate']:g} | {devs:.1f} | {fmean(tests):.1f}{spread} "
        f"| {minutes:.1f} |"
    )


def draw(found: Sequence[Mapping[str, Any]], picture: Path) -> None:
    """Dev accuracy of the first seed against steps: pretrained nets in full lines, the others dashed."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.8), layout="constrained")
    colours = dict(zip(NETS, ("#3b6ea8", "#c4622d", "#4f8a4c"), strict=True))
    for each in found:
        steps, values = zip(*each["runs"][0]["curve"], strict=True)
        line = "-" if each["start"] == "pretrained" else "--"
        axes.plot(steps, values, line, color=colours[each["net"]], label=f"{each['net']}, {each['start']}")
    axes.set(xlabel="step", ylabel="SST-2 dev accuracy, %")
    axes.legend(ncols=3, fontsize="small")
    figure.savefig(picture)


def main() -> None:
    """Run what is missing, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--rates", default="3e-4,1e-3")
    parser.add_argument("--nets", default=",".join(NETS))
    arguments = parser.parse_args()
    seeds = [int(each) for each in arguments.seeds.split(",")]
    rates = [float(each) for each in arguments.rates.split(",")]
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = []
    print("| net | from | learning rate | dev accuracy | test accuracy | minutes a run |")
    print("|---|---|---:|---:|---:|---:|")
    for net in arguments.nets.split(","):
        for start in STARTS:
            found.append(measured(net, start, arguments, seeds, rates))
            print(row(found[-1]), flush=True)
    (arguments.out / "pretraining.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    draw(found, arguments.out / "pretraining.svg")


if __name__ == "__main__":
    main()
