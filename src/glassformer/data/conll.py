"""CoNLL files: a word and its tags on each line, an empty line between sentences."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from glassformer.data.examples import Skipped
from glassformer.data.lines import Line, Unfit, read_lines
from glassformer.data.reading import Column, Reading
from glassformer.data.table import Row, Table, counted, peek
from glassformer.errors import InputError

HEAD = 500  # lines by which the columns are found
NUMBER = re.compile(r"\d+([-.]\d+)?")
COMMENT = re.compile(r"#( ?[\w.]+ =| ?$|[^\t]* = )")  # as in CoNLL-U: `# sent_id = 3`
DOCUMENT = "-DOCSTART-"
SPACES = re.compile(r"[ \t]+")  # and not the no-break spaces that a word may hold
ROLES = {"words": "words", "tags": "tags"}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What stands between two columns, how many there are, and which are the word and the tag."""

    tabs: bool
    width: int
    word: int
    tag: int
    numbered: bool  # the first column counts the words

    def split(self, text: str) -> list[str]:
        """The cells of a line."""
        return text.split("\t") if self.tabs else SPACES.split(text.strip(" \t"))

    def is_comment(self, text: str) -> bool:
        """Whether a line before a sentence is no word: it begins with # and has not the columns of one."""
        return text.startswith("#") and (len(self.split(text)) != self.width or bool(COMMENT.match(text)))


def read_conll(path: Path, reading: Reading) -> Table:
    """Sentences as lists of words and tags.

    Columns stand between tabs or spaces; the word is the first, or the second where the first counts, and the tag
    is the last, unless `words` and `tags` say otherwise. Comments before a sentence, `-DOCSTART-`, and the ranges and
    gaps in the numbers of CoNLL-U are no words. A line that does not fit costs its sentence, whose tags would no longer
    stand at their words.
    """
    head, lines = peek(read_lines(path, reading.max_characters), HEAD)
    layout = find_layout(path, head, reading)
    return Table(file=str(path), names=tuple(ROLES), rows=_sentences(path, lines, layout), roles=ROLES)


def find_layout(path: Path, head: list[Line | Skipped], reading: Reading) -> Layout:
    """What most of the first lines are like."""
    texts = [line.text for line in head if isinstance(line, Line) and line.text.strip()]
    texts = [text for text in texts if not COMMENT.match(text)] or texts
    tabs = sum("\t" in text for text in texts) * 2 > len(texts)
    loose = Layout(tabs=tabs, width=0, word=0, tag=-1, numbered=False)
    rows = [loose.split(text) for text in texts]
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 2
    firsts = [NUMBER.fullmatch(row[0]) is not None for row in rows if len(row) == width]
    numbered = width > 2 and bool(firsts) and sum(firsts) > 0.9 * len(firsts)
    word = 1 if numbered else 0
    if width < word + 2:
        raise InputError(
            f"{path} has {width} column on most lines; expected a word and its tag, between a tab or spaces"
        )
    chosen = (_number(path, reading.words, word, width), _number(path, reading.tags, width - 1, width))
    return replace(loose, width=width, word=chosen[0], tag=chosen[1], numbered=numbered)


def _number(path: Path, asked: Column | tuple[str, ...] | None, usual: int, width: int) -> int:
    if asked is None:
        return usual
    if not isinstance(asked, int) or not 0 <= asked < width:
        raise InputError(f"{path} has no column {asked!r}; its {width} columns go by number, from 0")
    return asked


def _sentences(path: Path, lines: Iterator[Line | Skipped], layout: Layout) -> Iterator[Row | Skipped]:
    sentence = _Sentence(path, layout)
    for line in lines:
        if isinstance(line, Skipped):
            sentence.broken.append(line)
        elif line.text.strip():
            sentence.add(line)
        else:
            yield from sentence.closed()
            sentence = _Sentence(path, layout)
    yield from sentence.closed()


class _Sentence:
    """The words of one sentence, and its lines that do not fit."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout = path, layout
        self.words: list[str] = []
        self.tags: list[str] = []
        self.lines: list[int] = []
        self.broken: list[Skipped] = []

    def add(self, line: Line) -> None:
        """One more word, unless the line is something else."""
        if not self.lines and self.layout.is_comment(line.text):
            return
        cells = self.layout.split(line.text)
        try:
            if len(cells) != self.layout.width:
                raise Unfit(f"it has {counted(len(cells), 'column')}, not {self.layout.width}")
            word, tag = cells[self.layout.word].strip(" "), cells[self.layout.tag].strip()
            if not word.strip() or not tag:
                raise Unfit("its word is empty" if tag else "its tag is empty")
        except Unfit as unfit:
            self.broken.append(Skipped(str(self.path), line.number, str(unfit)))
            return
        if word == DOCUMENT or (self.layout.numbered and not cells[0].isdecimal()):
            return
        self.words.append(word)
        self.tags.append(tag)
        self.lines.append(line.number)

    def closed(self) -> Iterator[Row | Skipped]:
        """The sentence, or what spoilt it."""
        if self.broken:
            words = len(self.words)
            rest = f"; the rest of its sentence, {counted(words, 'word')}, is left out" if words else ""
            yield from (replace(line, reason=line.reason + rest) for line in self.broken)
        elif self.words:
            yield Row(self.lines[0], {"words": self.words, "tags": self.tags, "lines": self.lines})
