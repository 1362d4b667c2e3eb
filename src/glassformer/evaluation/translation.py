"""BLEU and chrF of translations, by sacrebleu, each with the signature that lets others repeat it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from glassformer.data.examples import Pair
from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.tasks.translation import Translation

Columns = list[list[str | None]]


@dataclass(frozen=True, kw_only=True)
class Score:
    """One figure, and how it was computed."""

    name: str
    value: float
    signature: str
    mean: float | None = None  # over bootstrap resamples of the sentences
    interval: float | None = None  # 95 % of the resamples lie within mean - interval and mean + interval

    def __str__(self) -> str:
        spread = "" if self.interval is None else f" (95 %: {self.mean:.2f} ± {self.interval:.2f})"
        return f"{self.name} {self.value:.2f}{spread} [{self.signature}]"


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
    metrics = {"bleu": BLEU(lowercase=lowercase, tokenize=tokenize), "chrf": CHRF(lowercase=lowercase)}
    return {name: _measured(metric, hypotheses, columns, bootstrap) for name, metric in metrics.items()}


def grouped(sources: Sequence[str], references: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """A source on several lines has several references: every source once, in order of appearance."""
    if len(sources) != len(references):
        raise InputError(f"{len(sources)} sources came with {len(references)} references; give one for each")
    groups: dict[str, list[str]] = {}
    for source, reference in zip(sources, references, strict=True):
        known = groups.setdefault(source, [])
        if reference not in known:
            known.append(reference)
    return list(groups), list(groups.values())


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
    result = metric.corpus_score(list(hypotheses), columns, n_bootstrap=max(bootstrap, 1))
    resampled = bootstrap > 1
    return Score(
        name=result.name,
        value=float(result.score),
        signature=str(metric.get_signature()),
        mean=float(result._mean) if resampled else None,
        interval=float(result._ci) if resampled else None,
    )


def evaluate(
    translation: Translation,
    model: Transformer,
    pairs: Sequence[Pair],
    decoding: Decoding,
    *,
    lowercase: bool = False,
    tokens: int = 8192,
) -> dict[str, float]:
    """{"bleu": ..., "chrf": ...} of a model's translations: by these a training chooses its best weights.

    A source on several lines is translated once and compared with all its references.
    """
    sources, references = grouped([pair.source for pair in pairs], [pair.target for pair in pairs])
    answers = translation.translate(model, sources, decoding, tokens=tokens)
    scores = score([answer.text for answer in answers], references, lowercase=lowercase)
    return {name: each.value for name, each in scores.items()}
