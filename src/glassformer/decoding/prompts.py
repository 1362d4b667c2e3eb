"""What was read before is not read again: a text that begins as an earlier one goes on from its keys and values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import eq
from threading import Lock

from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.nn.twin import Around, ModelReader

LEAST = 8  # tokens in common that are worth it
MOST = 2**27  # bytes of keys and values that are kept, unless told otherwise


@dataclass(frozen=True)
class Remembered:
    """A reader, and what it has read."""

    ids: list[int]
    reader: ModelReader


class PromptCache:
    """The readers of the latest texts, as many as fit into `most` bytes; each belongs to one search at a time."""

    def __init__(self, each: int, most: int = MOST) -> None:
        self.each, self.most = each, most  # bytes of a token's keys and values, and of all that is kept
        self.kept: list[Remembered] = []  # the latest last
        self.reused = 0  # tokens that were not read again, so far
        self.lock = Lock()

    @property
    def size(self) -> int:
        """Bytes of keys and values that are kept."""
        return self.each * sum(len(each.ids) for each in self.kept)

    def take(self, ids: Sequence[int]) -> tuple[ModelReader, int] | None:
        """The reader that has most in common with a text, and how much; the text's last token is read in any case."""
        with self.lock:
            shared = [common(each.ids, ids[:-1]) for each in self.kept]
            longest = max(shared, default=0)
            if longest < LEAST:
                return None
            found = self.kept.pop(len(shared) - 1 - shared[::-1].index(longest))
            self.reused += longest
        found.reader.crop(len(found.ids) - longest)
        return found.reader, longest

    def put(self, ids: Iterable[int], reader: ModelReader) -> None:
        """Keep a reader that nobody uses any more; the oldest go where there is no room."""
        with self.lock:
            self.kept.append(Remembered(list(ids), reader))
            while self.kept and self.size > self.most:
                del self.kept[0]


def bytes_of_a_token(config: TransformerConfig) -> int:
    """Of its keys and values in all layers, in float32."""
    return 8 * config.decoder_layers * (config.kv_heads or config.heads) * config.size_of_head


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    return sum(1 for _ in takewhile(bool, map(eq, one, other)))


class PromptReader(Around[ModelReader]):
    """A reader of one text that begins where an earlier one can go on, and is kept for later ones."""

    def __init__(self, cache: PromptCache, reader: ModelReader) -> None:
        super().__init__(reader)  # which has read nothing
        self.cache = cache
        self.ids: list[int] = []  # what it has read

    @property
    def held(self) -> int:
        """How many tokens are held."""
        return self.reader.held

    @property
    def limit(self) -> int | None:
        """How many can be."""
        return self.reader.limit

    def read(self, target: Tensor, mask: Tensor | None = None) -> None:
        """Read the beginning, or what of it no reader has read."""
        self.ids = target[0].tolist() if mask is None else target[0][mask[0].bool()].tolist()
        found = self.cache.take(self.ids)
        if found is None:
            self.reader.read(target, mask)
            return
        self.reader, same = found
        self.reader.read_ahead(self.ids[same:], each=False)

    def read_on(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> None:
        """Go on by one token."""
        self.reader.read_on(tokens, rows)
        self.ids += tokens

    def read_ahead(self, tokens: Sequence[int], *, each: bool = True) -> None:
        """Read several tokens at once."""
        self.reader.read_ahead(tokens, each=each)
        self.ids += tokens

    def look(self, place: int) -> None:
        """From now on the logits are those after this one of the tokens that were read at once."""
        self.reader.look(place)

    def crop(self, count: int) -> None:
        """Forget the last tokens, so many."""
        self.reader.crop(count)
        del self.ids[len(self.ids) - count :]

    def rest(self) -> None:
        """Nobody reads on for now."""
        self.reader.rest()

    def keep(self) -> None:
        """Leave what was read to later texts, unless some of it was forgotten on the way."""
        self.reader.rest()
        if self.reader.held == len(self.ids):
            self.cache.put(self.ids, self.reader)
