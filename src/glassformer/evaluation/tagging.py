"""Named entities: an entity counts if its words and its type are exactly right (Tjong Kim Sang and De Meulder 2003).

The figures are those of seqeval: in a valid scheme its strict mode, where a tag that may not stand where it stands
makes no entity; of tags in no such scheme its default mode, which is the shared task's own script.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from glassformer.data.examples import TaggedSentence
from glassformer.errors import InputError
from glassformer.evaluation.bootstrap import SEED, Measured, Sums, mean_where, precision_recall_f1, share
from glassformer.evaluation.report import (
    Case,
    Mark,
    Part,
    Report,
    Told,
    asked,
    by_length,
    grouped,
    labelled,
    worst_of,
)
from glassformer.evaluation.score import Score, signature
from glassformer.model import Transformer
from glassformer.tasks.tagging import Tagging

Scheme = Literal["IOB2", "BIOES", "BILOU", "conll"]
Entity = tuple[str, int, int]  # type, first word, the word after the last
Sentence = Sequence[str]  # the tags of a sentence

FIGURES = ("f1", "precision", "recall", "macro_f1", "token_accuracy")
UNTYPED = frozenset("OBIESLUM")  # tags that say where an entity begins and ends, not what it is
LETTERS = {"BIOES": ("B", "I", "E", "S"), "BILOU": ("B", "I", "L", "U")}  # begins, goes on, ends, is alone


def entities(tags: Sentence, scheme: Scheme) -> list[Entity]:
    """The entities that a sentence's tags say."""
    if scheme == "conll":
        return list(_by_change(tags))
    return list(_iob2(tags) if scheme == "IOB2" else _closed(tags, *LETTERS[scheme]))


def scheme_of(sentences: Iterable[Sentence]) -> Scheme:
    """The scheme in which these tags are valid; `conll` if they are in none of those that seqeval is strict about."""
    sentences = list(sentences)
    letters = {tag[:1] for tags in sentences for tag in tags}
    if letters & set("LU"):
        return "BILOU"
    if letters & set("ES"):
        return "BIOES"
    valid = all(
        _stands(before, tag) for tags in sentences for before, tag in zip(("O", *tags), tags, strict=False)
    )
    return "IOB2" if valid else "conll"


def _stands(before: str, tag: str) -> bool:
    """Whether in IOB2 a tag may follow another."""
    return not tag.startswith("I") or (before[:1] in ("B", "I") and before[1:] == tag[1:])


def _iob2(tags: Sentence) -> Iterable[Entity]:
    """B-X, then any number of I-X."""
    place = 0
    while place < len(tags):
        start, kind = place, tags[place][1:]
        place += 1
        if tags[start][:1] == "B":
            while place < len(tags) and tags[place] == f"I{kind}":
                place += 1
            yield _type(kind), start, place


def _closed(tags: Sentence, begins: str, inside: str, ends: str, alone: str) -> Iterable[Entity]:
    """B-X, any number of I-X, E-X; or S-X."""
    place = 0
    while place < len(tags):
        start, kind = place, tags[place][1:]
        place += 1
        if tags[start][:1] == alone:
            yield _type(kind), start, place
        elif tags[start][:1] == begins:
            while place < len(tags) and tags[place] == inside + kind:
                place += 1
            if place < len(tags) and tags[place] == ends + kind:
                place += 1
                yield _type(kind), start, place


def _by_change(tags: Sentence) -> Iterable[Entity]:
    """An entity begins where B or S says so, and wherever type or shape change; it ends likewise."""
    start, before = 0, "O"
    for place, tag in enumerate([*tags, "O"]):
        same = _type(before[1:]) == _type(tag[1:])
        old, new = before[:1], tag[:1]
        if old != "O" and (old in "ES" or new in "BSO" or not same):
            yield _type(before[1:]), start, place
        if new != "O" and (new in "BS" or old in "ESO" or not same):
            start = place
        before = tag


def _type(after_letter: str) -> str:
    return after_letter.removeprefix("-") or "_"


def measured(wanted: Sequence[Sentence], given: Sequence[Sentence], scheme: Scheme | None = None) -> Measured:
    """Of sentences with the tags wanted and the tags given; the columns of `matched`, ... are `types_of` them."""
    for number, (right, found) in enumerate(zip(wanted, given, strict=True), start=1):
        if len(right) != len(found):
            raise InputError(
                f"sentence {number} has {len(right)} words, but {len(found)} tags were given; give one a word"
            )
    scheme = scheme or scheme_of(wanted)
    kinds = {kind: number for number, kind in enumerate(types_of(wanted, given, scheme))}
    counts = {name: np.zeros((len(wanted), len(kinds))) for name in ("matched", "found", "wanted")}
    for number, (right, found) in enumerate(zip(wanted, given, strict=True)):
        sets = {"wanted": set(entities(right, scheme)), "found": set(entities(found, scheme))}
        for name, each in (*sets.items(), ("matched", sets["wanted"] & sets["found"])):
            for kind, _, _ in each:
                counts[name][number, kinds[kind]] += 1
    hits = [sum(map(str.__eq__, *pair)) for pair in zip(wanted, given, strict=True)]
    words = np.array([len(tags) for tags in wanted], dtype=np.float64)
    return Measured({**counts, "words": words, "hits": np.array(hits, dtype=np.float64)}, measure)


def types_of(wanted: Sequence[Sentence], given: Sequence[Sentence], scheme: Scheme) -> list[str]:
    """The types of the entities that are wanted or given, sorted."""
    return sorted({kind for tags in (*wanted, *given) for kind, _, _ in entities(tags, scheme)})


def measure(sums: Sums) -> Sums:
    """Over all entities together, of each type, and the mean of the types."""
    counts = [sums[name] for name in ("matched", "found", "wanted")]
    kinds = precision_recall_f1(*counts)
    return {
        **precision_recall_f1(*(each.sum(-1) for each in counts)),
        "macro_f1": mean_where(kinds["f1"], sums["found"] + sums["wanted"] > 0),
        "token_accuracy": share(sums["hits"], sums["words"]),
        **{f"label_{name}": values for name, values in kinds.items()},
    }


def score(
    wanted: Sequence[Sentence],
    given: Sequence[Sentence],
    *,
    scheme: Scheme | None = None,
    bootstrap: int = 0,
    seed: int = SEED,
) -> dict[str, Score]:
    """The figures of sentences with the tags wanted and the tags given, one for each word."""
    scheme = scheme or scheme_of(wanted)
    found = measured(wanted, given, scheme)
    return found.scores(FIGURES, signed(scheme), bootstrap=bootstrap, seed=seed)


def signed(scheme: Scheme) -> str:
    """How entities are read off tags."""
    return signature(scheme=scheme, mode="default" if scheme == "conll" else "strict")


def tags_of(
    task: Tagging, model: Transformer, sentences: Sequence[TaggedSentence], told: Told | None = None
) -> list[list[str]]:
    """The tag that the model gives each word, in IOB2 where its labels say where entities begin.

    What is beyond its positions is read in another window.
    """
    known = {task.scheme.read(label)[1] for label in task.labels}
    for sentence in sentences:
        for tag in sentence.tags:
            if tag != "O" and known.isdisjoint((task.scheme.read(tag)[1], _type(tag[1:]))):
                raise InputError(
                    f"the data has the tag {tag!r}, but the model knows {', '.join(task.labels)}; "
                    "rename the tags of the data, or use a model that was trained on such"
                )
    given = asked(
        sentences,
        [len(sentence.words) for sentence in sentences],
        lambda lot: task.words(model, [sentence.words for sentence in lot]),
        told,
    )
    plain = {label[:2] for label in task.labels if label != "O"} == {"B-", "I-"}
    return given if plain or not task.scheme.marked else [marked(task, tags) for tags in given]


def marked(task: Tagging, tags: Sentence) -> list[str]:
    """A sentence's tags in IOB2, as the model's own labels mean them."""
    return in_iob2(task.scheme.spans(tags), len(tags))


def comparable(task: Tagging, sentences: Sequence[Sentence]) -> list[Sentence]:
    """Tags of which entities can be read: labels that are kinds of words (NOUN) as the model itself reads them."""
    own = {tag for tags in sentences for tag in tags} <= set(task.labels)
    if task.scheme.marked or UNTYPED.issuperset(task.labels) or not own:
        return list(sentences)
    return [marked(task, tags) for tags in sentences]


def in_iob2(spans: Iterable[Entity], words: int) -> list[str]:
    """The tags of a sentence with these entities."""
    tags = ["O"] * words
    for kind, first, behind in spans:
        tags[first:behind] = [f"B-{kind}", *[f"I-{kind}"] * (behind - first - 1)]
    return tags


def evaluate(
    task: Tagging, model: Transformer, sentences: Sequence[TaggedSentence], *, told: Told | None = None
) -> dict[str, float]:
    """{"f1": ..., "precision": ..., ...}: by these a training chooses its best weights."""
    given = comparable(task, tags_of(task, model, sentences, told))
    values = measured(comparable(task, [sentence.tags for sentence in sentences]), given).values()
    return {name: values[name] for name in FIGURES}


def report(
    task: Tagging,
    model: Transformer,
    sentences: Sequence[TaggedSentence],
    *,
    bootstrap: int = 0,
    seed: int = SEED,
    told: Told | None = None,
) -> Report:
    """Everything that can be said about a model's entities."""
    tags = tags_of(task, model, sentences, told)
    given, wanted = comparable(task, tags), comparable(task, [sentence.tags for sentence in sentences])
    scheme = scheme_of(wanted)
    found = measured(wanted, given, scheme)
    resampled = found.resampled(bootstrap, seed)
    names, numbers = by_length([len(tags) for tags in wanted])
    kinds = types_of(wanted, given, scheme)
    errors = sum(found.statistics[name].sum(-1) for name in ("found", "wanted"))
    errors = errors - 2 * found.statistics["matched"].sum(-1)
    return Report(
        task="tagging",
        scores=found.scores(FIGURES, signed(scheme), bootstrap=bootstrap, seed=seed, resampled=resampled),
        counts={
            "sentences": len(sentences),
            "words": sum(map(len, wanted)),
            "entities": int(found.statistics["wanted"].sum()),
        },
        groupings=(
            labelled("type", kinds, found, resampled),
            grouped("words of the sentence", names, numbers, found, ("f1", "precision", "recall")),
        ),
        worst=tuple(
            case(sentences[number].words, number, wanted[number], given[number], scheme, float(errors[number]))
            for number in worst_of(errors)
        ),
        given=tuple(map(tuple, tags)),
    )


def case(
    words: Sequence[str], number: int, wanted: Sentence, given: Sentence, scheme: Scheme, errors: float
) -> Case:
    """A sentence with the entities wanted and those given; only in one of the two they are missed or wrong."""
    text = " ".join(words)
    begins = [sum(len(word) + 1 for word in words[:place]) for place in range(len(words))]
    sides = {"wanted": entities(wanted, scheme), "given": entities(given, scheme)}
    both = set(sides["wanted"]) & set(sides["given"])
    parts = []
    for name, found in sides.items():
        marks = tuple(
            Mark(
                start=begins[first],
                end=begins[behind - 1] + len(words[behind - 1]),
                name=kind,
                kind="right" if (kind, first, behind) in both else "missed" if name == "wanted" else "wrong",
            )
            for kind, first, behind in found
        )
        parts.append(Part(name=name, text=text, marks=marks))
    return Case(number=number + 1, figures={"errors": errors}, parts=tuple(parts))
