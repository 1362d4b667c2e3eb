"""The special tokens of a vocabulary and the frame that they put around a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from glassformer.errors import InputError

# Where no file says which token plays which part, the first of these that stands in the vocabulary does.
WELL_KNOWN: Mapping[str, tuple[str, ...]] = {
    "pad": ("<pad>", "[PAD]"),
    "unk": ("<unk>", "[UNK]"),
    "bos": ("<bos>", "<s>", "<|endoftext|>"),
    "eos": ("<eos>", "</s>", "<|endoftext|>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}


@dataclass(frozen=True, kw_only=True)
class Special:
    """Which token plays which part; `before` and `after` name the parts that frame an encoded text."""

    pad: str | None = None
    unk: str | None = None
    bos: str | None = None
    eos: str | None = None
    cls: str | None = None
    sep: str | None = None
    mask: str | None = None
    before: str | None = None
    after: str | None = None

    def __post_init__(self) -> None:
        for place in ("before", "after"):
            part = getattr(self, place)
            if part is not None and (part not in PARTS or getattr(self, part) is None):
                raise InputError(
                    f"the frame puts {part!r} {place} the text, but the special tokens have only "
                    f"{sorted(self.roles())}; name one of these or None"
                )

    def roles(self) -> dict[str, str]:
        """Part -> token, of those that are there."""
        return {part: token for part in PARTS if (token := getattr(self, part)) is not None}

    def tokens(self) -> list[str]:
        """Each special token once, in the order of their ids."""
        return list(dict.fromkeys(self.roles().values()))


PARTS: tuple[str, ...] = tuple(f.name for f in fields(Special) if f.name not in ("before", "after"))

PRESETS: Mapping[str, Special] = {
    "translation": Special(pad="<pad>", unk="<unk>", bos="<bos>", eos="<eos>", after="eos"),
    "closed-translation": Special(pad="<pad>", bos="<bos>", eos="<eos>", after="eos"),
    "bert": Special(
        pad="[PAD]", unk="[UNK]", cls="[CLS]", sep="[SEP]", mask="[MASK]", before="cls", after="sep"
    ),
    "roberta": Special(
        pad="<pad>",
        unk="<unk>",
        bos="<s>",
        eos="</s>",
        cls="<s>",
        sep="</s>",
        mask="<mask>",
        before="cls",
        after="sep",
    ),
    "denoising": Special(pad="<pad>", unk="<unk>", bos="<s>", eos="</s>", mask="<mask>", after="eos"),
    "gpt": Special(bos="<|endoftext|>", eos="<|endoftext|>"),
    "characters": Special(pad="<pad>", bos="<bos>", eos="<eos>"),
}
