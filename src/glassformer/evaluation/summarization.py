"""Summaries: how many of the reference's words and word pairs were found, and in its order: ROUGE (Lin 2004).

The figures are those of rouge-score, which the tests call: F1 in percent, averaged over the texts; of several
references the best one counts.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glassformer.data.examples import Pair
from glassformer.decoding.agreement import longest
from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.evaluation.bootstrap import SEED, Measured, Sums, share
from glassformer.evaluation.report import (
    Case,
    Part,
    Report,
    Told,
    asked,
    by_length,
    cut_note,
    grouped,
    grouped_by_source,
    searched,
    worst_of,
)
from glassformer.evaluation.score import Score, signature
from glassformer.evaluation.stemming import stem
from glassformer.model import Transformer
from glassformer.tasks.rewriting import Rewriting

Words = Sequence[str]
Triple = tuple[float, float, float]  # precision, recall, F1

FIGURES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
WORD = re.compile(r"[a-z0-9]+")
STEMMED_FROM = 4  # letters


def words(text: str, stemming: bool) -> list[str]:
    """Runs of a-z and 0-9 in lower case."""
    found = WORD.findall(text.lower())
    return [stem(word) if len(word) >= STEMMED_FROM else word for word in found] if stemming else found


def triple(matched: int, found: int, wanted: int) -> Triple:
    """Precision, recall and F1; of nothing they are 0."""
    if not matched:
        return 0.0, 0.0, 0.0
    precision, recall = matched / found, matched / wanted
    return precision, recall, 2 * precision * recall / (precision + recall)


def grams(given: Words, right: Words, size: int) -> Triple:
    """ROUGE-N: `size` words in a row that both have, each as often as both have it."""
    found, wanted = (
        Counter(zip(*(text[start:] for start in range(size)), strict=False)) for text in (given, right)
    )
    return triple((found & wanted).total(), found.total(), wanted.total())


def sequence(given: Words, right: Words) -> Triple:
    """ROUGE-L: the longest sequence of words that stands in both in the same order, with gaps."""
    return triple(longest(given, right), len(given), len(right))


def sentences(given: Sequence[Words], right: Sequence[Words]) -> Triple:
    """ROUGE-Lsum: of each reference sentence the words that any sentence's longest sequence shares with it.

    No word counts more often than it stands in either text.
    """
    if len(given) == len(right) == 1:
        return sequence(given[0], right[0])
    left = [Counter(word for text in side for word in text) for side in (given, right)]
    found, wanted, matched = left[0].total(), left[1].total(), 0
    for text in right:
        shared = sorted({place for one in given for place in places_shared(text, one)})
        for word in (text[place] for place in shared):
            if all(side[word] > 0 for side in left):
                matched += 1
                for side in left:
                    side[word] -= 1
    return triple(matched, found, wanted)


def places_shared(right: Words, given: Words) -> list[int]:
    """Which words of `right` are its longest sequence shared with `given`; of several the one rouge-score takes."""
    table = [[0] * (len(given) + 1)]
    for word in right:
        above, row = table[-1], [0]
        for place, other in enumerate(given):
            row.append(above[place] + 1 if word == other else max(above[place + 1], row[place]))
        table.append(row)
    found, i, j = [], len(right), len(given)
    while i and j:
        if right[i - 1] == given[j - 1]:
            i, j = i - 1, j - 1
            found.append(i)
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return found


def rouge(given: str, right: str, *, stemming: bool = False) -> dict[str, Triple]:
    """Every kind of ROUGE of one text against one reference; for Lsum a line is a sentence."""
    found, wanted = words(given, stemming), words(right, stemming)
    lines = [[words(line, stemming) for line in text.split("\n") if line] for text in (given, right)]
    kinds: Mapping[str, Callable[[], Triple]] = {
        "rouge1": lambda: grams(found, wanted, 1),
        "rouge2": lambda: grams(found, wanted, 2),
        "rougeL": lambda: sequence(found, wanted),
        "rougeLsum": lambda: sentences(*lines),
    }
    return {name: kind() for name, kind in kinds.items()}


def best(given: str, references: Sequence[str], *, stemming: bool = False) -> dict[str, Triple]:
    """The same against several references: of each kind the one with the highest F1."""
    all_of_them = [rouge(given, reference, stemming=stemming) for reference in references]
    return {name: max((each[name] for each in all_of_them), key=lambda found: found[2]) for name in FIGURES}


def measured(
    given: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]], *, stemming: bool = False
) -> Measured:
    """Of summaries and the reference or references of each."""
    if len(given) != len(references):
        raise InputError(f"{len(given)} summaries came with {len(references)} references; give one for each")
    rows = [[row] if isinstance(row, str) else list(row) for row in references]
    if not all(rows):
        raise InputError(f"summary {rows.index([]) + 1} has no reference; give at least one")
    found = [best(*pair, stemming=stemming) for pair in zip(given, rows, strict=True)]
    statistics = {name: np.array([each[name][2] for each in found]) for name in FIGURES}
    return Measured({**statistics, "examples": np.ones(len(given))}, measure)


def measure(sums: Sums) -> Sums:
    """Means over the texts."""
    return {name: share(sums[name], sums["examples"]) for name in FIGURES}


def score(
    given: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    stemming: bool = False,
    bootstrap: int = 0,
    seed: int = SEED,
) -> dict[str, Score]:
    """The figures of summaries and the reference or references of each; published figures differ in `stemming`."""
    found = measured(given, references, stemming=stemming)
    return found.scores(FIGURES, signed(references, stemming), bootstrap=bootstrap, seed=seed)


def signed(references: Sequence[str] | Sequence[Sequence[str]], stemming: bool) -> str:
    """How the words were compared."""
    counts = {1 if isinstance(row, str) else len(row) for row in references}
    return signature(nrefs=min(counts) if len(counts) == 1 else "var", figure="f1", stemmer=stemming)


@dataclass(frozen=True)
class Judged:
    """A model's summaries of texts that were each read once, whatever the number of their references."""

    sources: Sequence[str]
    references: Sequence[Sequence[str]]
    given: Sequence[str]
    measured: Measured
    stemming: bool


def judged(
    task: Rewriting,
    model: Transformer,
    pairs: Sequence[Pair],
    decoding: Decoding | None = None,
    *,
    stemming: bool = False,
    told: Told | None = None,
) -> Judged:
    """Have the model write all summaries; the end of a text that is longer than the model is not read."""
    sources, references = grouped_by_source([pair.source for pair in pairs], [pair.target for pair in pairs])
    answers = asked(
        sources,
        [len(text) for text in sources],
        lambda lot: task.rewrite(model, lot, decoding, truncate=True),
        told,
    )
    given = [answer.text for answer in answers]
    found = measured(given, references, stemming=stemming)
    return Judged(sources, references, given, found, stemming)


def evaluate(
    task: Rewriting,
    model: Transformer,
    pairs: Sequence[Pair],
    decoding: Decoding | None = None,
    *,
    stemming: bool = False,
    told: Told | None = None,
) -> dict[str, float]:
    """{"rouge1": ..., "rouge2": ..., ...}: by these a training chooses its best weights.

    A text on several lines is summarized once and compared with all its references.
    """
    return judged(task, model, pairs, decoding, stemming=stemming, told=told).measured.values()


def report(
    task: Rewriting,
    model: Transformer,
    pairs: Sequence[Pair],
    decoding: Decoding | None = None,
    *,
    stemming: bool = False,
    bootstrap: int = 0,
    seed: int = SEED,
    told: Told | None = None,
) -> Report:
    """Everything that can be said about a model's summaries."""
    found = judged(task, model, pairs, decoding, stemming=stemming, told=told)
    by_source = by_length([len(text.split()) for text in found.sources])
    by_summary = by_length([len(text.split()) for text in found.given])
    return Report(
        task="summarization",
        scores=found.measured.scores(
            FIGURES, signed(found.references, stemming), bootstrap=bootstrap, seed=seed
        ),
        counts={"texts": len(found.sources), "references": sum(map(len, found.references))},
        settings={**searched(decoding or task.decoding), "stemmer": stemming},
        notes=cut_note(
            [len(ids) for ids in task.source_tokenizer.ids([task.prefix + text for text in found.sources])],
            model.config.limit,
        ),
        groupings=(
            grouped("words of the text", *by_source, found.measured, FIGURES[:3]),
            grouped("words of the summary given", *by_summary, found.measured, FIGURES[:3]),
        ),
        worst=tuple(case(found, number) for number in worst_of(1 - found.measured.statistics["rougeL"])),
        given=tuple(found.given),
    )


def case(found: Judged, number: int) -> Case:
    """A text, its references, and the summary given."""
    figures = {name: 100 * float(found.measured.statistics[name][number]) for name in FIGURES[:3]}
    return Case(
        number=number + 1,
        figures=figures,
        parts=(
            *(Part(name="wanted", text=text) for text in found.references[number]),
            Part(name="given", text=found.given[number]),
            Part(name="text", text=found.sources[number]),
        ),
    )
