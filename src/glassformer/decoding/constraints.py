"""What must be written, and what must not, however likely it is."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from glassformer.decoding.options import Decoding
from glassformer.errors import InputError

NOTHING = -1  # in the place of padding: a token that is like no other


class Constraints:
    """The rules of a search, for every row that is still open.

    They stand between score and choose, and mean what they mean in transformers: what was written is penalised,
    what is forbidden has no probability, and what is forced has all of it. `target` (S T) is what the answers
    begin with, `mask` (S T) what of it is no padding.
    """

    def __init__(
        self, options: Decoding, target: Tensor, mask: Tensor | None, limits: list[int], ends: Collection[int]
    ) -> None:
        self.least, self.penalty = options.min_new_tokens, options.repetition_penalty
        self.size, self.ends = options.no_repeat_ngram_size, sorted(ends)
        bos = options.forced_bos_token_id
        self.first = (*(() if bos is None else (bos,)), *options.forced_prefix_ids)
        self.last = options.forced_eos_token_id
        closing = {(end,) for end in ends}
        self.banned = by_length([row for row in options.bad_words_ids if row not in closing], target.device)
        self.largest = max((*sum(options.bad_words_ids, ()), *self.first, self.last or 0, 0))
        self.written = target if mask is None else target.masked_fill(~mask.bool(), NOTHING)  # N L
        self.limits = torch.tensor(limits, device=target.device)  # N
        self.length = 0  # new tokens so far

    def applied(self, scores: Tensor) -> Tensor:
        """What each row's next token scores, under the rules: N V -> N V."""
        if self.largest >= scores.shape[1]:
            raise InputError(
                f"token {self.largest} was named, but this model's tokens are 0 to {scores.shape[1] - 1}"
            )
        found = scores if self.penalty == 1 else self._penalized(scores)
        found = found.masked_fill(self._forbidden(found), -torch.inf)
        if self.length < self.least:
            found[:, self.ends] = -torch.inf
        if self.length < len(self.first):
            found = forced(found, self.first[self.length])
        if self.last is not None and bool((over := self.length + 1 >= self.limits).any()):
            found = torch.where(over[:, None], forced(found, self.last), found)
        return found

    def follow(self, tokens: Sequence[int], rows: Sequence[int] | None) -> None:
        """Go on with these rows, each continued by its token."""
        self.length += 1
        if rows is not None:
            self.written, self.limits = self.written[rows], self.limits[rows]
        added = torch.tensor(tokens, device=self.written.device)
        self.written = torch.cat([self.written, added[:, None]], dim=1)

    def _penalized(self, scores: Tensor) -> Tensor:
        """Keskar et al. 2019, section 4.1: scores of what was written are divided, or multiplied below 0."""
        seen = marked(scores, self.written, self.written != NOTHING)
        return torch.where(
            seen, torch.where(scores < 0, scores * self.penalty, scores / self.penalty), scores
        )

    def _forbidden(self, scores: Tensor) -> Tensor:
        """N V: what would end a forbidden sequence, or one that was written before."""
        length = self.written.shape[1]
        found = torch.zeros_like(scores, dtype=torch.bool)
        for starts, lasts in self.banned:
            if starts.shape[1] <= length:
                tail = self.written[:, None, length - starts.shape[1] :]  # N 1 P against M P
                found |= marked(scores, lasts.expand(len(found), -1), (tail == starts).all(-1))
        if self.size and length >= self.size:
            tail = self.written[:, None, length - self.size + 1 :]
            windows = self.written.unfold(1, self.size, 1)
            again = (windows[..., :-1] == tail).all(-1) & (windows[..., -1] != NOTHING)
            found |= marked(scores, windows[..., -1], again)
        return found


def by_length(sequences: Sequence[tuple[int, ...]], device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Sequences of each length together: their starts (M P) and their last tokens (M)."""
    lengths = sorted({len(sequence) for sequence in sequences})
    tables = [torch.tensor([s for s in sequences if len(s) == n], device=device) for n in lengths]
    return [(table[:, :-1], table[:, -1]) for table in tables]


def marked(scores: Tensor, tokens: Tensor, chosen: Tensor) -> Tensor:
    """N V: True at those of the tokens (N M) that are chosen (N M)."""
    beyond = scores.shape[1]
    table = torch.zeros(len(scores), beyond + 1, dtype=torch.bool, device=scores.device)
    return table.scatter_(1, tokens.where(chosen, beyond), True)[:, :beyond]


def forced(scores: Tensor, token: int) -> Tensor:
    """N V: nothing but this token."""
    only = torch.full_like(scores, -torch.inf)
    only[:, token] = 0.0
    return only
