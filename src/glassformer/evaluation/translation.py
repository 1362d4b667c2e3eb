"""BLEU and chrF of translations, by sacrebleu, each with the signature that lets others repeat it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from glassformer.data.examples import Pair
from glassformer.decoding.options import Decoding
from glassformer.decoding.shortlist import Shortlist
from glassformer.errors import InputError
from glassformer.evaluation.bootstrap import SEED, draws, interval
from glassformer.evaluation.report import (
    Case,
    Group,
    Grouping,
    Part,
    Report,
    Told,
    by_length,
    cut_note,
    grouped_by_source,
    searched,
    worst_of,
)
from glassformer.evaluation.score import FIGURES, Score
from glassformer.model import Transformer
from glassformer.tasks.translation import Translation

ONE = "_one_reference"  # ends the names of figures line by line
Columns = list[list[str | None]]


def score(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    lowercase: bool = False,
    bootstrap: int = 0,
    tokenize: str = "13a",
) -> dict[str, Score]:
    """{"bleu": ..., "chrf": ...} of each sentence's hypothesis against its reference or references.

    Sentences may differ in how many references they have. `bootstrap` resamples give a confidence interval
    (Koehn 2004). BLEU: Papineni et al. 2002; chrF: Popović 2015; signatures: Post 2018.
    """
    columns = _columns(hypotheses, references)
    metrics = metrics_of(lowercase=lowercase, tokenize=tokenize)
    return {name: _measured(metric, hypotheses, columns, bootstrap) for name, metric in metrics.items()}


def metrics_of(*, lowercase: bool = False, tokenize: str = "13a") -> dict[str, Any]:
    """BLEU and chrF as sacrebleu has them."""
    return {"bleu": BLEU(lowercase=lowercase, tokenize=tokenize), "chrf": CHRF(lowercase=lowercase)}


def _columns(hypotheses: Sequence[str], references: Sequence[str] | Sequence[Sequence[str]]) -> Columns:
    """References by sentence become sacrebleu's: a list of all first references, of all second, ..."""
    if not hypotheses:
        raise InputError("there are no translations to score; give at least one")
    if len(hypotheses) != len(references):
        raise InputError(
            f"{len(hypotheses)} translations came with {len(references)} references; give one for each"
        )
    rows = [[row] if isinstance(row, str) else list(row) for row in references]
    if not all(rows):
        raise InputError(f"translation {rows.index([]) + 1} has no reference; give at least one")
    most = max(map(len, rows))
    return [[row[number] if number < len(row) else None for row in rows] for number in range(most)]


def _measured(metric: Any, hypotheses: Sequence[str], columns: Columns, bootstrap: int) -> Score:
    """One figure, on the resamples that sacrebleu would draw: it holds all of them in memory, `draws` a few."""
    statistics = np.array(metric._extract_corpus_statistics(list(hypotheses), columns))
    result = metric._compute_score_from_stats(statistics.sum(0).tolist())
    known: dict[str, Any] = {}
    if bootstrap > 1:
        metric.n_bootstrap, metric.seed = bootstrap, str(SEED)  # its signature says so
        sums = (row for drawn in draws(len(statistics), bootstrap) for row in drawn @ statistics)
        known = interval(np.array([metric._compute_score_from_stats(each.tolist()).score for each in sums]))
    return Score(name=result.name, value=float(result.score), signature=str(metric.get_signature()), **known)


@dataclass(frozen=True)
class Judged:
    """A model's translations of sources that were each read once, whatever the number of their references."""

    sources: Sequence[str]
    references: Sequence[Sequence[str]]
    given: Sequence[str]


def judged(
    task: Translation,
    model: Transformer,
    pairs: Sequence[Pair],
    decoding: Decoding | None = None,
    *,
    shortlist: Shortlist | None = None,
    tokens: int = 8192,
    told: Told | None = None,
) -> Judged:
    """Have the model translate all sources."""
    sources, references = grouped_by_source([pair.source for pair in pairs], [pair.target for pair in pairs])
    found: dict[int, str] = {}
    for number, answer in task.each(
        model, sources, decoding, tokens=tokens, truncate=True, shortlist=shortlist
    ):
        found[number] = answer.text
        if told is not None:
            told(1)
    return Judged(sources, references, [found[number] for number in range(len(sources))])


def evaluate(
    task: Translation,
    model: Transformer,
    pairs: Sequence[Pair],
    decoding: Decoding | None = None,
    *,
    lowercase: bool = False,
    tokens: int = 8192,
    told: Told | None = None,
) -> dict[str, float]:
    """{"bleu": ..., "chrf": ...} of a model's translations: by these a training chooses its best weights.

    A source on several lines is translated once and compared with all its references.
    """
    found = judged(task, model, pairs, decoding, tokens=tokens, told=told)
    return {
        name: each.value for name, each in score(found.given, found.references, lowercase=lowercase).items()
    }


def report(
    task: Translation,
    model: Transformer,
    pairs: Sequence[Pair],
    decoding: Decoding | None = None,
    *,
    lowercase: bool = False,
    shortlist: Shortlist | None = None,
    bootstrap: int = 0,
    told: Told | None = None,
) -> Report:
    """Everything that can be said about a model's translations.

    Where some sources have several references, the figures line by line stand beside those with all of them.
    """
    found = judged(task, model, pairs, decoding, shortlist=shortlist, told=told)
    scores = score(found.given, found.references, lowercase=lowercase, bootstrap=bootstrap)
    if len(found.sources) < len(pairs):
        scores |= line_by_line(found, pairs, lowercase, bootstrap)
    each = metrics_of(lowercase=lowercase)["chrf"]
    likeness = [
        each.sentence_score(given, list(references)).score
        for given, references in zip(found.given, found.references, strict=True)
    ]
    return Report(
        task="translation",
        scores=scores,
        counts={"sentences": len(found.sources), "references": len(pairs)},
        settings={
            **searched(decoding or task.decoding),
            "lowercase": lowercase,
            **({} if shortlist is None else {"shortlist": repr(shortlist)}),
        },
        notes=cut_note(
            [len(ids) for ids in task.source_tokenizer.ids([task.prefix + text for text in found.sources])],
            model.config.limit,
        ),
        groupings=(of_lengths(found, lowercase),),
        worst=tuple(
            case(found, number, likeness[number]) for number in worst_of([100 - each for each in likeness])
        ),
        given=tuple(found.given),
    )


def line_by_line(found: Judged, pairs: Sequence[Pair], lowercase: bool, bootstrap: int) -> dict[str, Score]:
    """Each line's reference by itself, under names of its own."""
    given = dict(zip(found.sources, found.given, strict=True))
    scores = score(
        [given[pair.source] for pair in pairs],
        [pair.target for pair in pairs],
        lowercase=lowercase,
        bootstrap=bootstrap,
    )
    return {f"{key}{ONE}": replace(each, name=FIGURES[f"{key}{ONE}"].name) for key, each in scores.items()}


def of_lengths(found: Judged, lowercase: bool) -> Grouping:
    """The figures of sources of like length."""
    names, numbers = by_length([len(source.split()) for source in found.sources])
    groups = []
    for row, name in enumerate(names):
        members = np.flatnonzero(numbers == row).tolist()
        scores = score(
            [found.given[number] for number in members],
            [found.references[number] for number in members],
            lowercase=lowercase,
        )
        figures = {key: each.value for key, each in scores.items()}
        groups.append(Group(name=name, examples=len(members), figures=figures))
    return Grouping(title="words of the source", groups=tuple(groups))


def case(found: Judged, number: int, likeness: float) -> Case:
    """A source, its references, and the translation given."""
    return Case(
        number=number + 1,
        figures={"chrf": likeness},
        parts=(
            Part(name="source", text=found.sources[number]),
            *(Part(name="wanted", text=text) for text in found.references[number]),
            Part(name="given", text=found.given[number]),
        ),
    )
