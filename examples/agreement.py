"""Who tells a French verb how many? Subject and verb in the translator that ships.

English "had" is the same for one friend and for many; French chooses between "avait" and "avaient". Where does the
translator keep the number of the subject, and by which way does it reach the verb: from the English noun, or from the
French words that are written already? Parts of the plural's run are put into the singular's, one at a time.

    python examples/agreement.py --out pictures
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

import glassformer as gf
from glassformer import inspection
from glassformer.inspection.labelled import Labelled
from glassformer.tasks.model import Model

PLURAL, SINGULAR = "My friends had a big house.", "My friend had a big house."
WRITTEN = {PLURAL: "Mes amis", SINGULAR: "Mon ami"}  # what stands before the verb
VERBS = {"target": "avaient", "against": "avait"}


def sweeps(model: Model) -> dict[str, tuple[str, Labelled]]:
    """Each picture's name, what it asks, and what was found."""
    plural, singular = WRITTEN[PLURAL], WRITTEN[SINGULAR]
    return {
        "agreement-source": (
            "Only the English differs: which of its rows hold the number of the subject?",
            inspection.patching(model, PLURAL, SINGULAR, written=singular, **VERBS),
        ),
        "agreement-written": (
            "English and French differ: which rows of the decoder bring the plural back?",
            inspection.patching(
                model, PLURAL, SINGULAR, written=plural, corrupt_written=singular, side="decoder", **VERBS
            ),
        ),
        "agreement-heads": (
            "English and French differ: which heads of the decoder read the number off the French words?",
            inspection.patching(
                model, PLURAL, SINGULAR, written=plural, corrupt_written=singular, side="decoder", over="heads", **VERBS
            ),
        ),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what is found and write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tatoeba-en-fr", help="a translator from English to French")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder for the pictures")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = gf.load(asked.model)
    asked.out.mkdir(parents=True, exist_ok=True)
    for text in (PLURAL, SINGULAR):
        found = inspection.direct(model, text, written=WRITTEN[text], **VERBS)
        print(f"{text}  {WRITTEN[text]} ...  {found.number:+.3f} for avaient over avait")
    for name, (question, found) in sweeps(model).items():
        print(f"\n{question}\n{found}")
        found.plot(str(asked.out / f"{name}.png"), title=question)
    words = inspection.attribute(model, PLURAL, written=WRITTEN[PLURAL], baseline="<eos>", **VERBS)
    print(f"\n{words}")
    words.plot(str(asked.out / "agreement-words.png"))


if __name__ == "__main__":
    main()
