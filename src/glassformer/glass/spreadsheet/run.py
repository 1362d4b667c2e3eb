"""The cells of a run: one writer for each formula."""

import numpy as np

from glassformer.glass.formulas import buckets, turning_rates
from glassformer.glass.spreadsheet.cells import (
    Block,
    Cells,
    Index,
    Written,
    added,
    at,
    dot,
    group,
    meet,
    number,
    shared,
)


def same(cells: Cells, index: Index) -> str:
    """The same number."""
    return at(cells.inputs[0], index)


def summed(cells: Cells, index: Index) -> str:
    """The same place of each input, added."""
    return added(at(block, index) for block in cells.inputs)


def position_ids(cells: Cells, index: Index) -> str:
    """How many real tokens stand before."""
    text, place = index
    mask, new = cells.inputs[0], cells.constant("new")
    return f"MAX(0,SUM({mask.row(text, stop=mask.shape[1] - new + place + 1)})-1)"


def mask(cells: Cells, index: Index) -> str:
    """Nothing where a query may look, the lowest number where it may not."""
    text, _, query, key = index
    read, never = cells.inputs[0], number(cells.constant("never"))
    place = read.shape[1] - cells.constant("queries") + query
    window = cells.constants.get("window")
    if cells.constant("causal") and (key > place or (window is not None and key <= place - window)):
        return never
    return f"IF({read.cell(text, key)}<>0,0,{never})"


def tokens(cells: Cells, index: Index) -> str:
    """The row of a table, by the number of the token; tables begin at 0, places at 1."""
    *place, column = index
    ids, table = cells.inputs
    return f"INDEX({table.column(column)},{at(ids, place)}+{1 + cells.constants.get('offset', 0)})"


def tokens_scaled(cells: Cells, index: Index) -> str:
    """The same, lengthened."""
    return f"{tokens(cells, index)}*SQRT({cells.constant('d_model')})"


def _wave(cells: Cells, index: Index, cosine: bool, angle: str) -> str:
    offset = cells.constants.get("offset", 0)
    position = at(cells.inputs[0], index[:-1])
    moved = f"({position}+{offset})" if offset else position
    return f"{'COS' if cosine else 'SIN'}({moved}/10000^({angle}))"


def sinusoidal(cells: Cells, index: Index) -> str:
    """Sine and cosine in turn."""
    column = index[-1]
    return _wave(cells, index, column % 2 == 1, f"{column // 2 * 2}/{cells.constant('d_model')}")


def sinusoidal_halves(cells: Cells, index: Index) -> str:
    """All sines, then all cosines."""
    size = cells.constant("d_model")
    half = size // 2
    return _wave(cells, index, index[-1] >= half, f"{2 * (index[-1] % half)}/{size}")


def sinusoidal_inclusive(cells: Cells, index: Index) -> str:
    """The same at other rates."""
    last = cells.constant("last")
    return _wave(cells, index, index[-1] > last, f"{index[-1] % (last + 1)}/{last}")


def layer_norm(cells: Cells, index: Index) -> str:
    """A row's mean taken away, over the root of its variance."""
    x, weight, bias = cells.inputs
    row, column = x.row(*index[:-1]), index[-1]
    deviation = f"SQRT(VARP({row})+{number(cells.constant('eps'))})"
    return f"({x.cell(*index)}-AVERAGE({row}))/{deviation}*{weight.cell(column)}+{bias.cell(column)}"


def _rms(cells: Cells, index: Index) -> str:
    x = cells.inputs[0]
    size = f"SQRT(SUMSQ({x.row(*index[:-1])})/{x.shape[-1]}+{number(cells.constant('eps'))})"
    return f"{x.cell(*index)}/{size}"


def rms_norm(cells: Cells, index: Index) -> str:
    """Over the root of the row's mean square."""
    return f"{_rms(cells, index)}*{cells.inputs[1].cell(index[-1])}"


def rms_norm_from_one(cells: Cells, index: Index) -> str:
    """The same with a stretch that starts from one."""
    return f"{_rms(cells, index)}*(1+{cells.inputs[1].cell(index[-1])})"


def affine(cells: Cells, index: Index) -> str:
    """A row times a row of the stored weight, which is a column of the board's."""
    *place, out = index
    return dot(cells.inputs[0].row(*place), cells.inputs[1].row(out)) + cells.bias(2, out)


def heads(cells: Cells, index: Index) -> str:
    """The same for a result that is cut into heads."""
    text, head, place, number_ = index
    out = head * cells.output.shape[-1] + number_
    return dot(cells.inputs[0].row(text, place), cells.inputs[1].row(out)) + cells.bias(2, out)


def joined(cells: Cells, index: Index) -> str:
    """The heads side by side, times a weight."""
    text, place, out = index
    mixed, weight = cells.inputs[:2]
    count, size = mixed.shape[1], mixed.shape[3]
    parts = (
        dot(mixed.row(text, head, place), weight.row(out, start=head * size, stop=(head + 1) * size))
        for head in range(count)
    )
    return added(parts) + cells.bias(2, out)


def logits_scaled(cells: Cells, index: Index) -> str:
    """The same, over the root of the model's size."""
    *place, out = index
    product = dot(cells.inputs[0].row(*place), cells.inputs[1].row(out))
    return f"{product}/SQRT({cells.constant('d_model')}){cells.bias(2, out)}"


def pooled(cells: Cells, index: Index) -> str:
    """A linear map through tanh."""
    return f"TANH({affine(cells, index)})"


def turned(cells: Cells, index: Index, back: bool = False) -> str:
    """One number of a pair, turned by its position; with `back`, the other way."""
    x, ids = cells.inputs[:2]
    constants = dict(cells.constants)
    size = constants.setdefault("size", x.shape[-1])
    *before, column = index
    if column >= size:
        return x.cell(*index)
    half = size // 2
    pair = column % half
    position = ids.cell(*shared(ids, (index[0], index[2])))
    angle = f"{position}*{number(float(turning_rates(**constants)[pair]))}"
    own, other = x.cell(*index), x.cell(*before, pair + half if column < half else pair)
    sign = "-" if (column < half) != back else "+"
    return f"{own}*COS({angle}){sign}{other}*SIN({angle})"


def append(cells: Cells, index: Index) -> str:
    """What was kept, then what is new."""
    past, new = cells.inputs
    text, head, place, column = index
    kept = past.shape[2]
    return past.cell(*index) if place < kept else new.cell(text, head, place - kept, column)


def relative_bias(cells: Cells, index: Index) -> str:
    """The number of a bucket, found among the distances at which buckets begin."""
    text, head, query, key = index
    queries, keys, table = cells.inputs
    q, k = queries.cell(*shared(queries, (text, query))), keys.cell(*shared(keys, (text, key)))
    bucket = bucket_of(f"({k}-{q})", table.shape[0], cells.constant("distance"), cells.constant("both_ways"))
    return f"INDEX({table.column(head)},{bucket}+1)"


def bucket_of(distance: str, count: int, far: int, both_ways: bool) -> str:
    """The bucket of a distance: buckets grow with it, so it is looked up among their first distances."""
    steps = np.arange(0, 2 * far + 2)
    found = buckets(-steps, count, far, both_ways)
    first = [int(place) for place in steps if place == 0 or found[place] != found[place - 1]]
    own = ",".join(str(int(found[place])) for place in first)
    begins = ",".join(map(str, first))
    if both_ways:
        return f"(LOOKUP(ABS({distance}),{{{begins}}},{{{own}}})+IF({distance}>0,{count // 2},0))"
    return f"LOOKUP(MAX(0,-{distance}),{{{begins}}},{{{own}}})"


def _scores(cells: Cells, index: Index) -> str:
    text, head, query, key = index
    q, k = cells.inputs
    return dot(q.row(text, head, query), k.row(text, group(q, k.shape[1], head), key))


def scores(cells: Cells, index: Index) -> str:
    """A query times a key, over the root of their size."""
    return f"{_scores(cells, index)}/SQRT({cells.constant('head_size')})"


def scores_unscaled(cells: Cells, index: Index) -> str:
    """A query times a key."""
    return _scores(cells, index)


def share(row: str, cell: str) -> str:
    """One power of e over the sum of all, shifted by the largest; `row` may be a sum of ranges."""
    largest = f"SUMPRODUCT(MAX({row}))"
    return f"EXP({cell}-{largest})/SUMPRODUCT(EXP({row}-{largest}))"


def softmax(cells: Cells, index: Index) -> str:
    """A row of one input, or of several added, made positive and summing to 1."""
    rows = [block.row(*shared(block, index[:-1])) for block in cells.inputs]
    return share(added(rows), added(at(block, index) for block in cells.inputs))


def mixed(cells: Cells, index: Index) -> str:
    """A row of weights times a column of values."""
    text, head, query, column = index
    weights, value = cells.inputs
    return meet(weights.row(text, head, query), value.column(text, group(weights, value.shape[1], head), column))


def activated(activation: str, x: str) -> str:
    """An activation of one cell."""
    root = "SQRT(2/PI())"
    return {
        "relu": f"MAX(0,{x})",
        "gelu": f"0.5*{x}*(1+ERF({x}/SQRT(2)))",
        "gelu-tanh": f"0.5*{x}*(1+TANH({root}*({x}+0.044715*{x}^3)))",
        "silu": f"{x}/(1+EXP(-{x}))",
    }[activation]


def active(cells: Cells, index: Index) -> str:
    """An activation."""
    return activated(cells.constant("activation"), cells.inputs[0].cell(*index))


def gated(cells: Cells, index: Index) -> str:
    """An activation times what it lets through."""
    gate, up = (block.cell(*index) for block in cells.inputs)
    return f"{activated(cells.constant('activation'), gate)}*{up}"


def probability_of_each(cells: Cells, index: Index) -> str:
    """One over one and a power of e."""
    return f"1/(1+EXP(-{cells.inputs[0].cell(*index)}))"


def span_probabilities(cells: Cells, index: Index) -> str:
    """The share of a position among the real ones."""
    text, place, label = index
    logits, real = cells.inputs
    column = logits.column(text, label)
    powers = meet(real.row(text), f"EXP({column}-MAX({column}))")
    return f"IF({real.cell(text, place)}<>0,EXP({logits.cell(*index)}-MAX({column}))/{powers},0)"


def first(cells: Cells, index: Index) -> str:
    """The row at the first real position."""
    x, real = cells.inputs
    return f"INDEX({x.column(*index)},{first_place(real, index[0])})"


def last(cells: Cells, index: Index) -> str:
    """The row at the last real position."""
    x, real = cells.inputs
    return f"INDEX({x.column(*index)},{last_place(real, index[0])})"


def first_place(real: Block, text: int) -> str:
    """Where the first real token stands, counted from 1."""
    return f"MATCH(1,{real.row(text)},0)"


def last_place(real: Block, text: int) -> str:
    """Where the last one stands."""
    row = real.row(text)
    return f"SUMPRODUCT(MAX({row}*(COLUMN({row})-COLUMN({real.cell(text, 0)})+1)))"


RUN: dict[str, Written] = {
    "same": same,
    "position_ids": position_ids,
    "mask": mask,
    "tokens": tokens,
    "tokens_scaled": tokens_scaled,
    "positions": tokens,
    "sinusoidal": sinusoidal,
    "sinusoidal_halves": sinusoidal_halves,
    "sinusoidal_inclusive": sinusoidal_inclusive,
    "segments": tokens,
    "sum": summed,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "rms_norm_from_one": rms_norm_from_one,
    "query": heads,
    "key": heads,
    "value": heads,
    "turned": turned,
    "turned_in_part": turned,
    "turned_slowly": turned,
    "append": append,
    "relative_bias": relative_bias,
    "scores": scores,
    "scores_unscaled": scores_unscaled,
    "weights": softmax,
    "biased_weights": softmax,
    "mixed": mixed,
    "attention_output": joined,
    "residual": summed,
    "up": affine,
    "gate": affine,
    "active": active,
    "gated": gated,
    "feed_forward_output": affine,
    "projected": affine,
    "logits": affine,
    "logits_scaled": logits_scaled,
    "probabilities": softmax,
    "probability_of_each": probability_of_each,
    "span_probabilities": span_probabilities,
    "first": first,
    "last": last,
    "pooled": pooled,
}
