"""BPE-dropout: a word is cut in many ways, so that a model learns what its pieces mean. Provilkov et al. 2020."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from random import Random
from typing import Any

import numpy as np

from glassformer.errors import InputError
from glassformer.text.tokenizer import Tokenizer

Pieces = tuple[int, ...]
Word = tuple[Pieces, bool]  # its ids as the vocabulary cuts it, and whether it may be cut otherwise
WAYS = 32  # cuts of a word that are drawn; frequent words are met in each of them


class VariedCuts:
    """Texts as ids, their words cut by merges of which some are left out.

    At every step each merge that is possible is left out with probability `dropout`; the first learnt of the others is
    made, and where none is left the word is done. Provilkov et al. 2020, algorithm 1. The cuts of a word are a
    function of `seed` alone, so that a run that was broken off goes on with the same ones.
    """

    def __init__(self, tokenizer: Tokenizer, dropout: float, *, seed: int) -> None:
        model: dict[str, Any] = json.loads(tokenizer.backend.to_str())["model"]
        if model.get("type") != "BPE":
            raise InputError(
                f"BPE-dropout leaves out merges, and this tokenizer ({model.get('type')}) has none; leave it out, or "
                "learn a tokenizer of kind 'bpe' or 'byte-bpe'"
            )
        self.tokenizer, self.dropout, self.seed = tokenizer, dropout, seed
        vocabulary, prefix = model["vocab"], model.get("continuing_subword_prefix") or ""
        self.merges: dict[tuple[int, int], tuple[int, int]] = {}  # a pair -> its rank, and the piece it becomes
        self.parts: dict[int, tuple[int, int]] = {}  # a piece -> the pair that it was made of first
        for rank, merge in enumerate(model["merges"]):
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            pair = vocabulary[left], vocabulary[right]
            piece = vocabulary[left + right.removeprefix(prefix)]
            self.merges[pair] = rank, piece
            self.parts.setdefault(piece, pair)
        self.way: Callable[[Pieces, int], Pieces] = lru_cache(maxsize=1_000_000)(self._way)

    def words(self, texts: Sequence[str], *, special: bool = True) -> list[list[Word]]:
        """Texts as words; a token that was added, or is unknown, is a word that stays."""
        kept = self.tokenizer.special_ids
        words: dict[Word, Word] = {}  # equal ones are one object

        def word(ids: Sequence[int], of: int | None) -> Word:
            found = tuple(ids), of is not None and not kept.intersection(ids)
            return words.setdefault(found, found)

        return [
            [
                word([id for id, _ in group], number)
                for number, group in groupby(zip(raw.ids, raw.word_ids, strict=True), key=lambda pair: pair[1])
            ]
            for raw in self.tokenizer.backend.encode_batch(list(texts), add_special_tokens=special)
        ]

    def drawn(self, words: Sequence[Word], random: np.random.Generator) -> list[int]:
        """The ids of a text, each of its words cut in one of its ways."""
        ways = random.integers(WAYS, size=len(words)).tolist()
        return [
            id
            for (pieces, free), way in zip(words, ways, strict=True)
            for id in (self.way(pieces, way) if free else pieces)
        ]

    def _way(self, pieces: Pieces, number: int) -> Pieces:
        """A word's cut of this number."""
        atoms = [atom for piece in pieces for atom in self._atoms(piece)]
        return self._merged(atoms, Random(f"{self.seed} {pieces} {number}"))

    def _atoms(self, piece: int) -> list[int]:
        """The pieces that no merge has made, of which this one was."""
        pair = self.parts.get(piece)
        return [piece] if pair is None else [atom for part in pair for atom in self._atoms(part)]

    def _merged(self, pieces: list[int], random: Random) -> Pieces:
        while True:
            possible = (
                (*self.merges[pair], place) for place, pair in enumerate(pairwise(pieces)) if pair in self.merges
            )
            best = min((each for each in possible if random.random() >= self.dropout), default=None)
            if best is None:
                return tuple(pieces)
            _, piece, place = best
            pieces[place : place + 2] = [piece]
