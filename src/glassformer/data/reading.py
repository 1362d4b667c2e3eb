"""How files of examples are to be read: their format, which columns hold what, and what a label is."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from glassformer.errors import InputError

Column = str | int
MAX_CHARACTERS = 200_000  # some forty thousand words: longer than what a model here reads at once
LEAST = 100  # a smaller limit is meant for something else


def _option(description: str, default: Any = None) -> Any:
    """A field with its one-line description, from which option helps and recipe docs are made."""
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What has to be said about files that do not say it themselves; everything has a default.

    A column is named by its heading (`title`, or `translation.en` inside an object) or by its number from 0.
    """

    format: Literal["csv", "tsv", "jsonl", "json", "parquet", "conll", "text"] | None = _option(
        "how the files are written; by default their endings say it"
    )
    headings: bool | None = _option("tables: whether the first line names the columns; by default found")
    delimiter: str | None = _option("csv: what stands between two cells; by default found")
    documents: Literal["lines", "paragraphs", "files"] = _option(
        "plain text: a document is a line, what stands between empty lines, or a whole file", "lines"
    )
    max_characters: int = _option("a line or text with more characters is left out; 0: none", MAX_CHARACTERS)

    source: Column | None = _option("column of the text that is to become another")
    target: Column | None = _option("column of what it is to become: the translation, the summary")
    references: Column | None = _option("column of a list of further texts that are as right as the target")
    text: Column | None = _option("column of the text")
    pair: Column | None = _option("column of the second text, where two are judged together")
    label: Column | tuple[str, ...] | None = _option(
        "column of the label, or of the labels; several columns: each is one label, present or not"
    )
    labels: str | tuple[str, ...] | None = _option(
        "the labels by number: a file with one a line (by default a labels.txt beside the data), or a list"
    )
    multiple: bool = _option("a text may have any number of labels", False)
    separator: str = _option("what stands between several labels in one cell", ",")
    words: Column | None = _option("column of the words that are tagged")
    tags: Column | None = _option("column of their tags")
    scheme: Literal["IOB1", "IOB2", "BIOES", "BILOU", "BMES", "IO", "plain"] | None = _option(
        "how tags mark where an entity begins; by default found"
    )
    question: Column | None = _option("column of the question")
    context: Column | None = _option("column of the text that may answer it")
    answers: Column | None = _option("column of its answers")
    answer_start: Column | None = _option("column of where they begin in the context, in characters")
    id: Column | None = _option("column of what the question is called")

    subset: str | None = _option("hub: which part of the data set, where it has several")
    split: str | None = _option("hub: which split; by default train")

    def __post_init__(self) -> None:
        if self.max_characters and self.max_characters < LEAST:
            raise InputError(
                f"max_characters is {self.max_characters}; expected {LEAST} or more, or 0 for no limit"
            )
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise InputError(f"delimiter is {self.delimiter!r}; expected one character, such as ;")
        if not self.separator:
            raise InputError("separator is empty; expected what stands between two labels, such as ,")

    def refuse_others(self, what: str, used: Iterable[str]) -> None:
        """What was said about other kinds of examples is a mistake, not something to pass over."""
        known = set(used)
        for name in ABOUT_EXAMPLES:
            value = getattr(self, name)
            said = value is not None and value is not False and value != DEFAULTS[name]
            if said and name not in known:
                raise InputError(
                    f"{name} was given, but {what} have no such thing; they have {', '.join(sorted(known))}"
                )


ABOUT_EXAMPLES = (
    *("source", "target", "references", "text", "pair", "label", "labels", "multiple", "separator"),
    *("words", "tags", "scheme", "question", "context", "answers", "answer_start", "id", "documents"),
)
DEFAULTS = {name: Reading.__dataclass_fields__[name].default for name in ABOUT_EXAMPLES}
