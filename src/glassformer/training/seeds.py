"""One recipe with several seeds: how far chance alone moves the figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from glassformer.errors import InputError
from glassformer.evaluation.score import Spread, spreads
from glassformer.pretrained import write_json
from glassformer.training.recipe import Recipe
from glassformer.training.run_folder import RunFolder

SUMMARY = "seeds.json"


def with_seeds(recipe: Recipe, seeds: Sequence[int], out: Path | str) -> Iterator[tuple[Recipe, Path]]:
    """The recipe with each seed, and the folder of its run."""
    if len(set(seeds)) < len(seeds):
        raise InputError(f"the seeds {', '.join(map(str, seeds))} name one twice; name each once")
    for seed in seeds:
        yield replace(recipe, seed=seed), Path(out) / f"seed-{seed}"


def final_figures(run: Path) -> Mapping[str, float]:
    """What a finished run came to: the test files' figures, or else those of its best evaluation."""
    records = RunFolder(run, tensorboard=False).records()
    tests = [each["metrics"] for each in records if each["kind"] == "test"]
    best = [each["metrics"] for each in records if each.get("best") and each.get("metrics")]
    if not tests and not best:
        raise InputError(f"{run} holds no figures; name dev or test files in the recipe's [data]")
    figures: dict[str, float] = (tests or best)[-1]
    return figures


def summarized(runs: Mapping[int, Path], out: Path | str) -> dict[str, Spread]:
    """Mean and standard deviation of each figure over the runs, written beside them."""
    figures = {seed: final_figures(run) for seed, run in runs.items()}
    found = spreads(list(figures.values()))
    write_json(
        Path(out) / SUMMARY,
        {
            "figures": {name: asdict(each) for name, each in found.items()},
            "seeds": {str(seed): dict(each) for seed, each in figures.items()},
        },
    )
    return found
