"""How one word is cut into pieces of a vocabulary, by each of the four models that there are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

UNKNOWN_PENALTY = 10.0  # what an unknown character costs a unigram model beyond its least likely piece


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of cutting a word: the pieces after it, and what was done, in words.

    `rank` is the place of the merge among those that were learnt; `score` the log-probability of a path of pieces.
    """

    pieces: tuple[str, ...]
    says: str
    rank: int | None
    score: float | None


class Pieces(Protocol):
    """A model of a vocabulary."""

    def steps(self, word: str) -> Iterator[Step]:
        """How a word is cut; the last step holds its pieces."""

    def tokens(self, pieces: Sequence[str]) -> Iterator[str]:
        """The tokens of the vocabulary that stand for these pieces."""


class Merges:
    """Byte-pair encoding: the neighbours that were merged first in training are merged first. Sennrich et al. 2016."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        self.vocabulary, self.unknown = model["vocab"], model.get("unk_token")
        pairs = (tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"])
        self.ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self.prefix = model.get("continuing_subword_prefix") or ""
        self.suffix = model.get("end_of_word_suffix") or ""
        self.bytes, self.fused = bool(model.get("byte_fallback")), bool(model.get("fuse_unk"))
        self.whole = bool(model.get("ignore_merges"))

    def steps(self, word: str) -> Iterator[Step]:
        """Its characters, then one merge after the other."""
        if self.whole and word in self.vocabulary:
            yield Step(pieces=(word,), says="the whole word is in the vocabulary", rank=None, score=None)
            return
        pieces = self._characters(word)
        yield Step(pieces=tuple(pieces), says=f"{len(pieces)} to begin with", rank=None, score=None)
        while (merge := self._first_merge(pieces)) is not None:
            rank, place = merge
            left, right = pieces[place : place + 2]
            pieces[place : place + 2] = [left + right.removeprefix(self.prefix)]
            yield Step(pieces=tuple(pieces), says=f"{left} + {right}, merge {rank}", rank=rank, score=None)

    def tokens(self, pieces: Sequence[str]) -> Iterator[str]:
        """The pieces themselves: what the vocabulary lacks was replaced before."""
        return iter(pieces)

    def _first_merge(self, pieces: Sequence[str]) -> tuple[int, int] | None:
        ranked = (
            (self.ranks[pair], place)
            for place, pair in enumerate(zip(pieces, pieces[1:], strict=False))
            if pair in self.ranks
        )
        return min(ranked, default=None)

    def _characters(self, word: str) -> list[str]:
        found: list[str] = []
        unknown_before = False
        for place, character in enumerate(word):
            piece = (self.prefix if place else "") + character
            piece += self.suffix if place == len(word) - 1 else ""
            pieces, unknown = self._known(piece)
            if not (unknown and unknown_before and self.fused):
                found += pieces
            unknown_before = unknown
        return found

    def _known(self, piece: str) -> tuple[list[str], bool]:
        """The tokens for one character, and whether it is unknown."""
        if piece in self.vocabulary:
            return [piece], False
        if self.bytes:
            spelt = [f"<0x{byte:02X}>" for byte in piece.encode()]
            if all(byte in self.vocabulary for byte in spelt):
                return spelt, False
        return ([] if self.unknown is None else [self.unknown]), True


class LongestMatch:
    """WordPiece: the longest piece that the rest of the word begins with, again and again. Devlin et al. 2019."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        self.vocabulary, self.unknown = model["vocab"], model["unk_token"]
        self.prefix, self.longest = model["continuing_subword_prefix"], model["max_input_chars_per_word"]

    def steps(self, word: str) -> Iterator[Step]:
        """One piece after the other."""
        if len(word) > self.longest:
            yield self._given_up(f"it has more than {self.longest} characters")
            return
        pieces: list[str] = []
        start = 0
        while start < len(word):
            end, piece = self._longest(word, start)
            if piece is None:
                yield self._given_up(f"no piece begins {word[start:]!r}")
                return
            pieces.append(piece)
            tried = len(word) - end
            says = f"{piece}: the longest that begins {word[start:]!r}"
            yield Step(
                pieces=tuple(pieces),
                says=f"{says}, {tried} longer not known" if tried else says,
                rank=None,
                score=None,
            )
            start = end

    def tokens(self, pieces: Sequence[str]) -> Iterator[str]:
        """The pieces themselves."""
        return iter(pieces)

    def _longest(self, word: str, start: int) -> tuple[int, str | None]:
        prefix = self.prefix if start else ""
        ends = range(len(word), start, -1)
        return next(
            ((end, prefix + word[start:end]) for end in ends if prefix + word[start:end] in self.vocabulary),
            (start, None),
        )

    def _given_up(self, why: str) -> Step:
        return Step(pieces=(self.unknown,), says=f"unknown: {why}", rank=None, score=None)


class BestPath:
    """Unigram: the pieces whose probabilities have the greatest product, found from left to right. Kudo 2018."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        self.scores: dict[str, float] = {}
        for piece, score in model["vocab"]:
            self.scores.setdefault(piece, score)
        self.unknown = None if model["unk_id"] is None else model["vocab"][model["unk_id"]][0]
        self.worst = min(self.scores.values(), default=0.0) - UNKNOWN_PENALTY
        self.longest = max(map(len, self.scores), default=1)
        self.bytes = bool(model.get("byte_fallback"))

    def steps(self, word: str) -> Iterator[Step]:
        """The best path to each character that one ends at; the last is the word's."""
        best: list[tuple[float, int, bool] | None] = [(0.0, 0, False), *[None] * len(word)]
        for start in range(len(word)):
            here = best[start]
            if here is None:
                continue
            alone = False
            for end in range(start + 1, min(start + self.longest, len(word)) + 1):
                score = self.scores.get(word[start:end])
                if score is not None:
                    alone = alone or end == start + 1
                    self._better(best, end, (here[0] + score, start, False))
            if not alone:
                self._better(best, start + 1, (here[0] + self.worst, start, True))
        for end in range(1, len(word) + 1):
            reached = best[end]
            if reached is not None:
                pieces = self._path(word, best, end)
                yield Step(
                    pieces=tuple(pieces),
                    says=f"the best path to {word[:end]!r}: {reached[0]:.4f}",
                    rank=None,
                    score=reached[0],
                )

    @staticmethod
    def _better(best: list[tuple[float, int, bool] | None], end: int, path: tuple[float, int, bool]) -> None:
        known = best[end]
        if known is None or path[0] > known[0]:
            best[end] = path

    def _path(self, word: str, best: Sequence[tuple[float, int, bool] | None], end: int) -> list[str]:
        """The pieces of a path, from its end; unknown characters side by side are one piece."""
        found: list[tuple[str, bool]] = []
        while end:
            step = best[end]
            assert step is not None, "a path leads over places that one reaches"
            _, start, unknown = step
            if unknown and found and found[-1][1]:
                found[-1] = (word[start:end] + found[-1][0], True)
            else:
                found.append((word[start:end], unknown))
            end = start
        return [piece for piece, _ in reversed(found)]

    def tokens(self, pieces: Sequence[str]) -> Iterator[str]:
        """A piece's own token; where there is none, its bytes or the unknown one."""
        for piece in pieces:
            spelt = [f"<0x{byte:02X}>" for byte in piece.encode()]
            if piece in self.scores:
                yield piece
            elif self.bytes and all(byte in self.scores for byte in spelt):
                yield from spelt
            elif self.unknown is not None:
                yield self.unknown


class Whole:
    """Every word is one token, or unknown."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        self.vocabulary, self.unknown = model["vocab"], model["unk_token"]

    def steps(self, word: str) -> Iterator[Step]:
        """One look into the vocabulary."""
        known = word in self.vocabulary
        says = "in the vocabulary" if known else f"not in the vocabulary: {self.unknown}"
        yield Step(pieces=(word if known else self.unknown,), says=says, rank=None, score=None)

    def tokens(self, pieces: Sequence[str]) -> Iterator[str]:
        """The pieces themselves."""
        return iter(pieces)


MODELS: Mapping[str, type[Merges] | type[LongestMatch] | type[BestPath] | type[Whole]] = {
    "BPE": Merges,
    "WordPiece": LongestMatch,
    "Unigram": BestPath,
    "WordLevel": Whole,
}
