"""The cells of a loss and of the way back through it."""

from glassformer.glass.spreadsheet.cells import Block, Cells, Index, Written, at, meet, number


def log_probabilities(cells: Cells, index: Index) -> str:
    """A score less the logarithm of all their powers of e."""
    (logits,) = cells.inputs
    row = logits.row(*index[:-1])
    return f"{logits.cell(*index)}-MAX({row})-LN(SUMPRODUCT(EXP({row}-MAX({row}))))"


HIDDEN = '"−∞"'  # the logarithm of nothing, which no cell can hold as a number


def span_log_probabilities(cells: Cells, index: Index) -> str:
    """The same over the real positions."""
    text, place, label = index
    logits, column = cells.inputs[0], cells.inputs[0].column(text, label)
    powers = f"EXP({column}-MAX({column}))"
    if len(cells.inputs) == 1:
        return f"{logits.cell(*index)}-MAX({column})-LN(SUMPRODUCT({powers}))"
    real = cells.inputs[1]
    found = f"{logits.cell(*index)}-MAX({column})-LN({meet(real.row(text), powers)})"
    return f"IF({real.cell(text, place)}<>0,{found},{HIDDEN})"


def _surprise(cells: Cells, index: Index) -> tuple[str, str]:
    logs, labels = cells.inputs
    label = labels.cell(*index)
    return label, f"INDEX({logs.row(*index)},{label}+1)"


def _where_wanted(cells: Cells, label: str, found: str) -> str:
    return f"IF({label}={number(cells.constant('ignored'))},0,{found})"


def cross_entropy(cells: Cells, index: Index) -> str:
    """-ln y of the label."""
    label, picked = _surprise(cells, index)
    return _where_wanted(cells, label, f"-{picked}")


def smoothed_cross_entropy(cells: Cells, index: Index) -> str:
    """The same, and a little of everything."""
    label, picked = _surprise(cells, index)
    smoothing, row = cells.constant("smoothing"), cells.inputs[0].row(*index)
    return _where_wanted(
        cells, label, f"-(1-{number(smoothing)})*{picked}-{number(smoothing)}*AVERAGE({row})"
    )


def weighted_cross_entropy(cells: Cells, index: Index) -> str:
    """-w ln y of the label."""
    logs, labels, weights = cells.inputs
    label, row, weighing = labels.cell(*index), logs.row(*index), weights.row()
    return _where_wanted(cells, label, f"-INDEX({row},{label}+1)*INDEX({weighing},{label}+1)")


def weighted_smoothed_cross_entropy(cells: Cells, index: Index) -> str:
    """The same, and a little of everything."""
    logs, labels, weights = cells.inputs
    label, row, weighing = labels.cell(*index), logs.row(*index), weights.row()
    smoothing, picked = number(cells.constant("smoothing")), f"INDEX({row},{label}+1)*INDEX({weighing},{label}+1)"
    spread = f"SUMPRODUCT({row},{weighing})/{logs.shape[-1]}"
    return _where_wanted(cells, label, f"-(1-{smoothing})*{picked}-{smoothing}*{spread}")


def span_cross_entropy(cells: Cells, index: Index) -> str:
    """-ln y at the label's position."""
    text, label = index
    logs, labels = cells.inputs
    return f"-INDEX({logs.column(text, label)},{labels.cell(*index)}+1)"


def binary_cross_entropy(cells: Cells, index: Index) -> str:
    """ln(1 + e^L) - label * L, so that nothing overflows."""
    logit, label = (block.cell(*index) for block in cells.inputs)
    return f"MAX(0,{logit})+LN(1+EXP(-ABS({logit})))-{label}*{logit}"


def squared_error(cells: Cells, index: Index) -> str:
    """A difference, squared."""
    logit, label = (block.cell(*index) for block in cells.inputs)
    return f"({logit}-{label})^2"


def total(cells: Cells, index: Index) -> str:
    """All of them."""
    return f"SUM({','.join(cells.inputs[0].whole())})"


def both_losses(cells: Cells, index: Index) -> str:
    """One and the other."""
    return f"{cells.inputs[0].cell()}+{cells.inputs[1].cell()}"


def mean_loss(cells: Cells, index: Index) -> str:
    """One part of a count."""
    return f"{cells.inputs[0].cell()}/{cells.constant('count')}"


def log_softmax_back(cells: Cells, index: Index) -> str:
    """What came, less the row's sum by the probability."""
    gradient, logs = cells.inputs
    return f"{gradient.cell(*index)}-EXP({logs.cell(*index)})*SUM({gradient.row(*index[:-1])})"


def span_log_softmax_back(cells: Cells, index: Index) -> str:
    """The same over positions; a hidden one has no share."""
    text, _, label = index
    gradient, logs = cells.inputs
    own, log, column = gradient.cell(*index), logs.cell(*index), gradient.column(text, label)
    return f"IF(ISNUMBER({log}),{own}-EXP({log})*SUM({column}),{own})"


def choice_back(cells: Cells, index: Index) -> str:
    """Only the label counts."""
    gradient, labels = cells.inputs
    *place, number_ = index
    return f"IF({labels.cell(*place)}={number_},-{gradient.cell(*place)},0)"


def smoothed_choice_back(cells: Cells, index: Index) -> str:
    """The label counts most, all others a little."""
    gradient, labels = cells.inputs
    *place, number_ = index
    label, smoothing = labels.cell(*place), number(cells.constant("smoothing"))
    share = f"IF({label}={number_},1-{smoothing},0)+{smoothing}/{cells.constant('choices')}"
    return _where_wanted(cells, label, f"-{gradient.cell(*place)}*({share})")


def weighted_choice_back(cells: Cells, index: Index) -> str:
    """Only the label counts, as much as it weighs."""
    return f"({choice_back(_unweighted(cells), index)})*{cells.inputs[2].cell(index[-1])}"


def weighted_smoothed_choice_back(cells: Cells, index: Index) -> str:
    """The label counts most, all others a little, each as it weighs."""
    return f"({smoothed_choice_back(_unweighted(cells), index)})*{cells.inputs[2].cell(index[-1])}"


def _unweighted(cells: Cells) -> Cells:
    return Cells(cells.inputs[:2], cells.output, cells.constants)


def span_choice_back(cells: Cells, index: Index) -> str:
    """Only the label's position counts."""
    gradient, labels = cells.inputs
    text, place, label = index
    return f"IF({labels.cell(text, label)}={place},-{gradient.cell(text, label)},0)"


def each_label_back(cells: Cells, index: Index) -> str:
    """What was given, less what is wanted."""
    gradient, logit, label = (block.cell(*index) for block in cells.inputs)
    return f"{gradient}*(1/(1+EXP(-{logit}))-{label})"


def squared_back(cells: Cells, index: Index) -> str:
    """Twice the difference."""
    gradient, logit, label = (block.cell(*index) for block in cells.inputs)
    return f"2*{gradient}*({logit}-{label})"


def summed_back(cells: Cells, index: Index) -> str:
    """The same for all."""
    return cells.inputs[0].cell()


def mean_back(cells: Cells, index: Index) -> str:
    """One part of a count."""
    gradient: Block = cells.inputs[0]
    return f"{at(gradient, index)}/{cells.constant('count')}"


LOSS: dict[str, Written] = {
    "log_probabilities": log_probabilities,
    "span_log_probabilities": span_log_probabilities,
    "cross_entropy": cross_entropy,
    "smoothed_cross_entropy": smoothed_cross_entropy,
    "weighted_cross_entropy": weighted_cross_entropy,
    "weighted_smoothed_cross_entropy": weighted_smoothed_cross_entropy,
    "span_cross_entropy": span_cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "squared_error": squared_error,
    "total": total,
    "mean_loss": mean_loss,
    "both_losses": both_losses,
    "log_probabilities.logits": log_softmax_back,
    "span_log_probabilities.logits": span_log_softmax_back,
    "cross_entropy.log_probabilities": choice_back,
    "smoothed_cross_entropy.log_probabilities": smoothed_choice_back,
    "weighted_cross_entropy.log_probabilities": weighted_choice_back,
    "weighted_smoothed_cross_entropy.log_probabilities": weighted_smoothed_choice_back,
    "span_cross_entropy.log_probabilities": span_choice_back,
    "binary_cross_entropy.logits": each_label_back,
    "squared_error.logits": squared_back,
    "total.part": summed_back,
    "mean_loss.total": mean_back,
    "both_losses.first": summed_back,
    "both_losses.second": summed_back,
}
