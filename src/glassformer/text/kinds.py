"""How each kind of vocabulary is trained: what is normalized, where text is cut, how pieces join again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from glassformer.errors import InputError
from glassformer.text.special import PRESETS, Special

SPACE = "\u2581"  # stands for the ordinary space inside tokens, as in SentencePiece
NARROW = "\u00a0\u202f\u2009"  # French sets these before ! ? : and they must come back exactly

# A word brings its space or hyphen. English endings stay with it (don't); an elided word is cut after its
# apostrophe (l'|eau), so that the noun is one token whatever is elided. A digit stands alone; marks bring
# their narrow space.
LETTER = r"[\p{L}\p{M}]"
ENDING = rf"['\u2019](?:s|t|re|ve|ll|d|m|S|T|RE|VE|LL|D|M)(?!{LETTER})"
WORD = rf"[{SPACE}\-]?{LETTER}+(?:{ENDING}|['\u2019](?={LETTER}))?"
DIGIT = rf"{SPACE}?\p{{N}}"
MARKS = rf"[{SPACE}{NARROW}]?[^\s\p{{L}}\p{{M}}\p{{N}}{SPACE}]+"
PIECE = rf"{WORD}|{DIGIT}|{MARKS}|{SPACE}|\s"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training needs to know beside its texts."""

    vocab_size: int
    lowercase: bool
    compose: bool  # Unicode NFC
    special: Special


def train(kind: str, texts: Iterable[str], plan: Plan) -> Backend:
    """A trained backend of this kind, without the frame of special tokens."""
    return KINDS[kind](texts, plan)


def default_special(kind: str) -> Special:
    """The special tokens that a kind has where the caller names none."""
    return PRESETS[DEFAULT_SPECIAL[kind]]


def bpe(texts: Iterable[str], plan: Plan) -> Backend:
    """Byte-pair encoding of characters. Sennrich et al. 2016; words keep their space, as in SentencePiece."""
    backend = Backend(models.BPE(unk_token=needed_unknown("bpe", plan)))
    spaced(backend, plan)
    trainer = trainers.BpeTrainer(
        vocab_size=plan.vocab_size, special_tokens=plan.special.tokens(), show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def unigram(texts: Iterable[str], plan: Plan) -> Backend:
    """The likeliest pieces under a unigram language model. Kudo 2018.

    Scores are rounded so that a file's reader gets the very numbers that were written, and ties stay ties.
    The library scores the rarest letters in an order of chance: keep the file, not only its recipe.
    """
    backend = Backend(models.Unigram())
    spaced(backend, plan)
    trainer = trainers.UnigramTrainer(
        vocab_size=plan.vocab_size,
        special_tokens=plan.special.tokens(),
        unk_token=needed_unknown("unigram", plan),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    model = json.loads(backend.to_str())["model"]
    first = len(plan.special.tokens())
    scores = [(piece, round(score, 6)) for piece, score in model["vocab"]]
    ranked = scores[:first] + sorted(scores[first:], key=lambda item: (-item[1], item[0]))
    backend.model = models.Unigram(ranked, unk_id=model["unk_id"], byte_fallback=False)
    return backend


def byte_bpe(texts: Iterable[str], plan: Plan) -> Backend:
    """Byte-pair encoding of bytes, so nothing is unknown. Radford et al. 2019."""
    backend = Backend(models.BPE())
    normalize(backend, plan)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=plan.vocab_size,
        special_tokens=plan.special.tokens(),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def wordpiece(texts: Iterable[str], plan: Plan) -> Backend:
    """Words cut into a start and ##continuations. Schuster and Nakajima 2012; Devlin et al. 2019."""
    unknown, special = needed_unknown("wordpiece", plan), plan.special.tokens()
    backend = Backend(models.BPE(continuing_subword_prefix="##"))
    normalize(backend, replace(plan, lowercase=False), [normalizers.BertNormalizer(lowercase=plan.lowercase)])
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    lines = list(texts)
    backend.train_from_iterator(lines, continued(0, special))
    # The trainer numbers the ##letters by chance and settles equal counts by number: fix their numbers first.
    letters = sorted(
        token for token in backend.get_vocab() if token.startswith("##") and token not in special
    )
    backend.train_from_iterator(lines, continued(plan.vocab_size, special + letters))
    found = Backend(models.WordPiece(backend.get_vocab(), unk_token=unknown))
    found.normalizer, found.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    found.decoder = decoders.WordPiece()
    found.add_special_tokens(special)
    return found


def continued(vocab_size: int, first: list[str]) -> trainers.BpeTrainer:
    """Merges inside words whose continuations are written with ##, after these first tokens."""
    return trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=first, continuing_subword_prefix="##", show_progress=False
    )


def characters(texts: Iterable[str], plan: Plan) -> Backend:
    """Every character a token."""
    backend = counted(texts, plan, pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated"))
    backend.decoder = decoders.Fuse()
    return backend


def words(texts: Iterable[str], plan: Plan) -> Backend:
    """Every word between white space a token, in the order of first appearance."""
    return counted(texts, plan, pre_tokenizers.WhitespaceSplit())


def counted(texts: Iterable[str], plan: Plan, cut: Any) -> Backend:
    """A vocabulary of whole pieces: the most frequent ones if not all have a place."""
    blank = Backend(models.WordLevel({}, unk_token=plan.special.unk or ""))
    normalize(blank, plan)
    counts: Counter[str] = Counter()
    for text in texts:
        seen = blank.normalizer.normalize_str(text) if blank.normalizer else text
        counts.update(piece for piece, _ in cut.pre_tokenize_str(seen))
    special = plan.special.tokens()
    kept = {piece for piece, _ in counts.most_common(max(plan.vocab_size - len(special), 0))}
    order = special + [piece for piece in counts if piece in kept and piece not in special]
    backend = whole_words(order, plan.special)
    normalize(backend, plan)
    backend.pre_tokenizer = cut
    return backend


def whole_words(order: list[str], special: Special) -> Backend:
    """These tokens in this order, found between white space; closed, unless one of them means unknown."""
    vocabulary = {token: number for number, token in enumerate(order)}
    backend = Backend(models.WordLevel(vocabulary, unk_token=special.unk or ""))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens(special.tokens())
    return backend


def needed_unknown(kind: str, plan: Plan) -> str:
    """The unknown token, which an open vocabulary of characters cannot do without."""
    if plan.special.unk is None:
        raise InputError(f"a {kind} vocabulary needs an unknown token, none was given; name special's unk")
    return plan.special.unk


def spaced(backend: Backend, plan: Plan) -> None:
    """Give each word its space, so that text is nothing but its pieces joined, and cut marks from words."""
    normalize(backend, plan, [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    backend.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )


def normalize(backend: Backend, plan: Plan, then: list[Any] | None = None) -> None:
    """Compose and lower the case where asked, then the kind's own steps."""
    steps: list[Any] = [normalizers.NFC()] if plan.compose else []
    steps += [normalizers.Lowercase()] if plan.lowercase else []
    steps += then or []
    if steps:
        backend.normalizer = normalizers.Sequence(steps)


KINDS: Mapping[str, Callable[[Iterable[str], Plan], Backend]] = {
    "bpe": bpe,
    "byte-bpe": byte_bpe,
    "wordpiece": wordpiece,
    "unigram": unigram,
    "characters": characters,
    "words": words,
}
DEFAULT_SPECIAL: Mapping[str, str] = {
    "bpe": "translation",
    "byte-bpe": "gpt",
    "wordpiece": "bert",
    "unigram": "translation",
    "characters": "characters",
    "words": "closed-translation",
}
