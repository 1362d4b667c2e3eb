"""When Mary and John went to the store, John gave a drink to ... : how a GPT-2 finds the indirect object.

After Wang et al. 2023. The right name is the one that was said once. In the corrupt text the other name is repeated, so
that the answer turns. Parts of the clean run are put into the corrupt one: what each layer hands on at each position;
each head; and each head by its direct way to the answer alone, all other heads held as they were. Any checkpoint folder
(or name on the hub) of a GPT-2 will do:

    python examples/indirect_object.py --model FOLDER --out pictures
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import glassformer as gf
from glassformer import inspection
from glassformer.errors import InputError
from glassformer.inspection.labelled import Labelled
from glassformer.tasks.model import Model

TEMPLATES = (
    "When {a} and {b} went to the store, {s} gave a drink to",
    "When {a} and {b} got a letter at the school, {s} decided to give it to",
    "Then, {a} and {b} were working at the house. {s} gave a book to",
)
NAMES = ("Mary", "John", "Tom", "James", "Dan", "Sarah", "Anna", "Paul")


def names_of(model: Model) -> list[str]:
    """Those names that are a single token of this model, with their space."""
    found = [name for name in NAMES if len(model.tokenizer.ids([f" {name}"], special=False)[0]) == 1]
    if len(found) < 2:
        raise InputError("this model's vocabulary has fewer than two of the names; use a GPT-2's")
    return found


def prompts(model: Model, count: int) -> list[tuple[str, str, str, str]]:
    """Clean text, corrupt text, the right name of the clean one, that of the other."""
    names, made = names_of(model), []
    for number in range(count):
        template = TEMPLATES[number % len(TEMPLATES)]
        right, other = names[number % len(names)], names[(number + 1) % len(names)]
        first, second = (right, other) if number % 2 else (other, right)
        clean, corrupt = (template.format(a=first, b=second, s=said) for said in (other, right))
        made.append((clean, corrupt, f" {right}", f" {other}"))
    return made


def mean_over(model: Model, asked: Sequence[tuple[str, str, str, str]], direct: bool) -> Labelled:
    """The mean over prompts of what each head brings back."""
    found = [
        inspection.patching(model, clean, corrupt, over="heads", direct=direct, target=right, against=other)
        for clean, corrupt, right, other in asked
    ]
    way = "by its direct way" if direct else "by all ways"
    return replace(
        found[0],
        values=np.mean([each.values for each in found], axis=0),
        measure=f"share of the right name that each head brings back {way}, {len(found)} prompts",
        facts={},
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what is found and write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True, help="a checkpoint folder of a GPT-2, or its name on the hub")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder for the pictures")
    parser.add_argument("--prompts", type=int, default=6, help="how many texts the heads' means are over")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = gf.load(given.model)
    given.out.mkdir(parents=True, exist_ok=True)
    asked = prompts(model, given.prompts)
    for clean, _, right, other in asked:
        number = inspection.direct(model, clean, target=right, against=other).number
        print(f"{clean} ...  {number:+.3f} for{right} over{other}")
    clean, corrupt, right, other = asked[0]
    found = {
        "positions": inspection.patching(model, clean, corrupt, target=right, against=other),
        "heads": mean_over(model, asked, direct=False),
        "paths": mean_over(model, asked, direct=True),
    }
    for name, each in found.items():
        print(f"\n{each.measure}")
        for labels, share in each.strongest(6):
            where = ", ".join(f"{axis} {label}" for axis, label in zip(each.axes, labels, strict=True))
            print(f"  {share:+.3f}  {where}")
        each.plot(str(given.out / f"indirect-object-{name}.png"))


if __name__ == "__main__":
    main()
