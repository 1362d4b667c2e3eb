"""When Mary and John went to the store, John gave a drink to ... : how a GPT-2 finds the indirect object.

After Wang et al. 2023. The right name is the one that was said once. First it is asked whether the model finds it at
all. In the corrupt text the other name is repeated, so that the answer turns. Parts of the clean run are put into the
corrupt one: what each layer hands on at each position; each head; and each head by its direct way to the answer alone,
all other heads held as they were. Of the heads that write the name directly it is told where they look. Any checkpoint
folder (or name on the hub) of a GPT-2 will do, and of any other model that goes on with texts (Llama, GPT-NeoX ...):

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
from glassformer.tasks.generation import Generation
from glassformer.tasks.model import Model

TEMPLATES = (
    "When {a} and {b} went to the store, {s} gave a drink to",
    "When {a} and {b} got a letter at the school, {s} decided to give it to",
    "Then, {a} and {b} were working at the house. {s} gave a book to",
)
NAMES = ("Mary", "John", "Tom", "James", "Dan", "Sarah", "Anna", "Paul")
FEW = 6  # heads that are told of


def names_of(model: Model) -> list[str]:
    """Those names that are a single token behind each of the texts."""
    begun = [template.format(a="", b="", s="") for template in TEMPLATES]
    found = [name for name in NAMES if all(is_one_token(model, text, name) for text in begun)]
    if len(found) < 2:
        raise InputError("this model's vocabulary has fewer than two of the names; use a GPT-2's")
    return found


def is_one_token(model: Model, text: str, name: str) -> bool:
    """Whether a text goes on with this name by one token more."""
    without, whole = model.tokenizer.ids([text, f"{text} {name}"], special=False)
    return whole[:-1] == without


def found_by(model: Model, asked: Sequence[tuple[str, str, str, str]]) -> list[float]:
    """By how much the right name is above the other, prompt by prompt."""
    return [inspection.direct(model, clean, target=right, against=other).number for clean, _, right, other in asked]


def verdict(numbers: Sequence[float]) -> str:
    """Whether the model does what is to be explained."""
    hits = sum(number > 0 for number in numbers)
    said = f"the right name is likelier in {hits} of {len(numbers)} prompts, by {np.mean(numbers):+.3f} in the mean"
    if hits > len(numbers) / 2 and np.mean(numbers) > 0:
        return said
    return f"{said}: this model does not find it, and what follows says only what it computes instead"


def looks(model: Model, asked: Sequence[tuple[str, str, str, str]], layer: str, head: str) -> dict[str, float]:
    """How much of a head's attention, at the last position, goes to the right name and to both places of the other."""
    step = f"decoder.layers.{layer}.self_attention.weights"
    sums = {"right": 0.0, "other": 0.0}
    for clean, _, right, other in asked:
        trace = model.trace(clean, keep=step, max_new_tokens=1)
        row = trace[step].value[0, int(head), -1]
        plain = [token.lstrip("Ġ▁ ") for token in trace.tokens["decoder"][0]]
        for called, name in (("right", right), ("other", other)):
            places = [place for place, token in enumerate(plain) if token == name.strip()]
            sums[called] += float(row[places].sum())
    return {called: total / len(asked) for called, total in sums.items()}


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
    if not isinstance(model.task, Generation):
        raise InputError(f"{given.model} does not go on with texts; give a GPT-2 or another writer")
    given.out.mkdir(parents=True, exist_ok=True)
    asked = prompts(model, given.prompts)
    numbers = found_by(model, asked)
    for (clean, _, right, other), number in zip(asked, numbers, strict=True):
        print(f"{clean} ...  {number:+.3f} for{right} over{other}")
    print(verdict(numbers))
    clean, corrupt, right, other = asked[0]
    found = {
        "positions": inspection.patching(model, clean, corrupt, target=right, against=other),
        "heads": mean_over(model, asked, direct=False),
        "paths": mean_over(model, asked, direct=True),
    }
    for name, each in found.items():
        print(f"\n{each.measure}")
        for labels, share in each.strongest(FEW):
            where = ", ".join(f"{axis} {label}" for axis, label in zip(each.axes, labels, strict=True))
            print(f"  {share:+.3f}  {where}")
        each.plot(str(given.out / f"indirect-object-{name}.png"))
    print("\nwhere the last position looks, in the heads that write the name most directly")
    for (layer, head), share in found["paths"].strongest(FEW):
        to = looks(model, asked, layer, head)
        print(f"  {share:+.3f}  layer {layer}, head {head}: right name {to['right']:.1%}, other {to['other']:.1%}")


if __name__ == "__main__":
    main()
