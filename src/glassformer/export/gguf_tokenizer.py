"""A tokenizer as llama.cpp reads it: merges of bytes (its "gpt2"), or of pieces, as SentencePiece's (its "llama")."""

import json
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

from glassformer.errors import InputError
from glassformer.text.sentencepiece import SPACE
from glassformer.text.tokenizer import Tokenizer

Said = Mapping[str, Any]  # tokenizer.json, or a part of it
Cut = tuple[object, ...]

ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}{REST}"
QWEN2 = rf"{ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{REST}"
GPT2_BYTES = ("ByteLevel", False, True)  # a space before the text? cut by GPT-2's own expression?
BARE_BYTES = ("ByteLevel", False, False)

CUTS: Mapping[
    tuple[Cut, ...], str
] = {  # how a text is cut before its bytes are merged -> llama.cpp's name of it
    (GPT2_BYTES,): "gpt-2",
    (("Digits", True), GPT2_BYTES): "smollm",
    (("Split", LLAMA3, "Isolated", False), BARE_BYTES): "llama-bpe",
    (("Split", QWEN2, "Isolated", False), BARE_BYTES): "qwen2",
}
WHOLE_FIRST = ("llama-bpe",)  # where a piece that is a token stays whole
NORMALIZERS = (
    None,
    {"type": "NFC"},
)  # the latter is left out by llama.cpp, of Qwen 2 and GPT-NeoX as it converts them
PROBES = ("a", "a b", "a  b ", "Ab1,\n\té 中😀")
FALLBACK = tuple(f"<0x{byte:02X}>" for byte in range(256))


class Type(IntEnum):
    """What a token is, as llama.cpp numbers it."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


def described(tokenizer: Tokenizer, size: int) -> dict[str, Any]:
    """The keys of a vocabulary; rows of the table beyond it get tokens that are never used."""
    said = json.loads(tokenizer.backend.to_str())
    if said["model"]["type"] != "BPE":
        raise refusal(f"is a {said['model']['type']} model")
    names, types = tokens(tokenizer, said, size)
    written = {"tokenizer.ggml.tokens": names, "tokenizer.ggml.token_type": types, **frame(tokenizer)}
    cuts = tuple(map(cut, steps(said["pre_tokenizer"])))
    if any(each[0] == "ByteLevel" for each in cuts):
        return {**written, **of_bytes(said, cuts)}
    return {**written, **of_pieces(said, tokenizer, names, types)}


def refusal(what: str) -> InputError:
    """A tokenizer that llama.cpp would not run as it is."""
    return InputError(
        f"the tokenizer {what}; llama.cpp reads byte-pair encodings, of bytes as GPT-2, Llama 3, Qwen 2 and SmolLM cut "
        "them, or as SentencePiece makes them: choose another format"
    )


# ------------------------------------------------------------------ tokens and their frame


def tokens(tokenizer: Tokenizer, said: Said, size: int) -> tuple[list[str], list[int]]:
    """The name of every token, and what it is."""
    names = [tokenizer.token(number) for number in range(tokenizer.vocab_size)]
    if len(names) > size:
        raise InputError(
            f"the tokenizer has {len(names)} tokens, but the model only {size} rows for them; "
            "give the tokenizer that belongs to it"
        )
    added = said["added_tokens"]
    types = {each["content"]: Type.CONTROL if each["special"] else Type.USER_DEFINED for each in added}
    if said["model"]["byte_fallback"]:
        types |= dict.fromkeys(FALLBACK, Type.BYTE)
        types |= {token: Type.UNKNOWN for token in [said["model"]["unk_token"]] if token is not None}
    spare = [f"[PAD{number}]" for number in range(len(names), size)]
    own = [int(types.get(name, Type.NORMAL)) for name in names]
    return names + spare, own + [int(Type.UNUSED)] * len(spare)


def frame(tokenizer: Tokenizer) -> dict[str, Any]:
    """Special tokens, which of them stand around a text, and how a conversation is written."""
    parts = {"bos": tokenizer.bos_id, "eos": tokenizer.eos_id}
    parts |= {"unknown": tokenizer.unk_id, "padding": tokenizer.pad_id}
    ids = {f"tokenizer.ggml.{part}_token_id": id for part, id in parts.items() if id is not None}
    framed, bare = (
        tokenizer.backend.encode("a", add_special_tokens=special).ids for special in (True, False)
    )
    first, last = framed[: len(framed) - len(bare)], framed[len(bare) :]
    starts, ends = first == [tokenizer.bos_id] and framed[1:] == bare, last == [tokenizer.eos_id]
    if framed == [tokenizer.bos_id, *bare, tokenizer.eos_id]:
        starts = ends = True
    elif framed != bare and not starts and not (ends and framed[:-1] == bare):
        raise refusal("puts more around a text than its first and its last token")
    template = tokenizer.settings.get("chat_template")
    return {
        **ids,
        "tokenizer.ggml.add_bos_token": starts,
        "tokenizer.ggml.add_eos_token": ends,
        **({"tokenizer.chat_template": template} if isinstance(template, str) else {}),
    }


# ------------------------------------------------------------------ bytes


def of_bytes(said: Said, cuts: tuple[Cut, ...]) -> dict[str, Any]:
    """The merges, and llama.cpp's name for how a text is cut before them. Radford et al. 2019."""
    name = CUTS.get(cuts)
    if name is None or (name in WHOLE_FIRST) != bool(said["model"]["ignore_merges"]):
        raise refusal("cuts a text in another way before it merges its bytes")
    if said["normalizer"] not in NORMALIZERS:
        raise refusal(f"changes a text first, by {said['normalizer']['type']}")
    merges = [f"{left} {right}" for left, right in merges_of(said)]
    return {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": name, "tokenizer.ggml.merges": merges}


def steps(said: Said | None) -> Sequence[Said]:
    """The steps of a pre-tokenizer, one after the other."""
    if said is None:
        return ()
    return tuple(said["pretokenizers"]) if said["type"] == "Sequence" else (said,)


def cut(step: Said) -> Cut:
    """One step, as CUTS writes it."""
    keys = {
        "ByteLevel": ("add_prefix_space", "use_regex"),
        "Digits": ("individual_digits",),
        "Split": ("pattern", "behavior", "invert"),
    }
    values = (step.get(key) for key in keys.get(step["type"], ()))
    return step["type"], *(each.get("Regex") if isinstance(each, dict) else each for each in values)


def merges_of(said: Said) -> list[tuple[str, str]]:
    """The merges, which old files write with a space between."""
    pairs = (each.split(" ") if isinstance(each, str) else each for each in said["model"]["merges"])
    return [(left, right) for left, right in pairs]


# ------------------------------------------------------------------ pieces


def of_pieces(said: Said, tokenizer: Tokenizer, names: Sequence[str], types: Sequence[int]) -> dict[str, Any]:
    """The score of every piece, where a text is one whole whose spaces are letters. Kudo and Richardson 2018."""
    if not said["model"]["byte_fallback"] or not set(names) >= set(FALLBACK):
        raise refusal("has no bytes to fall back to")
    prefixes = {prefix_of(tokenizer, probe) for probe in PROBES}
    if len(prefixes) != 1 or None in prefixes:
        raise refusal("cuts or changes a text before it merges its pieces")
    ranked = scores(
        merges_of(said), [name for name, type in zip(names, types, strict=True) if type == Type.NORMAL]
    )
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.add_space_prefix": prefixes == {SPACE},
        "tokenizer.ggml.scores": [ranked.get(name, 0.0) for name in names],
    }


def scores(merges: Sequence[tuple[str, str]], pieces: Sequence[str]) -> dict[str, float]:
    """The better the earlier a piece is made.

    llama.cpp joins the neighbours that make the best piece, we those of the first merge. The two are the same where
    all ways to make a piece are merges and stand together, as they do in what was once a SentencePiece model.
    """
    ranked: dict[str, float] = {}
    before = ""
    for token in map("".join, merges):
        if token in ranked and token != before:
            raise refusal(f"makes {token!r} by merges in two places")
        ranked.setdefault(token, -float(len(ranked)))
        before = token
    known, learned = (
        {*pieces, *"".join(pieces)},
        set(merges),
    )  # llama.cpp starts from letters, be they pieces or not
    for piece in pieces:
        for pair in ((piece[:place], piece[place:]) for place in range(1, len(piece))):
            if known.issuperset(pair) and pair not in learned:
                raise refusal(f"has {piece!r}, but no merge of {pair[0]!r} and {pair[1]!r}")
    return ranked


def prefix_of(tokenizer: Tokenizer, text: str) -> str | None:
    """What is put before a text, "" or a space; None where it is cut, or changed otherwise."""
    backend, plain = tokenizer.backend, text.replace(" ", SPACE)
    normalized = backend.normalizer.normalize_str(text) if backend.normalizer else text
    pieces = (
        backend.pre_tokenizer.pre_tokenize_str(normalized) if backend.pre_tokenizer else [(normalized, ())]
    )
    whole = pieces[0][0] if len(pieces) == 1 else ""
    prefix = whole.removesuffix(plain)
    return prefix if whole.endswith(plain) and prefix in ("", SPACE) else None
