"""The searches whose trees the page shows, as options of writing."""

from collections.abc import Mapping
from typing import Any, Literal

from glassformer.decoding.options import DEFAULTS, DRAWING

Searched = Literal["beams", "groups", "contrastive"]

OTHERS = ("num_beams", "num_beam_groups", "diversity_penalty", "penalty_alpha", "do_sample", "num_return_sequences")
DIVERSITY_PENALTY = 0.5
PENALTY_ALPHA = 0.6  # as Su et al. 2022


def options_of(search: Searched, count: int, usual: Mapping[str, Any]) -> dict[str, Any]:
    """The usual options, and those of a search by so many beams, groups of one beam each, or candidates."""
    kept = {name: value for name, value in usual.items() if name not in DRAWING}
    alone = {name: DEFAULTS[name] for name in OTHERS}
    if search == "contrastive":
        return {**kept, **alone, "penalty_alpha": PENALTY_ALPHA, "top_k": count}
    if search == "groups":
        groups = {"num_beams": count, "num_beam_groups": count, "diversity_penalty": DIVERSITY_PENALTY}
        return {**kept, **alone, **groups}
    return {**kept, **alone, "num_beams": count}
