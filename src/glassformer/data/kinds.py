"""From rows to examples: what a row of each kind has to hold, and why one holds no example."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from glassformer.data.columns import Columns, KindName
from glassformer.data.examples import AnswerSpan, LabelledText, Pair, Question, Skipped, TaggedSentence
from glassformer.data.lines import Unfit, checked
from glassformer.data.names import LabelNames
from glassformer.data.reading import Column, Reading
from glassformer.data.schemes import Scheme, find_flaw, find_scheme, refuse_mixed, to_iob2
from glassformer.data.table import Row, Table, cell, counted, peek

SCHEME_HEAD = 10_000  # sentences by which the tagging scheme is found
UNLABELLED = -1  # the hub's number for a label that is kept secret


@dataclass(frozen=True, kw_only=True)
class Source:
    """A table, which of its columns hold what, and all that was said about reading it."""

    table: Table
    columns: Columns
    reading: Reading
    names: LabelNames

    @property
    def most(self) -> int:
        """How many characters a text may have, where that was not already asked of its line."""
        return 0 if self.table.unit == "line" else self.reading.max_characters

    def column(self, role: str) -> Column:
        """The one column of a role; in a table without any cell, the role stands for it."""
        column = self.columns.get(role, role)
        assert not isinstance(column, tuple), "several columns make several labels, nothing else"
        return column

    def cell(self, row: Row, role: str) -> object:
        """A cell by its role; None where the table has no such column."""
        return cell(row, self.column(role)) if role in self.columns else None

    def text(self, row: Row, role: str) -> str:
        """A text that is there, as it stands; a list of texts is sentences, joined by spaces."""
        value = self.cell(row, role)
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            value = " ".join(value)
        return self.checked(value, role)

    def checked(self, value: object, role: str) -> str:
        """A value of a role that is a text with something in it."""
        if not isinstance(value, str):
            raise Unfit(f"it has no text in {self.column(role)!r}")
        if not value or value.isspace():
            raise Unfit(f"{self.column(role)!r} is empty")
        return checked(value, self.most)


Read = Callable[[Source], Iterator[Any]]  # examples of the kind, and Skipped


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of examples: what they are called, and how a table's rows become them."""

    what: str
    one: str
    options: tuple[str, ...]  # fields of Reading that concern it
    read: Read


def _each(examples: Callable[[Source, Row], Iterator[Any]]) -> Read:
    """Row by row; what a row has to offer before it turns out not to fit is kept."""

    def read(source: Source) -> Iterator[Any]:
        for row in source.table.rows:
            if isinstance(row, Skipped):
                yield row
                continue
            try:
                yield from examples(source, row)
            except Unfit as unfit:
                yield source.table.skipped(row.line, unfit)

    return read


def pairs(source: Source, row: Row) -> Iterator[Pair]:
    """A text with each of the texts that it may become; the ordinary spaces around them are no content."""
    start = source.text(row, "source").strip(" ")
    value = source.cell(row, "target")
    for each in value if isinstance(value, list) and value else (value,):
        yield Pair(start, source.checked(each, "target").strip(" "))
    more = source.cell(row, "references")
    for each in more if isinstance(more, list) else () if more is None else (more,):
        yield Pair(start, source.checked(each, "references").strip(" "))


def labelled(source: Source, row: Row) -> Iterator[LabelledText]:
    """A text, or two, and its label or labels by name."""
    text = source.text(row, "text").strip(" ")
    pair = source.text(row, "pair").strip(" ") if "pair" in source.columns else None
    yield LabelledText(text=text, pair=pair, labels=_labels(source, row))


def _labels(source: Source, row: Row) -> tuple[str, ...]:
    column = source.columns.get("label", "label")
    if isinstance(column, tuple):
        return tuple(name for name in column if _is_present(cell(row, name), name))
    value = cell(row, column)
    given = value if isinstance(value, list) else [value]
    if isinstance(value, str):
        several = [each.strip() for each in value.split(source.reading.separator) if each.strip()]
        given = several if source.reading.multiple or source.names.are_all(several) else given
    found = tuple(dict.fromkeys(_label(source, each, column) for each in given))
    if not source.reading.multiple and len(found) != 1:
        raise Unfit(f"it has {counted(len(found), 'label')}; set multiple if a text may have any number")
    return found


def _label(source: Source, value: object, column: Column) -> str:
    """One label's name: a text, or a number that stands for one."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        raise Unfit(f"it has no label in {column!r}")
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and (categories := source.table.categories.get(column)):
        if value == UNLABELLED:
            raise Unfit(f"it has no label in {column!r}")
        if not 0 <= value < len(categories):
            raise Unfit(f"its label {value} is none of the {len(categories)} of {column!r}")
        value = categories[value]
    if not isinstance(value, str | int | float):
        raise Unfit(f"its label in {column!r} is neither a text nor a number")
    return source.names.name(checked(str(value).strip(), source.most))


def _is_present(value: object, name: str) -> bool:
    """What a column of one label says: 0 or 1."""
    if str(value).strip().lower() in ("1", "1.0", "true"):
        return True
    if str(value).strip().lower() in ("0", "0.0", "false"):
        return False
    raise Unfit(f"{name!r} is {str(value)!r}, and neither 0 nor 1")


def questions(source: Source, row: Row) -> Iterator[Question | Skipped]:
    """A question with those of its answers that stand in its context where they are said to; others are told."""
    question = source.text(row, "question").strip(" ")
    context = source.text(row, "context")
    impossible = source.cell(row, "impossible")
    is_impossible = str(impossible).strip().lower() in ("true", "1")
    spans: list[AnswerSpan] = []
    given = [] if is_impossible else _answers(source, row)
    wrong = []
    for text, start in given:
        try:
            spans.append(_span(context, text, start))
        except Unfit as unfit:
            wrong.append(str(unfit))
    if wrong and not spans:
        raise Unfit(wrong[0])
    if not spans and impossible is not None and not is_impossible:
        raise Unfit("it has no answer, and is not said to have none")
    yield from (
        source.table.skipped(row.line, f"{reason}; that answer alone is left out") for reason in wrong
    )
    name = source.cell(row, "id")
    yield Question(
        id=f"{source.table.file}:{row.line}" if name is None else str(name),
        question=question,
        context=context,
        answers=tuple(spans),
    )


def _answers(source: Source, row: Row) -> list[tuple[object, object]]:
    """The answers of a row, each with where it begins, in any of the forms in use."""
    value: Any = source.cell(row, "answers")
    starts: Any = source.cell(row, "answer_start")
    if isinstance(value, str) and value[:1] in "[{":
        value = _json(value)
    if isinstance(value, Mapping):  # the hub's: {"text": [...], "answer_start": [...]}
        value, starts = value.get("text"), value.get("answer_start")
    texts: list[Any] = value if isinstance(value, list) else [] if value in (None, "") else [value]
    if texts and all(
        isinstance(each, Mapping) for each in texts
    ):  # SQuAD's: [{"text": ..., "answer_start": ...}]
        return [(each.get("text"), each.get("answer_start")) for each in texts]
    begins = starts if isinstance(starts, list) else [starts] * len(texts)
    if len(begins) != len(texts):
        raise Unfit(f"it has {counted(len(texts), 'answer')} and {len(begins)} places where answers begin")
    return list(zip(texts, begins, strict=True))


def _json(text: str) -> object:
    """A cell that is JSON; what only looks like it is itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _span(context: str, text: object, start: object) -> AnswerSpan:
    """An answer that stands where it is said to; where nothing is said, at its first place."""
    if not isinstance(text, str) or not text.strip():
        raise Unfit("its answer is empty")
    if start is None or start == "":
        place = context.find(text)
        if place < 0:
            raise Unfit(f"its answer {_short(text)} is not in its context")
        return AnswerSpan(text=text, start=place)
    if isinstance(start, str) and start.strip().isdecimal():
        start = int(start)
    if not isinstance(start, int) or start < 0 or not context.startswith(text, start):
        raise Unfit(f"its answer {_short(text)} does not stand at {start!r} in its context")
    return AnswerSpan(text=text, start=start)


def _short(text: str, most: int = 40) -> str:
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def documents(source: Source, row: Row) -> Iterator[str]:
    """A text as it stands."""
    yield source.text(row, "text")


class _Sentence(NamedTuple):
    """Words and tags as a file has them, and the line of each."""

    lines: Sequence[int]
    words: tuple[str, ...]
    tags: tuple[str, ...]


def tagged(source: Source) -> Iterator[TaggedSentence | Skipped]:
    """Sentences with a tag a word, as IOB2 whatever scheme the file has."""
    head, sentences = peek(_sentences(source), SCHEME_HEAD)
    scheme = _scheme(source, head)
    for sentence in sentences:
        if isinstance(sentence, Skipped):
            yield sentence
        elif (flaw := find_flaw(sentence.tags, scheme)) is not None:
            reason = f"{flaw.reason}; its sentence is left out"
            yield source.table.skipped(sentence.lines[flaw.place], reason)
        else:
            yield TaggedSentence(words=sentence.words, tags=to_iob2(sentence.tags, scheme))


def scheme_of(source: Source) -> Scheme:
    """How the tags of a file mark entities; this reads its first sentences."""
    return _scheme(source, list(islice(_sentences(source), SCHEME_HEAD)))


def _scheme(source: Source, head: Sequence[_Sentence | Skipped]) -> Scheme:
    """What was said, or the scheme of the first sentences; two schemes in one file are refused."""
    sentences = [each for each in head if isinstance(each, _Sentence)]
    if source.reading.scheme is not None:
        return source.reading.scheme
    found = find_scheme([sentence.tags for sentence in sentences])
    if found.first is not None:
        number, flaw = found.first
        refuse_mixed(source.table.file, found, sentences[number].lines[flaw.place])
    return found.scheme


def _sentences(source: Source) -> Iterator[_Sentence | Skipped]:
    for row in source.table.rows:
        if isinstance(row, Skipped):
            yield row
            continue
        try:
            words = tuple(_word(source, each) for each in _items(source, row, "words"))
            tags = tuple(_tag(source, each) for each in _items(source, row, "tags"))
            if len(words) != len(tags):
                raise Unfit(f"it has {counted(len(words), 'word')} and {counted(len(tags), 'tag')}")
        except Unfit as unfit:
            yield source.table.skipped(row.line, unfit)
        else:
            lines = row.cells.get("lines")
            yield _Sentence(lines if isinstance(lines, list) else [row.line] * len(words), words, tags)


def _items(source: Source, row: Row, role: str) -> Sequence[object]:
    """A list, or a text whose spaces part its items."""
    value = source.cell(row, role)
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, list) or not items:
        raise Unfit(f"it has no {role} in {source.column(role)!r}")
    return items


def _word(source: Source, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Unfit(f"one of its words is {value!r}")
    return checked(value, source.most)


def _tag(source: Source, value: object) -> str:
    """A tag, given as such or by number."""
    if isinstance(value, str) and value:
        tag = checked(value, source.most)
        return source.names.name(tag) if tag.isdecimal() else tag
    column = source.column("tags")
    categories = source.table.categories.get(column)
    names = LabelNames(categories, f"{column!r}") if categories else source.names
    if not isinstance(value, int) or not names.names:
        raise Unfit(
            f"one of its tags is {value!r}" + ("; say what the numbers mean with labels" if value else "")
        )
    return names.name(str(value))


KINDS: Mapping[KindName, Kind] = {
    "pairs": Kind(
        what="pairs of texts",
        one="a text and what it is to become",
        options=("source", "target", "references"),
        read=_each(pairs),
    ),
    "labels": Kind(
        what="labelled texts",
        one="a text and its label",
        options=("text", "pair", "label", "labels", "multiple", "separator"),
        read=_each(labelled),
    ),
    "tags": Kind(
        what="tagged sentences",
        one="a word and its tag",
        options=("words", "tags", "scheme", "labels"),
        read=tagged,
    ),
    "questions": Kind(
        what="questions",
        one="a question, its context and its answers",
        options=("question", "context", "answers", "answer_start", "id"),
        read=_each(questions),
    ),
    "texts": Kind(what="texts", one="a text", options=("text", "documents"), read=_each(documents)),
}
