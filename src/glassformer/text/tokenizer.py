"""The tokenizer: text to ids with the characters each came from, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Encoding as RawEncoding
from tokenizers import Tokenizer as Backend
from tokenizers import models, processors

from glassformer.errors import InputError
from glassformer.text import kinds, published
from glassformer.text.cutting import Cutter, Tokenization
from glassformer.text.special import PRESETS, Special


@dataclass(frozen=True)
class Encoding:
    """A text, or two, as tokens: token i is text[start:end], (start, end) = offsets[i], or was added: (0, 0)."""

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    segments: list[int]
    texts: list[int | None]  # which text a token is of, 0 or 1; None: it was added

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, text: int) -> list[int]:
        """Where the tokens of one of the texts stand."""
        return [place for place, of in enumerate(self.texts) if of == text]

    def keep(self, places: Sequence[int]) -> Encoding:
        """Of all tokens only these, in this order."""
        return Encoding(
            ids=[self.ids[place] for place in places],
            tokens=[self.tokens[place] for place in places],
            offsets=[self.offsets[place] for place in places],
            segments=[self.segments[place] for place in places],
            texts=[self.texts[place] for place in places],
        )


class Tokenizer:
    """One vocabulary over the `tokenizers` library; padding and length are the batch's business."""

    def __init__(
        self, backend: Backend, parts: dict[str, str], settings: dict[str, Any] | None = None
    ) -> None:
        self.backend = backend
        self.parts = parts
        self.settings = settings or {}
        self.files: dict[
            str, bytes
        ] = {}  # those it came from, where other programs know no tokenizer.json of its kind
        self.pad_id, self.unk_id = self._part("pad"), self._part("unk")
        self.bos_id, self.eos_id = self._part("bos"), self._part("eos")
        self.cls_id, self.sep_id, self.mask_id = self._part("cls"), self._part("sep"), self._part("mask")
        self.special_ids = frozenset(number for part in parts if (number := self._part(part)) is not None)
        self.cutter: Cutter | None = None  # made when a text is first walked through
        self.closed = _is_closed(backend)
        self.prefix = _prefix(backend)

    @classmethod
    def train(
        cls,
        kind: str,
        texts: Iterable[str],
        *,
        vocab_size: int = 8000,
        lowercase: bool = False,
        compose: bool = False,
        special: Special | str | None = None,
    ) -> Tokenizer:
        """Learn a vocabulary; `compose` is Unicode NFC, `special` a Special or the name of a preset.

        It may end smaller than `vocab_size`, where the texts have no more to learn, or larger, where their
        letters alone are more.
        """
        if kind not in kinds.KINDS:
            raise InputError(f"there is no tokenizer kind {kind!r}; the kinds are {', '.join(kinds.KINDS)}")
        tokens = kinds.default_special(kind) if special is None else _preset(special)
        room = len(tokens.tokens())
        if vocab_size <= room:
            raise InputError(
                f"vocab_size is {vocab_size}, but the special tokens alone take {room}; ask for more"
            )
        plan = kinds.Plan(vocab_size=vocab_size, lowercase=lowercase, compose=compose, special=tokens)
        backend = kinds.train(kind, texts, plan)
        if backend.get_vocab_size() <= room:
            raise InputError(f"the texts to train a {kind} tokenizer on hold no tokens; give some text")
        _frame(backend, tokens)
        return cls(backend, tokens.roles())

    @classmethod
    def of_words(cls, words: Sequence[str], special: Special | str = "closed-translation") -> Tokenizer:
        """Exactly these words as ids 0, 1, ...; special tokens that are not among them follow."""
        tokens = _preset(special)
        order = list(dict.fromkeys([*words, *tokens.tokens()]))
        backend = kinds.whole_words(order, tokens)
        _frame(backend, tokens)
        return cls(backend, tokens.roles())

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizer:
        """Read tokenizer.json, or vocab.txt, or vocab.json with merges.txt, from a published folder."""
        tokenizer = cls(*published.read_folder(Path(folder)))
        tokenizer.files = published.files_of(Path(folder))
        return tokenizer

    @classmethod
    def load_source(cls, folder: str | Path) -> Tokenizer | None:
        """The tokenizer of the language that is translated from, where a folder holds one of its own."""
        found = published.read_source(Path(folder))
        return None if found is None else cls(*found)

    @property
    def chat_templates(self) -> dict[str, str]:
        """How a conversation is written, by name; see `chat.rendered`."""
        return published.templates_of(self.settings)

    @property
    def named(self) -> dict[str, str]:
        """The special tokens under the names that published files and templates give them, such as `bos_token`."""
        stated = {
            key: published.name_of(token) for key, token in self.settings.items() if key.endswith("_token")
        }
        parts = {f"{part}_token": token for part, token in self.parts.items()}
        return {**{key: token for key, token in stated.items() if token is not None}, **parts}

    def save(self, folder: str | Path) -> None:
        """Write a folder that `transformers` opens."""
        published.write_folder(Path(folder), self.backend, self.parts, self.settings)

    def save_with(self, folder: str | Path, source: Tokenizer | None) -> None:
        """The same, and that of the language that is translated from beside it, where it is another.

        What other programs know in the form of its files alone is written as these files, which hold both.
        """
        if self.files:
            published.write_files(Path(folder), self.files)
            return
        self.save(folder)
        if source is not None:
            source.save(Path(folder) / published.SOURCE_FOLDER)

    def encode(self, text: str, pair: str | None = None, special: bool = True) -> Encoding:
        """Ids, tokens, character offsets and segments of a text, or of two texts as one sequence."""
        self._refuse_unknown([text] if pair is None else [text, pair])
        return self._encoding(self.backend.encode(text, pair, add_special_tokens=special))

    def encode_batch(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, special: bool = True
    ) -> list[Encoding]:
        """`encode` of many at once."""
        self._refuse_unknown([*texts, *(pairs or [])])
        raw = self.backend.encode_batch(_together(texts, pairs), add_special_tokens=special)
        return [self._encoding(one) for one in raw]

    def steps(self, text: str) -> Tokenization:
        """How a text becomes ids: normalized, cut into words, each word merge by merge (or match by match)."""
        self._refuse_unknown([text])
        if self.cutter is None:
            self.cutter = Cutter(self.backend)
        return self.cutter.cut(text)

    def ids(self, texts: Sequence[str], special: bool = True) -> list[list[int]]:
        """Only the ids of many texts, several times faster than `encode_batch`."""
        self._refuse_unknown(texts)
        raw = self.backend.encode_batch_fast(list(texts), add_special_tokens=special)
        return [one.ids for one in raw]

    def decode(self, ids: Iterable[int], keep_special: bool = False) -> str:
        """The text of these ids."""
        return str(self.backend.decode(self._known(ids), skip_special_tokens=not keep_special))

    def decode_batch(self, rows: Iterable[Iterable[int]], keep_special: bool = False) -> list[str]:
        """`decode` of many at once."""
        return list(
            self.backend.decode_batch([self._known(r) for r in rows], skip_special_tokens=not keep_special)
        )

    def add(self, tokens: Sequence[str]) -> None:
        """Give the vocabulary more special tokens, such as the marks of gaps."""
        self.backend.add_special_tokens(list(tokens))
        self.cutter = None

    def word_starts(self) -> list[bool]:
        """For each id, whether its token begins a word: where words go on with ##, or begin with a space's mark."""
        tokens = [str(self.backend.id_to_token(number)) for number in range(self.vocab_size)]
        if any(token.startswith("##") for token in tokens):
            return [not token.startswith("##") for token in tokens]
        marks = (
            "\u2581",
            "\u0120",
            "\u010a",
        )  # a space, a space and a line feed as the published vocabularies write them
        return [token.startswith(marks) for token in tokens]

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return int(self.backend.get_vocab_size())

    def token(self, id: int) -> str:
        """The token with this id."""
        found = self.backend.id_to_token(int(id)) if id >= 0 else None
        if found is None:  # asked only now, for the size of a vocabulary with many added tokens is slow to count
            self._known([id])
        return str(found)

    def id(self, token: str) -> int | None:
        """The id of this token, or None where the vocabulary lacks it."""
        number: int | None = self.backend.token_to_id(token)
        return number

    @property
    def lowers(self) -> bool:
        """Whether capitals become small letters before a text is cut."""
        return self._normalized("A").islower()

    def _part(self, part: str) -> int | None:
        return self.id(self.parts[part]) if part in self.parts else None

    def _known(self, ids: Iterable[int]) -> list[int]:
        numbers = [int(number) for number in ids]
        size = self.vocab_size
        for number in numbers:
            if not 0 <= number < size:
                raise InputError(f"there is no token {number}; this vocabulary has ids 0 to {size - 1}")
        return numbers

    def _encoding(self, raw: RawEncoding) -> Encoding:
        offsets: list[tuple[int, int]] = raw.offsets
        texts: list[int | None] = raw.sequence_ids
        if self.prefix:
            before: int | None = None
            for number, sequence in enumerate(texts[:-1]):
                begins, before = sequence is not None and sequence != before, sequence
                if begins and raw.tokens[number] == self.prefix and offsets[number + 1][0] == 0:
                    offsets[number] = (0, 0)  # nothing but the space that was put before the text
        return Encoding(raw.ids, raw.tokens, offsets, raw.type_ids, texts)

    def _refuse_unknown(self, texts: Iterable[str]) -> None:
        """A closed vocabulary says which word it lacks, where, and what it knows."""
        if not self.closed:
            return
        vocabulary = self.backend.get_vocab()
        for text in texts:
            for word, (start, end) in self.backend.pre_tokenizer.pre_tokenize_str(self._normalized(text)):
                if word not in vocabulary:
                    raise InputError(
                        f"{cited(word)} (characters {start} to {end} of {cited(text)}) is not in the vocabulary, "
                        f"which is closed; use its words: {self._some_words()}"
                    )

    def _normalized(self, text: str) -> str:
        normalizer = self.backend.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    def _some_words(self, most: int = 40) -> str:
        known = [
            token for token, number in sorted(self.backend.get_vocab().items(), key=lambda item: item[1])
        ]
        words = [token for token in known if token not in self.parts.values()]
        left = len(words) - most
        return " ".join(words[:most]) + (f" and {left} more" if left > 0 else "")


def cited(text: str, most: int = 80) -> str:
    """A text in quotes; of a long one its beginning."""
    return repr(text) if len(text) <= most else f"{text[:most]!r} and so on"


def _together(texts: Sequence[str], pairs: Sequence[str] | None) -> list[Any]:
    if pairs is None:
        return list(texts)
    if len(pairs) != len(texts):
        raise InputError(f"{len(texts)} texts came with {len(pairs)} second texts; give one for each")
    return list(zip(texts, pairs, strict=True))


def _preset(special: Special | str) -> Special:
    if isinstance(special, Special):
        return special
    if special not in PRESETS:
        raise InputError(
            f"there are no special tokens named {special!r}; the presets are {', '.join(PRESETS)}"
        )
    return PRESETS[special]


def _is_closed(backend: Backend) -> bool:
    model = backend.model
    return isinstance(model, models.WordLevel) and backend.token_to_id(model.unk_token) is None


def _prefix(backend: Backend) -> str:
    """What the backend puts before every text, mostly a space."""
    normalized = backend.normalizer.normalize_str("x") if backend.normalizer else "x"
    pieces = (
        backend.pre_tokenizer.pre_tokenize_str(normalized) if backend.pre_tokenizer else [(normalized, ())]
    )
    return "".join(piece for piece, _ in pieces).removesuffix("x")


def _frame(backend: Backend, special: Special) -> None:
    """Put the special tokens around an encoded text; a second text gets segment 1."""
    roles = special.roles()
    before = [roles[special.before]] if special.before else []
    after = [roles[special.after]] if special.after else []
    if not before and not after:
        return
    used = list(dict.fromkeys(before + after))
    single = " ".join([*(f"{t}:0" for t in before), "$A:0", *(f"{t}:0" for t in after)])
    second = " ".join(["$B:1", *(f"{t}:1" for t in after)])
    backend.post_processor = processors.TemplateProcessing(
        single=single,
        pair=f"{single} {second}",
        special_tokens=[(token, backend.token_to_id(token)) for token in used],
    )
