"""Tagging schemes, against seqeval, which reads each of them on its own."""

import random
from pathlib import Path

import pytest
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from glassformer.data.readers import read_examples
from glassformer.data.reading import Reading
from glassformer.data.schemes import Scheme, find_flaw, find_scheme, to_iob2
from glassformer.errors import InputError

Span = tuple[int, int, str]
THEIRS = {"IOB1": IOB1, "IOB2": IOB2, "BIOES": IOBES, "BILOU": BILOU}
MARKS = {"IOB1": "BIII", "IOB2": "BIII", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES", "IO": "IIII"}


def entities(random: random.Random, length: int) -> list[Span]:
    """Some spans that do not overlap, often side by side and of one type."""
    found, place = [], random.randint(0, 2)
    while place < length:
        end = min(length, place + random.randint(1, 3))
        found.append((place, end, random.choice(["PER", "creative-work"])))
        place = end + random.choice([0, 0, 1, 3])
    return found


def tags_of(spans: list[Span], length: int, scheme: str) -> list[str]:
    """The tags of these spans in a scheme, by the scheme's own definition."""
    tags = ["O"] * length
    begin, inside, end, single = MARKS[scheme]
    for start, stop, kind in spans:
        for place in range(start, stop):
            tags[place] = f"{inside}-{kind}"
        if scheme in ("BIOES", "BILOU", "BMES"):
            tags[stop - 1] = f"{end}-{kind}"
            tags[start] = f"{single if stop - start == 1 else begin}-{kind}"
        follows = start > 0 and tags[start - 1].endswith(f"-{kind}")
        if scheme == "IOB2" or (scheme == "IOB1" and follows):
            tags[start] = f"B-{kind}"
    return tags


def sentences(count: int = 300) -> list[tuple[list[Span], int]]:
    chance = random.Random(5)
    lengths = [chance.randint(1, 14) for _ in range(count)]
    return [(entities(chance, length), length) for length in lengths]


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES", "BILOU", "BMES"])
def test_every_scheme_becomes_iob2(scheme: Scheme) -> None:
    written = [tags_of(spans, length, scheme) for spans, length in sentences()]
    assert find_scheme(written) == (scheme, 0, sum(bool(spans) for spans, _ in sentences()), None)
    for (spans, length), tags in zip(sentences(), written, strict=True):
        assert find_flaw(tags, scheme) is None
        assert list(to_iob2(tags, scheme)) == tags_of(spans, length, "IOB2")


@pytest.mark.parametrize("scheme", THEIRS)
def test_entities_are_those_that_seqeval_finds(scheme: Scheme) -> None:
    chance = random.Random(3)
    prefixes = "O" + "".join(sorted(set(MARKS[scheme])))
    for _ in range(400):
        drawn = [chance.choice(prefixes) for _ in range(chance.randint(1, 8))]
        tags = [each if each == "O" else f"{each}-{chance.choice('XY')}" for each in drawn]
        (theirs,) = Entities([tags], scheme=THEIRS[scheme]).entities
        if find_flaw(tags, scheme) is None:
            (ours,) = Entities([list(to_iob2(tags, scheme))], scheme=IOB2).entities
            assert [each.to_tuple()[1:] for each in ours] == [each.to_tuple()[1:] for each in theirs]
        else:  # seqeval leaves out what does not fit, or reads it as something else
            covered = {place for each in theirs for place in range(each.start, each.end)}
            uncovered = any(tag != "O" and place not in covered for place, tag in enumerate(tags))
            assert uncovered or scheme == "IOB1"


def test_neighbours_without_marks_are_one_entity() -> None:
    assert to_iob2(["PER", "PER", "O", "PER", "LOC"], "IO") == ("B-PER", "I-PER", "O", "B-PER", "B-LOC")
    assert find_scheme([["O", "O", "O"], ["PER", "O"]]).scheme == "IO"


def test_parts_of_speech_stay_as_they_are() -> None:
    tags = ["DT", "NN", "VB", "O", "NN"]
    assert find_scheme([tags]).scheme == "plain"
    assert to_iob2(tags, "plain") == tuple(tags)
    assert find_flaw(tags, "plain") is None


def test_tags_without_a_type() -> None:
    assert find_scheme([["B", "I", "O", "B"]]).scheme == "IOB2"
    assert to_iob2(["B", "E", "S", "O"], "BIOES") == ("B", "I", "B", "O")


@pytest.mark.parametrize(
    ("tags", "scheme", "place", "said"),
    [
        (["O", "I-PER"], "IOB2", 1, "I-PER follows O, which IOB2 forbids"),
        (["I-PER"], "IOB2", 0, "I-PER follows nothing, which IOB2 forbids"),
        (["B-PER", "I-LOC"], "IOB2", 1, "I-LOC follows B-PER"),
        (["O", "B-PER"], "IOB1", 1, "B-PER follows O, which IOB1 forbids"),
        (["B-PER", "O"], "BIOES", 1, "O follows B-PER"),
        (["S-PER", "E-PER"], "BIOES", 1, "E-PER follows S-PER"),
        (["B-PER", "I-PER"], "BIOES", 1, "I-PER is the last tag"),
        (["B-PER", "S-PER"], "BILOU", 1, "S-PER is no tag of BILOU"),
        (["NN", "O"], "IOB2", 0, "NN is no tag of IOB2"),
    ],
)
def test_what_a_scheme_forbids_is_said(tags: list[str], scheme: Scheme, place: int, said: str) -> None:
    flaw = find_flaw(tags, scheme)
    assert flaw is not None
    assert flaw.place == place
    assert said in flaw.reason


def conll(*sentences: list[str]) -> str:
    return "\n\n".join("\n".join(f"w{place} {tag}" for place, tag in enumerate(tags)) for tags in sentences)


def test_a_few_broken_sentences_are_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text(conll(*[["B-PER", "I-PER", "O"]] * 20, ["O", "O", "I-LOC"]))
    found = read_examples("tags", path)
    assert len(found.examples) == 20
    reason = "I-LOC follows O, which IOB2 forbids; its sentence is left out"
    assert [(each.line, each.reason) for each in found.skipped] == [(83, reason)]


def test_two_schemes_in_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text(conll(["B-PER", "I-PER", "O"], ["S-LOC", "O"]))
    with pytest.raises(
        InputError, match="mixes tagging schemes: 1 of 2 .* not IOB2, first line 5, where S-LOC"
    ):
        read_examples("tags", path)
    assert len(read_examples("tags", path, Reading(scheme="IOB2")).examples) == 1
    with pytest.raises(
        InputError, match="no tagged sentences in .*; line 3 was left out because O follows I-PER"
    ):
        read_examples("tags", path, Reading(scheme="BILOU"))
