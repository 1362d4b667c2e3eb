"""The cells of the way back, and of an update: one writer for each rule."""

from glassformer.glass.formulas import buckets
from glassformer.glass.spreadsheet.cells import (
    Block,
    Cells,
    Index,
    Written,
    added,
    dot,
    group,
    meet,
    number,
    prefixes,
)
from glassformer.glass.spreadsheet.run import (
    activated,
    first_place,
    last_place,
    same,
    summed,
    turned,
)


def one(cells: Cells, index: Index) -> str:
    """Where the way back begins."""
    return "1"


def linear_input(cells: Cells, index: Index) -> str:
    """A row of gradients times a column of the stored weight."""
    gradient, weight = cells.inputs
    *place, number_ = index
    return meet(gradient.row(*place), weight.column(number_))


def linear_weight(cells: Cells, index: Index) -> str:
    """A column of gradients times a column of what went in."""
    gradient, x = cells.inputs
    out, into = index
    return added(dot(gradient.column(*b, out), x.column(*b, into)) for b in prefixes(gradient.shape, 2))


def linear_bias(cells: Cells, index: Index) -> str:
    """A column of gradients, added up."""
    gradient, (out,) = cells.inputs[0], index
    return added(f"SUM({gradient.column(*b, out)})" for b in prefixes(gradient.shape, 2))


def heads_input(cells: Cells, index: Index) -> str:
    """Back through a map whose result was cut into heads."""
    gradient, weight = cells.inputs
    text, place, into = index
    size = gradient.shape[-1]
    return added(
        meet(gradient.row(text, head, place), weight.column(into, start=head * size, stop=(head + 1) * size))
        for head in range(gradient.shape[1])
    )


def heads_weight(cells: Cells, index: Index) -> str:
    """The same for its weight."""
    gradient, x = cells.inputs
    (head, column), into = divmod(index[0], gradient.shape[-1]), index[1]
    return added(dot(gradient.column(b, head, column), x.column(b, into)) for b in range(gradient.shape[0]))


def heads_bias(cells: Cells, index: Index) -> str:
    """The same for its bias."""
    gradient = cells.inputs[0]
    head, column = divmod(index[0], gradient.shape[-1])
    return added(f"SUM({gradient.column(b, head, column)})" for b in range(gradient.shape[0]))


def joined_input(cells: Cells, index: Index) -> str:
    """Back through the output projection, cut into heads again."""
    gradient, weight = cells.inputs
    text, head, place, column = index
    return meet(gradient.row(text, place), weight.column(head * cells.output.shape[-1] + column))


def joined_weight(cells: Cells, index: Index) -> str:
    """The same for its weight."""
    gradient, mixed = cells.inputs
    out, (head, column) = index[0], divmod(index[1], mixed.shape[-1])
    return added(dot(gradient.column(b, out), mixed.column(b, head, column)) for b in range(gradient.shape[0]))


def _over_root(cells: Cells, written: str) -> str:
    return f"({written})/SQRT({cells.constant('d_model')})"


def scaled_input(cells: Cells, index: Index) -> str:
    """Through logits that were divided."""
    return _over_root(cells, linear_input(cells, index))


def scaled_weight(cells: Cells, index: Index) -> str:
    """The same for their weight."""
    return _over_root(cells, linear_weight(cells, index))


def pooled_input(cells: Cells, index: Index) -> str:
    """Through tanh, then through the map."""
    gradient, weight, output = cells.inputs
    text, into = index
    return meet(f"{gradient.row(text)}*(1-{output.row(text)}^2)", weight.column(into))


def pooled_weight(cells: Cells, index: Index) -> str:
    """The same for the weight."""
    gradient, x, output = cells.inputs
    out, into = index
    return f"SUMPRODUCT({gradient.column(out)}*(1-{output.column(out)}^2)*{x.column(into)})"


def pooled_bias(cells: Cells, index: Index) -> str:
    """The same for the bias."""
    gradient, output = cells.inputs
    return f"SUMPRODUCT({gradient.column(*index)}*(1-{output.column(*index)}^2))"


def table(cells: Cells, index: Index) -> str:
    """The gradients of all places whose id is this row's number."""
    gradient, ids = cells.inputs
    row, column = index
    wanted = row - cells.constants.get("offset", 0)
    return added(meet(f"1*({ids.row(b)}={wanted})", gradient.column(b, column)) for b in range(gradient.shape[0]))


def table_scaled(cells: Cells, index: Index) -> str:
    """The same where rows were lengthened."""
    return f"({table(cells, index)})*SQRT({cells.constant('d_model')})"


def relative_table(cells: Cells, index: Index) -> str:
    """The gradients of all distances in a bucket, as the positions were when the workbook was written."""
    gradient, queries, keys = cells.inputs
    bucket, head = index
    distance = keys.values[:, None, :] - queries.values[:, :, None]
    found = buckets(distance, cells.constant("rows"), cells.constant("distance"), cells.constant("both_ways"))
    places = (found == bucket).nonzero()
    return added(gradient.cell(int(b), head, int(q), int(k)) for b, q, k in zip(*places, strict=True)) or "0"


def turned_back(cells: Cells, index: Index) -> str:
    """The same turn the other way."""
    return turned(cells, index, back=True)


def appended_past(cells: Cells, index: Index) -> str:
    """The first positions."""
    return cells.inputs[0].cell(*index)


def appended_new(cells: Cells, index: Index) -> str:
    """The others."""
    gradient, past = cells.inputs
    text, head, place, column = index
    return gradient.cell(text, head, place + past.shape[2], column)


def _over(cells: Cells, written: str) -> str:
    size = cells.constants.get("head_size")
    return written if size is None else f"({written})/SQRT({size})"


def scores_query(cells: Cells, index: Index) -> str:
    """A row of gradients times a column of keys."""
    gradient, key = cells.inputs
    text, head, query, column = index
    shared_head = group(gradient, key.shape[1], head)
    return _over(cells, meet(gradient.row(text, head, query), key.column(text, shared_head, column)))


def _sharing(heads: int, keys: int, head: int) -> range:
    """The query heads that share a key/value head."""
    count = heads // keys
    return range(head * count, (head + 1) * count)


def scores_key(cells: Cells, index: Index) -> str:
    """A column of gradients times a column of queries, over all heads that share the key."""
    gradient, query = cells.inputs
    text, head, key, column = index
    sharing = _sharing(gradient.shape[1], cells.constant("key_heads"), head)
    return _over(cells, added(dot(gradient.column(text, h, key), query.column(text, h, column)) for h in sharing))


def mixed_weights(cells: Cells, index: Index) -> str:
    """A row of gradients times a row of values."""
    gradient, value = cells.inputs
    text, head, query, key = index
    return dot(gradient.row(text, head, query), value.row(text, group(gradient, value.shape[1], head), key))


def mixed_value(cells: Cells, index: Index) -> str:
    """A column of weights times a column of gradients."""
    gradient, weights = cells.inputs
    text, head, key, column = index
    sharing = _sharing(gradient.shape[1], cells.constant("key_heads"), head)
    return added(dot(weights.column(text, h, key), gradient.column(text, h, column)) for h in sharing)


def softmax_back(cells: Cells, index: Index) -> str:
    """What is above the row's weighted mean."""
    gradient, output = cells.inputs
    place = index[:-1]
    mean = dot(gradient.row(*place), output.row(*place))
    return f"{output.cell(*index)}*({gradient.cell(*index)}-{mean})"


def span_back(cells: Cells, index: Index) -> str:
    """The same over positions."""
    gradient, output = cells.inputs
    text, _, label = index
    mean = dot(gradient.column(text, label), output.column(text, label))
    return f"{output.cell(*index)}*({gradient.cell(*index)}-{mean})"


def sigmoid_back(cells: Cells, index: Index) -> str:
    """y(1 - y)."""
    gradient, y = (block.cell(*index) for block in cells.inputs)
    return f"{gradient}*{y}*(1-{y})"


def slope(activation: str, x: str) -> str:
    """How steep an activation is at one cell."""
    root = "SQRT(2/PI())"
    bent = f"TANH({root}*({x}+0.044715*{x}^3))"
    return {
        "relu": f"IF({x}>0,1,0)",
        "gelu": f"(0.5*(1+ERF({x}/SQRT(2)))+{x}*EXP(-0.5*{x}*{x})/SQRT(2*PI()))",
        "gelu-tanh": f"(0.5*(1+{bent})+0.5*{x}*(1-{bent}^2)*{root}*(1+0.134145*{x}*{x}))",
        "silu": f"(1/(1+EXP(-{x}))*(1+{x}*(1-1/(1+EXP(-{x})))))",
    }[activation]


def active_back(cells: Cells, index: Index) -> str:
    """The slope where the input stood."""
    gradient, x = (block.cell(*index) for block in cells.inputs)
    return f"{gradient}*{slope(cells.constant('activation'), x)}"


def gate_back(cells: Cells, index: Index) -> str:
    """What the gate let through, at its slope."""
    gradient, gate, up = (block.cell(*index) for block in cells.inputs)
    return f"{gradient}*{up}*{slope(cells.constant('activation'), gate)}"


def up_back(cells: Cells, index: Index) -> str:
    """As far as the gate was open."""
    gradient, gate = (block.cell(*index) for block in cells.inputs)
    return f"{gradient}*{activated(cells.constant('activation'), gate)}"


def _deviation(cells: Cells, row: str) -> str:
    return f"SQRT(VARP({row})+{number(cells.constant('eps'))})"


def layer_norm_input(cells: Cells, index: Index) -> str:
    """What shifts and stretches the whole row is taken out."""
    gradient, x, weight = cells.inputs
    *place, column = index
    g, row, w, size = gradient.row(*place), x.row(*place), weight.row(), x.shape[-1]
    deviation, centred = _deviation(cells, row), f"({x.cell(*index)}-AVERAGE({row}))"
    along = f"SUMPRODUCT({g}*{w}*({row}-AVERAGE({row})))/{size}/({deviation}^2)"
    own = f"{gradient.cell(*index)}*{weight.cell(column)}"
    return f"({own}-SUMPRODUCT({g},{w})/{size}-{centred}*{along})/{deviation}"


def layer_norm_weight(cells: Cells, index: Index) -> str:
    """The normed rows, times their gradients."""
    gradient, x = cells.inputs
    (column,) = index

    def one_row(place: Index) -> str:
        row = x.row(*place)
        normed = f"({x.cell(*place, column)}-AVERAGE({row}))/{_deviation(cells, row)}"
        return f"{gradient.cell(*place, column)}*{normed}"

    return added(map(one_row, prefixes(x.shape, 1)))


def _length(cells: Cells, x: Block, place: Index) -> str:
    return f"SQRT(SUMSQ({x.row(*place)})/{x.shape[-1]}+{number(cells.constant('eps'))})"


def _rms_input(cells: Cells, index: Index, one_more: str) -> str:
    gradient, x, weight = cells.inputs
    *place, column = index
    g, row, length = gradient.row(*place), x.row(*place), _length(cells, x, tuple(place))
    stretches = f"({one_more}{weight.row()})"
    along = f"SUMPRODUCT({g}*{stretches}*{row})/{x.shape[-1]}/({length}^2)"
    own = f"{gradient.cell(*index)}*({one_more}{weight.cell(column)})"
    return f"({own}-{x.cell(*index)}*{along})/{length}"


def rms_norm_input(cells: Cells, index: Index) -> str:
    """What stretches the whole row is taken out."""
    return _rms_input(cells, index, "")


def rms_norm_from_one_input(cells: Cells, index: Index) -> str:
    """The same for a stretch that starts from one."""
    return _rms_input(cells, index, "1+")


def rms_norm_weight(cells: Cells, index: Index) -> str:
    """The normed rows, times their gradients."""
    gradient, x = cells.inputs
    (column,) = index
    return added(
        f"{gradient.cell(*place, column)}*{x.cell(*place, column)}/{_length(cells, x, place)}"
        for place in prefixes(x.shape, 1)
    )


def _placed(cells: Cells, index: Index, place: str) -> str:
    text, position, column = index
    return f"IF({place}={position + 1},{cells.inputs[0].cell(text, column)},0)"


def first_rows(cells: Cells, index: Index) -> str:
    """Only the first real position."""
    return _placed(cells, index, first_place(cells.inputs[1], index[0]))


def last_rows(cells: Cells, index: Index) -> str:
    """Only the last real position."""
    return _placed(cells, index, last_place(cells.inputs[1], index[0]))


LINEAR: dict[str, Written] = {"input": linear_input, "weight": linear_weight, "bias": linear_bias}
HEADS: dict[str, Written] = {"input": heads_input, "weight": heads_weight, "bias": heads_bias}
PLACES: dict[str, dict[str, Written]] = {  # formula -> its input -> how the gradient is written
    "same": {"input": same},
    "tokens": {"table": table},
    "tokens_scaled": {"table": table_scaled},
    "positions": {"table": table},
    "segments": {"table": table},
    "sum": {"part": same},
    "residual": {"part": same},
    "layer_norm": {"input": layer_norm_input, "stretch": layer_norm_weight, "shift": linear_bias},
    "rms_norm": {"input": rms_norm_input, "stretch": rms_norm_weight},
    "rms_norm_from_one": {"input": rms_norm_from_one_input, "stretch": rms_norm_weight},
    "query": HEADS,
    "key": HEADS,
    "value": HEADS,
    "turned": {"input": turned_back},
    "turned_in_part": {"input": turned_back},
    "turned_slowly": {"input": turned_back},
    "append": {"past": appended_past, "new": appended_new},
    "relative_bias": {"table": relative_table},
    "scores": {"query": scores_query, "key": scores_key},
    "scores_unscaled": {"query": scores_query, "key": scores_key},
    "weights": {"scores": softmax_back},
    "biased_weights": {"scores": softmax_back, "bias": softmax_back},
    "mixed": {"weights": mixed_weights, "value": mixed_value},
    "attention_output": {"input": joined_input, "weight": joined_weight, "bias": linear_bias},
    "up": LINEAR,
    "gate": LINEAR,
    "active": {"input": active_back},
    "gated": {"gate": gate_back, "up": up_back},
    "feed_forward_output": LINEAR,
    "projected": LINEAR,
    "logits": LINEAR,
    "logits_scaled": {"input": scaled_input, "weight": scaled_weight, "bias": linear_bias},
    "probabilities": {"logits": softmax_back},
    "probability_of_each": {"logits": sigmoid_back},
    "span_probabilities": {"logits": span_back},
    "first": {"input": first_rows},
    "last": {"input": last_rows},
    "pooled": {"input": pooled_input, "weight": pooled_weight, "bias": pooled_bias},
}
BACK: dict[str, Written] = {
    "gradient_start": one,
    "gradient_total": summed,
    **{f"{key}.{name}": written for key, places in PLACES.items() for name, written in places.items()},
}
