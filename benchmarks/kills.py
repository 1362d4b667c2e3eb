"""Kill a training with SIGKILL at random moments, go on each time, and compare its weights with an undisturbed run's.

    python benchmarks/kills.py RECIPE --data FOLDER [--kills N] [--steps N] [--lines N] [--set KEY=VALUE] [--json FILE]

Both runs are cut to so many steps, with a checkpoint every few, and with --lines to so many lines (of questions in
json: paragraphs) of each file. A moment is drawn evenly from the start of a process to three times a kill's share of
the undisturbed run. Prints each moment and what was found; exits 1 where a single bit differs.
"""

import argparse
import gzip
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from glassformer.training.recipe import Recipe


def command(recipe: str, data: str, out: Path, steps: int, changes: list[str]) -> list[str]:
    """One training as a process of its own."""
    settings = [
        f"training.max_steps={steps}",
        f"training.checkpoint_every={max(1, steps // 12)}",
        f"training.evaluate_every={max(1, steps // 3)}",
        *changes,
    ]
    words = [word for each in settings for word in ("--set", each)]
    return [sys.executable, "-m", "glassformer", "train", recipe, "--data", data, "--out", str(out), *words]


def run(words: list[str], seconds: float | None) -> bool:
    """Run to the end, or kill after so many seconds; whether it came to its end."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    if process.returncode:
        raise SystemExit(said)
    return True


def digest(out: Path, steps: int) -> str:
    """The bits of the last checkpoint's weights and moments."""
    folder = out / "checkpoints" / f"step-{steps}"
    return hashlib.sha256(
        b"".join((folder / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors"))
    ).hexdigest()


def cut(recipe: Recipe, data: Path, lines: int, out: Path) -> Path:
    """A folder of the recipe's files, the first lines of each."""
    for given in (recipe.data.train, recipe.data.dev, recipe.data.test):
        patterns = [given] if isinstance(given, str) else list(given or ())
        for path in (path for pattern in patterns for path in data.glob(pattern)):
            copy = out / path.relative_to(data)
            copy.parent.mkdir(parents=True, exist_ok=True)
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rt", encoding="utf-8") as source, opened(copy, "wt", encoding="utf-8") as target:
                json_file = ".json" in path.suffixes
                target.write(paragraphs(source.read(), lines) if json_file else "".join(islice(source, lines)))
    return out


def paragraphs(text: str, count: int) -> str:
    """SQuAD's json with the first paragraphs alone."""
    every = [paragraph for article in json.loads(text)["data"] for paragraph in article["paragraphs"]]
    return json.dumps({"data": [{"title": "", "paragraphs": every[:count]}]})


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--data", required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--lines", type=int)
    parser.add_argument("--set", dest="changes", action="append", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as place:
        whole, killed = Path(place, "whole"), Path(place, "killed")
        data = given.data
        if given.lines:
            data = str(cut(Recipe.read(given.recipe), Path(data), given.lines, Path(place, "data")))
        started = time.perf_counter()
        run(command(given.recipe, data, whole, given.steps, given.changes), None)
        seconds = time.perf_counter() - started
        moments: list[dict[str, object]] = []
        words = command(given.recipe, data, killed, given.steps, given.changes)
        while len(moments) < given.kills:
            resume = ["--resume"] if (killed / "recipe.toml").is_file() else []
            moment = chance.uniform(0.0, 3 * seconds / given.kills)
            if run(words + resume, moment):
                break
            kept = sorted(
                int(each.name.split("-")[1]) for each in (killed / "checkpoints").glob("step-*[0-9]")
            )
            moments.append({"after": round(moment, 2), "goes on from step": kept[-1] if kept else 0})
            print(f"killed after {moment:6.2f} s; goes on from step {kept[-1] if kept else 0}")
        resume = ["--resume"] if (killed / "recipe.toml").is_file() else []
        run(words + resume, None)
        same = digest(whole, given.steps) == digest(killed, given.steps)
    print(f"{len(moments)} kills in a run of {seconds:.1f} s: {'identical' if same else 'DIFFERENT'} weights")
    report = json.dumps(
        {"benchmark": "kills", "recipe": Path(given.recipe).name, "kills": moments, "identical": same}
    )
    print(report)
    if given.json:
        given.json.write_text(report + "\n", "utf-8")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
