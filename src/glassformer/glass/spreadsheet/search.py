"""The cells of a contrastive search: how like a candidate is to what was written, and what that costs it."""

from glassformer.glass.spreadsheet.cells import Cells, Index, Written, dot, number

FORBIDDEN = '"−∞"'


def likeness(cells: Cells, index: Index) -> str:
    """Two rows multiplied, over the product of their lengths."""
    rows, written = cells.inputs
    candidate, place = index
    one, other = rows.row(candidate, rows.shape[1] - 1), written.row(place)
    return f"{dot(one, other)}/SQRT(SUMSQ({one}))/SQRT(SUMSQ({other}))"


def degeneration_penalty(cells: Cells, index: Index) -> str:
    """The greatest of a row."""
    return f"MAX({cells.inputs[0].row(*index)})"


def contrastive_score(cells: Cells, index: Index) -> str:
    """A share of one less a share of the other; nothing for what is forbidden."""
    sure, penalty = (block.cell(*index) for block in cells.inputs)
    alpha = number(cells.constant("alpha"))
    return f"IF(ISNUMBER({sure}),(1-{alpha})*{sure}-{alpha}*{penalty},{FORBIDDEN})"


SEARCH: dict[str, Written] = {
    "likeness": likeness,
    "degeneration_penalty": degeneration_penalty,
    "contrastive_score": contrastive_score,
}
