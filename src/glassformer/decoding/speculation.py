"""Reading ahead: what is likely to follow is guessed cheaply, read at once, and kept as far as the search agrees.

Leviathan et al. 2023; Chen et al. 2023. The search stays the one that it is: it is given the same numbers token by
token, some of them without a reading of their own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from operator import eq
from random import Random
from typing import Protocol

import torch
from torch import Tensor

from glassformer.decoding.chooser import log_probabilities_of
from glassformer.decoding.options import Decoding
from glassformer.decoding.sampling import filtered
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.nn.twin import Around, Draft, ModelReader
from glassformer.text.tokenizer import Tokenizer

LONGEST = 3  # tokens in a row that are looked for among those before


@dataclass
class Drafts:
    """How many tokens were guessed, how many of them the search took, and how often the model read."""

    drafted: int = 0
    accepted: int = 0
    readings: int = 0

    @property
    def share(self) -> float:
        """Accepted of drafted, in percent; of none 0."""
        return 100 * self.accepted / max(1, self.drafted)

    def __str__(self) -> str:
        taken = f"{self.accepted} of {self.drafted} drafted tokens accepted ({self.share:.0f} %)"
        return f"{taken}, {self.readings} readings"


@dataclass(frozen=True)
class Ahead:
    """Who guesses, if it is another model, and what came of it."""

    assistant: Transformer | None = None
    drafts: Drafts = field(default_factory=Drafts)


class Assistant(Protocol):
    """A smaller model with the same vocabulary: a `Model`."""

    tokenizer: Tokenizer

    @property
    def transformer(self) -> Transformer:
        """Which writes the guesses."""
        ...


def ahead_by(assistant: Assistant | None, tokenizer: Tokenizer) -> Ahead:
    """Reading ahead by this model, whose tokens must be the same."""
    if assistant is None:
        return Ahead()
    if assistant.tokenizer.backend.get_vocab() != tokenizer.backend.get_vocab():
        raise InputError(
            "the assistant cuts texts into other tokens than the model; give a smaller model with the same tokenizer"
        )
    return Ahead(assistant.transformer)


class Drafter(Protocol):
    """Guesses what follows a text."""

    def begin(self, ids: Sequence[int]) -> None:
        """A new text."""
        ...

    def drafts(self, ids: Sequence[int], most: int) -> list[Draft]:
        """Up to so many tokens that may follow the text as it is now."""
        ...


class Lookup:
    """What followed the last words where they stood before: texts often quote themselves, and summaries their source.

    Saxena 2023 (prompt lookup). The longest of the last few tokens in a row that stood somewhere before decide, and of
    several places the latest. `before` (a source) is looked through too.
    """

    def __init__(self, before: Sequence[int] = (), ends: Collection[int] = ()) -> None:
        self.before, self.ends = list(before), ends

    def begin(self, ids: Sequence[int]) -> None:
        """There is nothing to prepare."""

    def drafts(self, ids: Sequence[int], most: int) -> list[Draft]:
        """What was copied."""
        known = [*self.before, *ids]
        for length in range(min(LONGEST, len(ids)), 0, -1):
            last = known[-length:]
            for start in range(len(known) - length - 1, -1, -1):
                if known[start : start + length] == last:
                    copied = known[start + length : start + length + most]
                    return [Draft(token) for token in takewhile(lambda each: each not in self.ends, copied)]
        return []


class Smaller:
    """A smaller model runs ahead: greedily, or, where the search draws, by drawing as the search would."""

    def __init__(
        self, model: Transformer, reader: ModelReader, options: Decoding, ends: Collection[int]
    ) -> None:
        self.reader, self.options, self.ends = reader, options, ends
        self.device = model.tokens.weight.device
        self.ids: list[int] = []  # what it has read
        self.room = model.config.max_positions
        self.chance = Random(f"draft {options.seed}") if options.do_sample and options.seed is not None else Random()

    def begin(self, ids: Sequence[int]) -> None:
        """Read the beginning, if it is not too long."""
        if len(ids) <= self.room:
            self.reader.read(torch.tensor([ids], device=self.device))
            self.ids = list(ids)

    def drafts(self, ids: Sequence[int], most: int) -> list[Draft]:
        """What it would write."""
        most = min(most, self.room - len(ids) + 1)
        if most < 1:
            return []
        self._catch_up(ids)
        found: list[Draft] = []
        while True:
            draft = self._next()
            if draft.token in self.ends and draft.probabilities is None:
                return found  # behind the end there is nothing to read; what was drawn must be offered all the same
            found.append(draft)
            if len(found) == most or draft.token in self.ends:
                return found
            self.reader.read_on([draft.token])
            self.ids.append(draft.token)

    def _catch_up(self, ids: Sequence[int]) -> None:
        """Forget what came otherwise, and read what came."""
        same = sum(1 for _ in takewhile(bool, map(eq, self.ids, ids)))
        if same < len(self.ids):
            self.reader.crop(len(self.ids) - same)
        self.reader.read_ahead(ids[same:])
        self.reader.look(len(ids) - same - 1)
        self.ids = list(ids)

    def _next(self) -> Draft:
        if not self.options.do_sample:
            return Draft(self.reader.best([0.0], 1, 1).tokens[0])
        scores = filtered(log_probabilities_of(self.reader.logits), self.options)
        probabilities = scores.double().softmax(-1)[0]
        sums = probabilities.cumsum(0)
        place = torch.searchsorted(sums, self.chance.random() * sums[-1], right=True)
        return Draft(min(int(place), len(sums) - 1), probabilities)


class AheadReader(Around[ModelReader]):
    """A search's reader that guesses, reads what it guessed at once, and forgets it where the search goes elsewhere.

    Of one text and one answer. At most `most` tokens are written.
    """

    def __init__(self, reader: ModelReader, drafter: Drafter, count: int, most: int, tally: Drafts) -> None:
        super().__init__(reader)
        self.drafter, self.count, self.most, self.tally = drafter, count, most, tally
        self.ids: list[int] = []  # all of the text, without what is only guessed
        self.begun = 0
        self.ahead: list[Draft] = []  # what is read beyond it
        self.place = 0  # how much of that the search has taken

    @property
    def draft(self) -> Draft | None:
        """What was guessed to come next."""
        return self.ahead[self.place] if self.place < len(self.ahead) else None

    def read(self, target: Tensor, mask: Tensor | None = None) -> None:
        """Read the beginning."""
        assert len(target) == 1, "ahead is read of one text alone"
        self.ids = target[0].tolist() if mask is None else target[0][mask[0].bool()].tolist()
        self.begun = len(self.ids)
        self.reader.read(target, mask)
        self.drafter.begin(self.ids)
        self.tally.readings += 1

    def read_on(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> None:
        """Go on by one token: one that is read already, or a new one and guesses behind it."""
        (token,) = tokens
        guessed = self.draft
        self.ids.append(token)
        if guessed is not None and guessed.token == token:
            self.place += 1
            self.tally.accepted += 1
            self.reader.look(self.place)
            return
        if self.place < len(self.ahead):
            self.reader.crop(len(self.ahead) - self.place)
        self.ahead, self.place = self._drafts(), 0
        if self.ahead:
            self.reader.read_ahead([token, *(draft.token for draft in self.ahead)])
            self.reader.look(0)
        else:
            self.reader.read_on([token])
        self.tally.drafted += len(self.ahead)
        self.tally.readings += 1

    def _drafts(self) -> list[Draft]:
        """As many as may still be written and as there is room for."""
        most = min(self.count, self.most - (len(self.ids) - self.begun) - 1)
        if self.reader.limit is not None:
            most = min(most, self.reader.limit - self.reader.held - 1)
        return self.drafter.drafts(self.ids, most) if most > 0 else []
