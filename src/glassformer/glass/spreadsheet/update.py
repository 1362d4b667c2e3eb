"""The cells of one update by AdamW."""

from glassformer.glass.spreadsheet.cells import Cells, Index, Written, added, number
from glassformer.glass.update_formulas import TINY

MANY = 200  # arguments of one function; spreadsheets allow 255


def gradient_norm(cells: Cells, index: Index) -> str:
    """The root of all squares."""
    ranges = [each for block in cells.inputs for each in block.whole()]
    lots = [ranges[start : start + MANY] for start in range(0, len(ranges), MANY)]
    squares = (f"SUMSQ({','.join(lot)})" for lot in lots)
    return f"SQRT({added(squares)})"


def clip_factor(cells: Cells, index: Index) -> str:
    """1, or less where the gradient is too long."""
    return f"MIN(1,{number(cells.constant('clip_norm'))}/({cells.inputs[0].cell()}+{number(TINY)}))"


def clipped(cells: Cells, index: Index) -> str:
    """The gradient, shortened."""
    return f"{cells.inputs[0].cell(*index)}*{cells.inputs[1].cell()}"


def _moment(cells: Cells, index: Index, power: str) -> str:
    before, gradient = (block.cell(*index) for block in cells.inputs)
    beta = number(cells.constant("beta"))
    return f"{beta}*{before}+(1-{beta})*{gradient}{power}"


def first_moment(cells: Cells, index: Index) -> str:
    """A mean of gradients."""
    return _moment(cells, index, "")


def second_moment(cells: Cells, index: Index) -> str:
    """A mean of their squares."""
    return _moment(cells, index, "^2")


def corrected(cells: Cells, index: Index) -> str:
    """A mean that began at 0, made up for."""
    beta, step = number(cells.constant("beta")), cells.constant("step")
    return f"{cells.inputs[0].cell(*index)}/(1-{beta}^{step})"


def decayed(cells: Cells, index: Index) -> str:
    """A weight, a little smaller."""
    rate, decay = number(cells.constant("learning_rate")), number(cells.constant("weight_decay"))
    return f"{cells.inputs[0].cell(*index)}*(1-{rate}*{decay})"


def moved(cells: Cells, index: Index) -> str:
    """Against the gradient."""
    old, first, second = (block.cell(*index) for block in cells.inputs)
    rate, eps = number(cells.constant("learning_rate")), number(cells.constant("eps"))
    return f"{old}-{rate}*{first}/(SQRT({second})+{eps})"


UPDATE: dict[str, Written] = {
    "gradient_norm": gradient_norm,
    "clip_factor": clip_factor,
    "clipped": clipped,
    "first_moment": first_moment,
    "second_moment": second_moment,
    "moment_corrected": corrected,
    "decayed": decayed,
    "moved": moved,
}
