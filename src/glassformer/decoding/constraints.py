"""What must be written, and what must not, however likely it is."""

import torch
from torch import Tensor

from glassformer.decoding.options import Decoding


class Constraints:
    """The rules of a search, for every row that is still open.

    They stand between score and choose, and mean what they mean in transformers: what is forbidden has no
    probability, and what is forced has all of it. `target` (S T) is what the answers begin with.
    """

    def __init__(self, options: Decoding, target: Tensor, limits: list[int], ends: Tensor) -> None:
        self.options, self.limits, self.ends = options, limits, ends
        self.written: list[list[int]] = target.tolist()
        self.sentences = list(range(len(limits)))
        self.length = 0  # new tokens so far

    def allowed(self, log_probabilities: Tensor) -> Tensor:
        """N V -> N V."""
        found = log_probabilities.clone()
        if self.length < self.options.min_new_tokens:
            found[:, self.ends] = -torch.inf
        for row, (sentence, written) in enumerate(zip(self.sentences, self.written, strict=True)):
            for token in self._forbidden(written):
                found[row, token] = -torch.inf
            forced = self._forced(sentence)
            if forced is not None:
                found[row] = -torch.inf
                found[row, forced] = 0.0
        return found

    def follow(self, tokens: Tensor, rows: Tensor | None) -> None:
        """Go on with these rows, each continued by its token."""
        self.length += 1
        places = range(len(self.written)) if rows is None else rows.tolist()
        self.sentences = [self.sentences[place] for place in places]
        self.written = [
            [*self.written[place], token] for place, token in zip(places, tokens.tolist(), strict=True)
        ]

    def _forced(self, sentence: int) -> int | None:
        last = self.length + 1 >= self.limits[sentence]
        if last and self.options.forced_eos_token_id is not None:
            return self.options.forced_eos_token_id
        return self.options.forced_bos_token_id if self.length == 0 else None

    def _forbidden(self, written: list[int]) -> list[int]:
        """The ends of forbidden sequences, and of those that were written before."""
        never = [
            sequence[-1]
            for sequence in self.options.bad_words_ids
            if written[len(written) - len(sequence) + 1 :] == list(sequence[:-1])
            and len(written) >= len(sequence) - 1
        ]
        size = self.options.no_repeat_ngram_size
        if not size or len(written) < size:
            return never
        tail = written[len(written) - size + 1 :]
        starts = range(len(written) - size + 1)
        return never + [
            written[place + size - 1] for place in starts if written[place : place + size - 1] == tail
        ]
