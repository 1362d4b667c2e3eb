"""Which hypothesis of several to answer with: the one that the others agree with most."""

from collections.abc import Hashable, Sequence
from math import exp

from glassformer.decoding.records import Hypothesis


def longest(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """The length of the longest common subsequence, a row of the table in the bits of one number (Hyyrö 2004)."""
    places: dict[Hashable, int] = {}
    for place, each in enumerate(one):
        places[each] = places.get(each, 0) | 1 << place
    everywhere = (1 << len(one)) - 1
    row = everywhere
    for each in other:
        match = row & places.get(each, 0)
        row = ((row + match) | (row - match)) & everywhere
    return len(one) - row.bit_count()


def agreements(
    sequences: Sequence[tuple[Hashable, ...]], log_probabilities: Sequence[float], power: float
) -> list[float]:
    """How much each sequence is expected to have in common with the right one, from 0 to 1.

    Two have in common the F1 of their longest common subsequence, 2 * its length / (length of one + of the other):
    ROUGE-L of the two (Lin 2004). Each sequence, the one in question included, is taken for the right one with its
    probability to this power, of all together 1; one that several groups of beams found is one sequence. What agrees
    most has the minimum Bayes risk among these (Kumar and Byrne 2004, section 3; Tromble et al. 2008 for the power).
    """
    most = max(log_probabilities)
    weights = [exp((each - most) * power) for each in log_probabilities]
    first = {one: place for place, one in reversed([*enumerate(sequences)])}
    weights = [each if first[sequences[place]] == place else 0.0 for place, each in enumerate(weights)]
    found = [0.0] * len(sequences)
    for i, one in enumerate(sequences):
        for j in range(i + 1):
            other = sequences[j]
            shared = 2 * longest(one, other) / (len(one) + len(other))
            found[i] += weights[j] * shared
            if j < i:
                found[j] += weights[i] * shared
    total = sum(weights)
    return [each / total for each in found]


def most_agreed_first(hypotheses: Sequence[Hypothesis], power: float) -> list[Hypothesis]:
    """The same in the order of their agreement; of equals the one that scored better comes first."""
    sums = [sum(each.log_probabilities) for each in hypotheses]
    found = agreements([each.ids for each in hypotheses], sums, power)
    order = sorted(range(len(hypotheses)), key=lambda place: -found[place])
    return [hypotheses[place] for place in order]
