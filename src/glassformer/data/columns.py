"""Which columns hold what: by the names that data sets usually give them, or as the user says."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from glassformer.data.reading import Column, Reading
from glassformer.data.table import Table, counted
from glassformer.errors import InputError

KindName = Literal["pairs", "labels", "tags", "questions", "texts"]
Columns = Mapping[str, Column | tuple[str, ...]]  # role -> column, or for labels several

SOURCES = ("source", "src", "document", "article", "dialogue", "text", "body", "abstract", "input", "inputs")
TARGETS = (
    *("target", "tgt", "translation", "summary", "highlights", "synopsis", "tldr", "headline", "subject"),
    *("output", "outputs", "response", "completion", "title"),
)
TEXTS = (
    *(
        "text",
        "sentence",
        "sentence1",
        "premise",
        "text1",
        "question1",
        "review",
        "content",
        "comment",
        "tweet",
    ),
    *("body", "utterance", "document", "input"),
)
SECONDS = ("pair", "text_pair", "text2", "sentence2", "hypothesis", "question2")
LABELS = (
    *(
        "label_text",
        "label_name",
        "label",
        "labels",
        "category",
        "categories",
        "class",
        "sentiment",
        "polarity",
    ),
    *(
        "emotion",
        "intent",
        "topic",
        "stars",
        "rating",
        "gold_label",
        "is_duplicate",
        "relationship",
        "target",
    ),
)
TAGS = ("ner_tags", "tags", "ner", "labels", "pos_tags", "upos", "chunk_tags", "pos")
CONTEXTS = ("context", "passage", "paragraph", "document", "text")
DOCUMENTS = ("text", "content", "document", "article", "body", "story", "sentence", "description")

NAMES: Mapping[KindName, Mapping[str, tuple[str, ...]]] = {
    "pairs": {"source": SOURCES, "target": TARGETS, "references": ("references",)},
    "labels": {"text": TEXTS, "label": LABELS, "pair": SECONDS},
    "tags": {"words": ("tokens", "words", "token", "word", "sentence"), "tags": TAGS},
    "questions": {
        "question": ("question", "query"),
        "context": CONTEXTS,
        "answers": ("answers", "answer", "answer_text"),
        "answer_start": ("answer_start", "start", "answer_offset"),
        "id": ("id", "qid", "guid", "question_id"),
        "impossible": ("is_impossible", "impossible"),
    },
    "texts": {"text": DOCUMENTS},
}
NEEDED: Mapping[KindName, tuple[str, ...]] = {
    "pairs": ("source", "target"),
    "labels": ("text", "label"),
    "tags": ("words", "tags"),
    "questions": ("question", "context", "answers"),
    "texts": ("text",),
}
CODES = (
    "ar bg bn ca cs da de el en es et eu fa fi fr ga gl he hi hr hu id is it ja ko lt lv mk mt nl no pl pt ro ru "
    "sk sl sq sr sv sw th tr uk ur vi zh"
)
LANGUAGES = frozenset(CODES.split())
BESIDE = {"id", "idx", "index", "guid", "uid", "title", "url", "date", "lang", "language", "split", "number"}
KNOWN = LANGUAGES | BESIDE | {name for roles in NAMES.values() for names in roles.values() for name in names}
ROLES = tuple(dict.fromkeys(role for roles in NAMES.values() for role in roles if role != "impossible"))


def find_columns(kind: KindName, table: Table, reading: Reading) -> Columns:
    """Role -> column: what was asked for, then what usual names, two languages, or sheer number tell."""
    if table.roles is not None:
        return _decided(kind, table, table.roles)
    asked = {
        role: _asked(table, given)
        for role in NAMES[kind]
        if (given := getattr(reading, role, None)) is not None
    }
    found = {**asked, **by_name(kind, table.names, asked)}
    missing = [role for role in NEEDED[kind] if role not in found]
    if missing and not table.has_headings:
        left = [name for name in table.names if name not in found.values()]
        found |= dict(zip(missing, left, strict=True)) if len(left) == len(missing) else {}
    missing = [role for role in NEEDED[kind] if role not in found]
    if missing:
        raise InputError(_lacking(table, missing))
    return found


def asked_names(reading: Reading) -> set[str]:
    """The headings that the user speaks of."""
    given = (getattr(reading, role) for role in ROLES)
    return {
        name
        for each in given
        for name in (each if isinstance(each, tuple) else (each,))
        if isinstance(name, str)
    }


def are_headings(cells: Sequence[str]) -> bool:
    """Whether a line holds nothing but names that columns usually have."""
    return all(plain(cell) in KNOWN for cell in cells)


def plain(name: Column) -> str:
    """A name without the differences that people do not mean."""
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def listed(names: Iterable[object], most: int = 8) -> str:
    """Some names for a sentence."""
    given = [str(name) for name in names]
    left = len(given) - most
    return (", ".join(given[:most]) or "nothing") + (f" and {left} more" if left > 0 else "")


def _decided(kind: KindName, table: Table, roles: Mapping[str, Column]) -> Columns:
    if not set(NEEDED[kind]) <= set(roles):
        held, wanted = (" and ".join(each) for each in (roles, NEEDED[kind]))
        raise InputError(
            f"{table.file} holds {held}, but {wanted} was asked for; give another file, or say its format"
        )
    return {role: column for role, column in roles.items() if role in NAMES[kind]}


def _asked(table: Table, given: Column | tuple[str, ...]) -> Column | tuple[str, ...]:
    """The column that is meant by a name or number, which has to be there."""
    if isinstance(given, tuple):
        return tuple(str(_asked(table, name)) for name in given)
    if isinstance(given, int):
        if not 0 <= given < len(table.names):
            raise InputError(
                f"{table.file} has {len(table.names)} columns, and column {given} was asked for (the first is 0)"
            )
        return table.names[given]
    if given not in table.names:
        headings = listed(table.names) if table.has_headings else "not named"
        raise InputError(f"{table.file} has no column {given!r}; its columns are {headings}")
    return given


def by_name(kind: KindName, names: Sequence[Column], asked: Columns) -> dict[str, Column]:
    """Roles that nobody spoke of, each by the first of its usual names that no other role has."""
    by_plain = {plain(name): name for name in reversed(names) if isinstance(name, str)}
    found: dict[str, Column] = {}
    for role, usual in NAMES[kind].items():
        taken = {*asked.values(), *found.values()}
        free = (by_plain[name] for name in usual if name in by_plain and by_plain[name] not in taken)
        if role not in asked and (name := next(free, None)) is not None:
            found[role] = name
    languages = [name for name in names if plain(name).rpartition(".")[2] in LANGUAGES]
    if len(languages) == 3 and "id" in languages:  # the number of the line, not Indonesian
        languages.remove("id")
    if kind == "pairs" and len(languages) == 2 and not {"source", "target"} & set(asked):
        found |= dict(zip(("source", "target"), languages, strict=True))
    return found


def _lacking(table: Table, missing: Sequence[str]) -> str:
    roles = " and ".join(missing)
    if table.has_headings:
        return f"{table.file} has no column known to hold {roles}; of {listed(table.names)}, say which is {roles}"
    has = counted(len(table.names), "column")
    return f"{table.file} has {has} without headings; say by number, from 0, which holds {roles}"
