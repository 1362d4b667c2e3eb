"""Two halves of a text that may be neighbours or strangers: what BERT is also asked about."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from glassformer.data.batch import Batch
from glassformer.errors import InputError

Ids = Sequence[int]
Half = tuple[list[int], list[int], bool]  # first, second, whether the second follows the first
Make = Callable[[Sequence[Half], np.random.Generator], Batch]


class NeighbourBatches:
    """Documents of sentences as pairs of runs of sentences, half of them with a second run from elsewhere.

    Devlin et al. 2019, appendix A.2: runs of whole sentences are gathered up to `length` tokens and cut in two at a
    random sentence; in half of the pairs the second run is replaced by one of another document. An epoch is a function
    of (seed, epoch); seed None is the same each time, for measuring.
    """

    def __init__(
        self,
        documents: Sequence[Sequence[Ids]],
        make: Make,
        *,
        length: int,
        rows: int,
        seed: int | None = 0,
    ) -> None:
        self.make, self.length, self.rows, self.seed = make, length, rows, seed
        kept = [[sentence for sentence in document if len(sentence)] for document in documents]
        self.runs = [run for number, document in enumerate(kept) for run in self._runs(number, document)]
        if len({number for number, _ in self.runs}) < 2:
            raise InputError(
                "fewer than two documents have two sentences, so there are no neighbours and strangers to tell apart; "
                "give one document a line, or set next_sentence = false"
            )

    def _runs(self, number: int, document: Sequence[Ids]) -> Iterator[tuple[int, list[Ids]]]:
        """Sentences gathered until the next would be too much; a single one has no second half."""
        run: list[Ids] = []
        size = 0
        for sentence in document:
            sentence = sentence[: self.length // 2]
            if run and size + len(sentence) > self.length:
                if len(run) > 1:
                    yield number, run
                run, size = [], 0
            run.append(sentence)
            size += len(sentence)
        if len(run) > 1:
            yield number, run

    def __len__(self) -> int:
        """Batches in an epoch, the same in each."""
        return -(-len(self.runs) // self.rows)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start` on."""
        order = np.arange(len(self.runs))
        if self.seed is not None:
            order = np.random.default_rng([self.seed, number]).permutation(order)
        for batch in range(start, len(self)):
            key = [0, batch] if self.seed is None else [self.seed, number, batch]
            random = np.random.default_rng(key)
            chosen = order[batch * self.rows : (batch + 1) * self.rows]
            yield self.make([self._halves(int(each), random) for each in chosen], random)

    def _halves(self, place: int, random: np.random.Generator) -> Half:
        number, run = self.runs[place]
        cut = int(random.integers(1, len(run)))
        first = flat(run[:cut])
        if random.random() < 0.5:
            return first, flat(run[cut:]), True
        while True:
            other, stranger = self.runs[int(random.integers(len(self.runs)))]
            if other != number:
                break
        begin = int(random.integers(len(stranger)))
        return first, flat(stranger[begin:])[: self.length - len(first)], False


def flat(sentences: Sequence[Ids]) -> list[int]:
    """Sentences as one run of tokens."""
    return [token for sentence in sentences for token in sentence]
