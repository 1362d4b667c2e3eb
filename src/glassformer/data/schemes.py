"""How tags mark where an entity begins and ends: schemes found, checked, and made one.

Whatever a file uses becomes IOB2: B- at an entity's first word, I- at the others, O outside. IOB1 (Ramshaw and Marcus
1995) writes B- only where an entity follows another of its type; BIOES, BILOU and BMES also mark the last word and the
only one; IO marks neither, so that neighbours of one type are one entity. Tags without such marks, as of parts of
speech, stay as they are.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from glassformer.errors import InputError

Scheme = Literal["IOB1", "IOB2", "BIOES", "BILOU", "BMES", "IO", "plain"]
Mark = Literal["B", "I", "E", "S"]  # begins, inside, ends, single

OUTSIDE = "O"
MARKED = re.compile(r"([BIOESLUM])(?:-(.+))?")
SAME: Mapping[str, Mark] = {"B": "B", "I": "I"}
MARKS: Mapping[Scheme, Mapping[str, Mark]] = {  # in the order in which they are believed in
    "IOB2": SAME,
    "IOB1": SAME,
    "BIOES": {**SAME, "E": "E", "S": "S"},
    "BILOU": {**SAME, "L": "E", "U": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S"},
}
MIXED = 0.1  # share of sentences that may break a scheme before it is taken for two


class Flaw(NamedTuple):
    """The number of the tag that breaks a scheme, and why."""

    place: int
    reason: str


class Found(NamedTuple):
    """The scheme of a file's first sentences, and where most of them are not of it, the first that is not."""

    scheme: Scheme
    broken: int
    marked: int
    first: tuple[int, Flaw] | None  # sentence, its flaw


def find_scheme(sentences: Sequence[Sequence[str]]) -> Found:
    """The scheme that the fewest sentences break."""
    counted = Counter(tag for tags in sentences for tag in tags)
    if not any(is_marked(tag) for tag in counted if tag != OUTSIDE):
        mostly_outside = counted[OUTSIDE] > 0 and counted.most_common(1)[0][0] == OUTSIDE
        return Found("IO" if mostly_outside and len(counted) > 1 else "plain", 0, 0, None)
    marked = [(number, tags) for number, tags in enumerate(sentences) if any(tag != OUTSIDE for tag in tags)]
    flaws = {
        scheme: [(number, found) for number, tags in marked if (found := find_flaw(tags, scheme)) is not None]
        for scheme in MARKS
    }
    scheme = min(flaws, key=lambda each: len(flaws[each]))
    broken = flaws[scheme]
    return Found(scheme, len(broken), len(marked), broken[0] if broken else None)


def refuse_mixed(file: str, found: Found, line: int) -> None:
    """A file of two schemes says nothing sure; a few broken sentences are told one by one instead."""
    if found.first is not None and found.broken > MIXED * found.marked:
        raise InputError(
            f"{file} mixes tagging schemes: {found.broken} of {found.marked} sentences with entities are not "
            f"{found.scheme}, first line {line}, where {found.first[1].reason}; write all in one scheme"
        )


def find_flaw(tags: Sequence[str], scheme: Scheme) -> Flaw | None:
    """The first tag that a scheme does not allow where it stands."""
    if scheme not in MARKS:
        return None
    marks = [_mark(tag, scheme) for tag in tags]
    for place, tag in enumerate(tags):
        if tag != OUTSIDE and marks[place] is None:
            return Flaw(place, f"{tag} is no tag of {scheme}")
        if not _may_follow(marks[place - 1] if place else None, marks[place], scheme):
            return Flaw(
                place, f"{tag} follows {tags[place - 1] if place else 'nothing'}, which {scheme} forbids"
            )
    if scheme in ("BIOES", "BILOU", "BMES") and marks and marks[-1] is not None and marks[-1][0] in "BI":
        return Flaw(len(tags) - 1, f"{tags[-1]} is the last tag, which {scheme} forbids")
    return None


def to_iob2(tags: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """Tags of a sentence that fits its scheme, as IOB2."""
    if scheme in ("plain", "IOB2"):
        return tuple(tags)
    if scheme == "IO":
        before = (OUTSIDE, *tags[:-1])
        return tuple(
            tag if tag == OUTSIDE else f"{'I' if tag == last else 'B'}-{tag}"
            for last, tag in zip(before, tags, strict=True)
        )
    written, last = [], None
    for mark in (_mark(tag, scheme) for tag in tags):
        written.append(OUTSIDE if mark is None else _joined("I" if _goes_on(last, mark) else "B", mark[1]))
        last = mark
    return tuple(written)


def types(tags: Iterable[str]) -> set[str]:
    """The types of entities in IOB2 tags."""
    return {match[2] for tag in tags if (match := MARKED.fullmatch(tag)) and match[2]}


def is_marked(tag: str) -> bool:
    """Whether it is O or a tag such as B-PER."""
    return MARKED.fullmatch(tag) is not None


def _mark(tag: str, scheme: Scheme) -> tuple[Mark, str] | None:
    """What a tag says of its word, and of which type; None for O and for what is no tag of the scheme."""
    match = MARKED.fullmatch(tag)
    mark = MARKS[scheme].get(match[1]) if match else None
    return None if match is None or mark is None else (mark, match[2] or "")


def _goes_on(last: tuple[Mark, str] | None, mark: tuple[Mark, str]) -> bool:
    """Whether a word belongs to the entity of the word before it."""
    return mark[0] in "IE" and last is not None and last[0] in "BI" and last[1] == mark[1]


def _may_follow(last: tuple[Mark, str] | None, mark: tuple[Mark, str] | None, scheme: Scheme) -> bool:
    if scheme == "IOB2":
        return mark is None or mark[0] == "B" or _goes_on(last, mark)
    if scheme == "IOB1":
        return mark is None or mark[0] == "I" or (last is not None and last[1] == mark[1])
    is_open = last is not None and last[0] in "BI"
    goes_on = mark is not None and _goes_on(last, mark)
    return goes_on if is_open else mark is None or mark[0] in "BS"


def _joined(mark: str, kind: str) -> str:
    return f"{mark}-{kind}" if kind else mark
