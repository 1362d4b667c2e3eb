"""How published folders number the pieces of a SentencePiece model, and frame a text with special tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import processors

from glassformer.errors import InputError
from glassformer.text import sentencepiece

Settings = Mapping[str, Any]
FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")
M2M100 = (  # the languages of M2M100, in the order of their tokens, where the folder does not name them
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht hu hy "
    "id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl ps pt ro ru "
    "sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu"
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What stands before the pieces in place of the first few, what after them, and the frame of a text."""

    before: tuple[str, ...] = ()
    instead_of: int = 0
    after: tuple[str, ...] = ()
    languages: bool = False  # the folder names languages, whose tokens follow the pieces
    frame: str = "$A </s>"
    language: str | None = None  # of the frame, where the folder names none

    def framed(self, backend: Backend, settings: Settings) -> Backend:
        """The frame put on."""
        language = str(settings.get("src_lang") or self.language)
        marked = f"__{language}__"
        frame = self.frame.replace("<language>", language if backend.token_to_id(marked) is None else marked)
        used = [token for token in dict.fromkeys(frame.split()) if token != "$A"]
        missing = [token for token in used if backend.token_to_id(token) is None]
        if missing:
            raise InputError(
                f"the vocabulary has no {', '.join(missing)}, which frames a text; "
                "fetch tokenizer_config.json and special_tokens_map.json too"
            )
        backend.post_processor = processors.TemplateProcessing(
            single=frame,
            pair=frame.replace("$A", "$A $B"),
            special_tokens=[(token, backend.token_to_id(token)) for token in used],
        )
        return backend


LAYOUTS: Mapping[str, Layout] = {
    "T5Tokenizer": Layout(after=tuple(f"<extra_id_{number}>" for number in range(99, -1, -1))),
    "PegasusTokenizer": Layout(
        before=("<pad>", "</s>", "<mask_1>", "<mask_2>", *(f"<unk_{number}>" for number in range(2, 103))),
        instead_of=2,
    ),
    "XLMRobertaTokenizer": Layout(before=FAIRSEQ, instead_of=3, after=("<mask>",), frame="<s> $A </s>"),
    "MBartTokenizer": Layout(
        before=FAIRSEQ,
        instead_of=3,
        after=("<mask>",),
        languages=True,
        frame="$A </s> <language>",
        language="en_XX",
    ),
    "MBart50Tokenizer": Layout(
        before=FAIRSEQ,
        instead_of=3,
        after=("<mask>",),
        languages=True,
        frame="<language> $A </s>",
        language="en_XX",
    ),
    "NllbTokenizer": Layout(
        before=FAIRSEQ,
        instead_of=3,
        after=("<mask>",),
        languages=True,
        frame="<language> $A </s>",
        language="eng_Latn",
    ),
}
OF_FAMILY = {  # model_type -> where tokenizer_config.json names no class
    "t5": "T5Tokenizer",
    "mt5": "T5Tokenizer",
    "pegasus": "PegasusTokenizer",
    "mbart": "MBartTokenizer",
    "m2m_100": "NllbTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}


def layout_of(folder: Path, settings: Settings) -> Layout:
    """By the class that tokenizer_config.json names, or else by the model's own family."""
    named = str(settings.get("tokenizer_class") or "").removesuffix("Fast")
    family = _object(folder / "config.json").get("model_type")
    name = named if named in LAYOUTS else OF_FAMILY.get(str(family), named)
    if name not in LAYOUTS:
        raise InputError(
            f"{folder} holds a SentencePiece model of the kind {name or family!r}, whose numbering is not known here; "
            f"known are {', '.join(LAYOUTS)}: add its tokenizer.json"
        )
    return LAYOUTS[name]


def languages_of(folder: Path, settings: Settings) -> list[str]:
    """The tokens of languages that a folder names, in the order of their numbers."""
    stated = {**settings, **_object(folder / "special_tokens_map.json")}
    for key in ("additional_special_tokens", "extra_special_tokens"):
        listed = stated.get(key)
        if isinstance(listed, list):
            names = [token.get("content") if isinstance(token, Mapping) else token for token in listed]
            return [str(name) for name in names if name]
    return []


def read_pieces(name: str) -> Callable[[Path, Settings], Backend]:
    """A reader of a model whose pieces keep their order."""

    def reader(folder: Path, settings: Settings) -> Backend:
        model, layout = sentencepiece.read(folder / name), layout_of(folder, settings)
        languages = languages_of(folder, settings) if layout.languages else []
        order = [
            *layout.before,
            *(piece.text for piece in model.pieces[layout.instead_of :]),
            *languages,
            *layout.after,
        ]
        special = [*_control(model), *layout.before, *languages, *layout.after]
        return layout.framed(sentencepiece.backend(model, order, _present(special, order)), settings)

    return reader


def read_numbered(folder: Path, settings: Settings) -> Backend:
    """M2M100: vocab.json numbers the pieces, and the languages follow."""
    model = sentencepiece.read(folder / "sentencepiece.bpe.model")
    languages = languages_of(folder, settings) or [f"__{code}__" for code in M2M100.split()]
    order = [*_ordered(folder / "vocab.json"), *languages]
    backend = sentencepiece.backend(model, order, _present([*FAIRSEQ, *languages], order))
    return Layout(frame="<language> $A </s>", language="en").framed(backend, settings)


def read_side(side: str) -> Callable[[Path, Settings], Backend]:
    """Marian: a model for each language, and one vocabulary for both, or one for each.

    Letters that the model does not know, but the vocabulary does, are cut one by one; the published code takes two or
    more of them in a row for one unknown token.
    """

    def reader(folder: Path, settings: Settings) -> Backend:
        own = folder / "target_vocab.json"
        order = _ordered(own if side == "target" and own.is_file() else folder / "vocab.json")
        languages = [token for token in order if token.startswith(">>") and token.endswith("<<")]
        model = sentencepiece.read(folder / f"{side}.spm")
        special = _present(["<pad>", "</s>", "<unk>", *languages], order)
        return Layout().framed(sentencepiece.backend(model, order, special), settings)

    return reader


def _ordered(path: Path) -> list[str]:
    """The tokens of vocab.json, by their numbers, which have no gap."""
    numbers = _object(path)
    order = sorted(numbers, key=lambda token: int(numbers[token]))
    if [numbers[token] for token in order] != list(range(len(order))):
        raise InputError(f"{path} does not number its tokens 0, 1, 2 and so on; fetch the file again")
    return order


def _control(model: sentencepiece.Model) -> list[str]:
    kinds = (sentencepiece.CONTROL, sentencepiece.UNKNOWN)
    return [piece.text for piece in model.pieces if piece.kind in kinds]


def _present(tokens: Sequence[str], order: Sequence[str]) -> list[str]:
    known = set(order)
    return [token for token in dict.fromkeys(tokens) if token in known]


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON ({error}); fetch the file again") from error
    return value if isinstance(value, dict) else {}
