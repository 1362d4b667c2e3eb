"""Chance: which tokens may be drawn, and the drawing."""

from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor

from glassformer.decoding.chooser import check_possible
from glassformer.decoding.options import Decoding
from glassformer.nn.twin import Draft


def filtered(scores: Tensor, options: Decoding, least: int = 1) -> Tensor:
    """The scores that a token is drawn by: tempered, and minus infinity where nothing is drawn; N V -> N V.

    The filters and their order are those of transformers; each leaves at least `least` tokens.
    """
    if options.temperature != 1:
        scores = scores / options.temperature
    if options.top_k:
        scores = most_likely(scores, max(options.top_k, least))
    if options.top_p < 1:
        scores = nucleus(scores, options.top_p, least)
    if options.min_p > 0:
        scores = likely_enough(scores, options.min_p, least)
    if options.typical_p < 1:
        scores = typical(scores, options.typical_p, least)
    return scores


def most_likely(scores: Tensor, count: int) -> Tensor:
    """The `count` likeliest tokens, and those that are as likely as the last of them. Fan et al. 2018."""
    last = scores.topk(min(count, scores.shape[-1])).values[..., -1:]
    return scores.masked_fill(scores < last, -torch.inf)


def nucleus(scores: Tensor, mass: float, least: int) -> Tensor:
    """The fewest likeliest tokens that together hold `mass` of the probability. Holtzman et al. 2020."""
    ranked, order = scores.sort(dim=-1)  # the least likely first
    outside = ranked.softmax(dim=-1).cumsum(dim=-1) <= 1 - mass
    outside[..., -least:] = False
    return scores.masked_fill(outside.scatter(-1, order, outside), -torch.inf)


def likely_enough(scores: Tensor, share: float, least: int) -> Tensor:
    """The tokens at least `share` as likely as the likeliest. Nguyen et al. 2025 (min-p)."""
    probabilities = scores.softmax(dim=-1)
    outside = probabilities < share * probabilities.amax(dim=-1, keepdim=True)
    kept = probabilities.topk(min(least, scores.shape[-1])).indices
    return scores.masked_fill(outside.scatter(-1, kept, False), -torch.inf)


def typical(scores: Tensor, mass: float, least: int) -> Tensor:
    """The tokens whose surprise is nearest to the expected one and that hold `mass`. Meister et al. 2023."""
    logs = scores.log_softmax(dim=-1)
    expected = -(logs.exp() * logs).nansum(dim=-1, keepdim=True)
    nearest, order = (-logs - expected).abs().sort(dim=-1)
    held = logs.gather(-1, order).exp().cumsum(dim=-1)
    last = (held < mass).sum(dim=-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
    outside = nearest > nearest.gather(-1, last)
    outside[..., :least] = False
    return scores.masked_fill(outside.scatter(-1, order, outside), -torch.inf)


class Draw:
    """Draws tokens by their probability, every answer from a stream of random numbers of its own.

    What an answer draws is decided by the seed and by which answer to its text it is, so a text is answered
    alike in any batch and on any device. Without a seed the streams start from torch's generator.
    """

    def __init__(self, options: Decoding, sentences: int, answers: int, least: int = 1) -> None:
        self.options, self.least = options, least
        starts: list[int] = [options.seed or 0] * sentences
        if options.seed is None:
            starts = torch.randint(2**62, (sentences,)).tolist()
        self.streams = [Random(f"{start} {number}") for start in starts for number in range(answers)]

    def filtered(self, scores: Tensor) -> Tensor:
        """What is drawn by: N V -> N V."""
        return filtered(scores, self.options, self.least)

    def one(self, scores: Tensor, answers: Sequence[int]) -> Tensor:
        """A token for each row (N V), which belong to these answers: N."""
        check_possible(float(scores.amax(dim=-1).amin()))
        return self._drawn(self.filtered(scores).double().softmax(dim=-1), answers)

    def agreed(self, scores: Tensor, answers: Sequence[int], draft: Draft) -> Tensor:
        """A token for the only row (1 V), by chance as `one` would draw it, and often the one that was guessed: 1.

        A guess that was drawn with probability q and here has p is taken with probability min(1, p / q); else the token
        is drawn from what p has above q. So every token comes with its p. Leviathan et al. 2023, section 2.3.
        """
        check_possible(float(scores.amax()))
        probabilities = self.filtered(scores).double().softmax(dim=-1)
        guessed = torch.zeros_like(probabilities)
        if draft.probabilities is None:
            guessed[0, draft.token] = 1.0
        else:
            guessed[0] = draft.probabilities
        chance = self.streams[answers[0]].random()
        if chance * float(guessed[0, draft.token]) < float(probabilities[0, draft.token]):
            return torch.tensor([draft.token], device=scores.device)
        above = (probabilities - guessed).clamp(min=0)
        return self._drawn(above if bool(above.any()) else probabilities, answers)

    def several(self, scores: Tensor, answers: Sequence[int], count: int) -> tuple[Tensor, Tensor]:
        """As many places of each row (N M), none twice, and which of them were still possible: N count, N count."""
        probabilities = scores.double().softmax(dim=-1).nan_to_num()
        places, possible = [], []
        for _ in range(min(count, scores.shape[-1])):
            possible.append((probabilities > 0).any(dim=-1))
            places.append(self._drawn(probabilities, answers))
            probabilities = probabilities.scatter(-1, places[-1][:, None], 0.0)
        return torch.stack(places, dim=-1), torch.stack(possible, dim=-1)

    def _drawn(self, probabilities: Tensor, answers: Sequence[int]) -> Tensor:
        """The place where the sum of a row's probabilities passes a random share of their total."""
        sums = probabilities.cumsum(dim=-1)
        chance = [self.streams[answer].random() for answer in answers]
        total = sums[:, -1:]
        share = torch.tensor(chance, dtype=sums.dtype, device=sums.device)[:, None] * total
        below = share.minimum(
            torch.nextafter(total, torch.zeros_like(total))
        )  # a share rounds up to its total
        return torch.searchsorted(sums, below, right=True)[:, 0].clamp(max=sums.shape[-1] - 1)
