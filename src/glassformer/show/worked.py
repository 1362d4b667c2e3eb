"""One entry of a step worked out: the recorded inputs put into the formula, and the recorded result.

The result shown is always the trace's. What stands before it (products, powers of e, a row's mean) is worked
from the recorded inputs only to be shown; `check` is what they come to, and a test holds the two together.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from glassformer.glass.formulas import turning_rates
from glassformer.glass.verify import as_array
from glassformer.show.board import LINEAR, Board, Matrix
from glassformer.show.numbers import HIDDEN, HIDDEN_MARK, PRECISION, WHOLE, factor, number, summed
from glassformer.show.worked_learning import LEARNING_LINES
from glassformer.show.worked_loss import LOSS_LINES
from glassformer.show.worked_search import SEARCH_LINES

STEEP = 30.0  # powers of e beyond this are written relative to the largest


@dataclass(frozen=True, slots=True)
class Worked:
    """`place = text = result`."""

    place: str
    text: str
    result: str
    check: float | None
    recorded: float

    def __str__(self) -> str:
        return " = ".join(part for part in (self.place, self.text, self.result) if part)


@dataclass(frozen=True, slots=True)
class Powers:
    """One row of a softmax before the division, as text."""

    above: list[str]
    powers: list[str]
    total: str


Line = tuple[str, float | None]


class Writer:
    """Works out entries of one step at the precision asked for."""

    def __init__(self, board: Board, precision: int = PRECISION) -> None:
        self.board, self.precision = board, precision
        self.result = board.result

    def entry(self, row: int, column: int) -> Worked | None:
        """The entry in this row and column of the board; None where the formula is not arithmetic."""
        write = LINES.get(self.board.step.key)
        if write is None or not self.board.complete:
            return None
        text, check = write(self, row, column)
        recorded = float(self.result.values[row, column])
        return Worked(
            self.place(row, column),
            text,
            number(self.result.values[row, column].item(), self.precision),
            check,
            recorded,
        )

    def place(self, row: int, column: int) -> str:
        """Q[love, 1]: the entry's own name; of a number alone its symbol."""
        if not self.board.step.axes:
            return self.result.symbol
        return (
            f"{self.result.symbol}[{_called(self.result.rows, row)}, {_called(self.result.columns, column)}]"
        )

    def number(self, value: float) -> str:
        """One number, alone or after an equals sign."""
        return number(value, self.precision)

    def factor(self, value: float) -> str:
        """One number inside a product or sum."""
        return factor(value, self.precision)

    def products(self, left: Sequence[float], right: Sequence[float], bias: float | None = None) -> Line:
        """Pairs multiplied and added, then a bias."""
        pairs = list(zip(left, right, strict=True))
        total = math.fsum(a * b for a, b in pairs)
        text = summed(pairs, lambda pair: f"{self.factor(pair[0])}·{self.factor(pair[1])}")
        if bias is None:
            return text, total
        return f"{text} + {self.factor(bias)}", total + bias

    def linear(self, row: int, column: int) -> Line:
        """A row times a column, plus a bias."""
        key = self.board.step.key
        x = self.board.joined() if key == "attention_output" else self.board.input(0)
        bias = self.board.bias()
        left, right = row_of(x, row), column_of(self.board.weight(), column)
        added = None if bias is None else row_of(bias, 0)[column]
        if key == "logits_scaled":
            root = math.sqrt(self.board.step.constants["d_model"])
            text, total = self.products(left, right)
            text, total = f"({text}) / √{self.board.step.constants['d_model']}", (total or 0.0) / root
            return (text, total) if added is None else (f"{text} + {self.factor(added)}", total + added)
        text, total = self.products(left, right, added)
        return (f"tanh({text})", math.tanh(total or 0.0)) if key == "pooled" else (text, total)

    def looked_up(self, row: int, column: int) -> Line:
        """One number of the row that an id picks."""
        step = self.board.step
        table = self.board.trace.parameters[step.inputs[1]]
        place = int(self.board.input(0).values[0, row]) + int(step.constants.get("offset", 0))
        picked = float(table[place, column])
        text = f"{self.board.symbols[1]}[{place}, {column}]"
        if step.key != "tokens_scaled":
            return text, picked
        size = step.constants["d_model"]
        return f"{self.factor(picked)}·√{size}", picked * math.sqrt(size)

    def one_hot(self, row: int, column: int) -> Line:
        """A one-hot row times a column of the embedding weights, where the vocabulary is small."""
        table = self.board.trace.parameters[self.board.step.inputs[1]]
        if len(table) > WHOLE:
            return self.looked_up(row, column)
        hot = row_of(self.board.one_hot(len(table)), row)
        text, total = self.products(hot, [float(value) for value in table[:, column]])
        if self.board.step.key == "tokens":
            return text, total
        size = self.board.step.constants["d_model"]
        return f"({text})·√{size}", (total or 0.0) * math.sqrt(size)

    def wave(self, row: int, column: int) -> Line:
        """The sine or cosine of a position."""
        constants, width = self.board.step.constants, self.board.step.value.shape[-1]
        halves = self.board.step.key != "sinusoidal"
        pair, name = (
            (column % (width // 2), ("sin", "cos")[column >= width // 2])
            if halves
            else (column // 2, ("sin", "cos")[column % 2])
        )
        position = int(self.board.input(0).values[0, row]) + constants.get("offset", 0)
        power, size = (pair, constants["last"]) if "last" in constants else (2 * pair, width)
        angle = position / 10_000.0 ** (power / size)
        inside = str(position) if pair == 0 else f"{position} / 10000^({power}/{size})"
        return f"{name}({inside})", (math.sin if name == "sin" else math.cos)(angle)

    def added(self, row: int, column: int) -> Line:
        """The same entry of each input, added."""
        parts = [row_of(self.board.input(place), row)[column] for place in range(len(self.board.step.inputs))]
        first, *rest = parts
        return " + ".join([self.number(first), *map(self.factor, rest)]), math.fsum(parts)

    def scores(self, row: int, column: int) -> Line:
        """A query times a key."""
        text, total = self.products(row_of(self.board.input(0), row), row_of(self.board.input(1), column))
        size = self.board.step.constants.get("head_size")
        return (text, total) if size is None else (f"({text}) / √{size}", (total or 0.0) / math.sqrt(size))

    def mixed(self, row: int, column: int) -> Line:
        """A row of weights times a column of values."""
        return self.products(row_of(self.board.input(0), row), column_of(self.board.input(1), column))

    def softmax(self, row: int, column: int) -> Line:
        """One power of e over the sum of all."""
        seen, hidden = self.exponents(row)
        if column in hidden:
            return "hidden by the mask", 0.0
        shift = max(seen.values()) if max(map(abs, seen.values())) > STEEP else 0.0
        total = math.fsum(math.exp(value - shift) for value in seen.values())

        def power(value: float) -> str:
            return (
                f"e^{self.factor(value)}" if not shift else f"e^({self.number(value)} − {self.factor(shift)})"
            )

        below = summed(list(seen.values()), power)
        return f"{power(seen[column])} / ({below})", math.exp(seen[column] - shift) / total

    def exponents(self, row: int) -> tuple[dict[int, float], set[int]]:
        """What stands above e for each column that may be seen, and the columns that may not."""
        parts = [row_of(self.board.input(place), row) for place in range(len(self.board.step.inputs))]
        sums = [
            math.fsum(column) if min(column) > HIDDEN else -math.inf for column in zip(*parts, strict=True)
        ]
        if all(math.isinf(value) for value in sums):  # a row that may look nowhere looks everywhere alike
            sums = [0.0] * len(sums)
        hidden = {place for place, value in enumerate(sums) if math.isinf(value)}
        return {place: value for place, value in enumerate(sums) if place not in hidden}, hidden

    def softmax_steps(self, row: int) -> Powers | None:
        """A row of a softmax on its way: what stands above e, its power, the sum; None where powers are vast."""
        seen, _ = self.exponents(row)
        if max(seen.values()) > STEEP:
            return None
        count = self.result.values.shape[1]
        powers = {place: math.exp(value) for place, value in seen.items()}
        return Powers(
            above=[self.number(seen[place]) if place in seen else HIDDEN_MARK for place in range(count)],
            powers=[self.number(powers[place]) if place in powers else "0" for place in range(count)],
            total=self.number(math.fsum(powers.values())),
        )

    def each(self, row: int, column: int) -> Line:
        """One over one and a power of e."""
        value = row_of(self.board.input(0), row)[column]
        return f"1 / (1 + e^(−{self.factor(value)}))", 0.5 * (1.0 + math.tanh(0.5 * value))

    def over_positions(self, row: int, column: int) -> Line:
        """One power of e over the sum of those at all real positions."""
        logits = column_of(self.board.input(0), column)
        real = [bool(value) for value in row_of(self.board.input(1), 0)]
        if not real[row]:
            return "padding", 0.0
        seen = [value for value, here in zip(logits, real, strict=True) if here]
        shift = max(seen)
        total = math.fsum(math.exp(value - shift) for value in seen)
        below = summed(seen, lambda value: f"e^{self.factor(value)}")
        return f"e^{self.factor(logits[row])} / ({below})", math.exp(logits[row] - shift) / total

    def active(self, row: int, column: int) -> Line:
        """The activation of one number."""
        value = row_of(self.board.input(0), row)[column]
        return self.activated(value)

    def activated(self, value: float) -> Line:
        """An activation with its number put in."""
        kind, x = self.board.step.constants["activation"], self.factor(value)
        if kind == "relu":
            return f"max(0, {self.number(value)})", max(0.0, value)
        if kind == "silu":
            return f"{x} / (1 + e^(−{x}))", value / (1.0 + math.exp(-value))
        if kind == "gelu":
            return f"{x}·Φ({self.number(value)})", 0.5 * value * (1.0 + math.erf(value / math.sqrt(2.0)))
        inner = math.sqrt(2.0 / math.pi) * (value + 0.044715 * value**3)
        return f"0.5·{x}·(1 + tanh(√(2/π)·({x} + 0.044715·{x}³)))", 0.5 * value * (1.0 + math.tanh(inner))

    def gated(self, row: int, column: int) -> Line:
        """The activation of a gate times what it lets through."""
        text, value = self.activated(row_of(self.board.input(0), row)[column])
        up = row_of(self.board.input(1), row)[column]
        return f"({text})·{self.factor(up)}", (value or 0.0) * up

    def layer_norm(self, row: int, column: int) -> Line:
        """One number less its row's mean, over the root of the row's variance."""
        x = row_of(self.board.input(0), row)
        mean = math.fsum(x) / len(x)
        variance = math.fsum((value - mean) ** 2 for value in x) / len(x)
        eps = self.board.step.constants["eps"]
        gamma, beta = row_of(self.board.input(1), 0)[column], row_of(self.board.input(2), 0)[column]
        text = f"({self.number(x[column])} − {self.factor(mean)}) / √({self.number(variance)} + {eps:g})"
        check = (x[column] - mean) / math.sqrt(variance + eps) * gamma + beta
        return f"{text}·{self.factor(gamma)} + {self.factor(beta)}", check

    def rms_norm(self, row: int, column: int) -> Line:
        """One number over the root of its row's mean square."""
        x = row_of(self.board.input(0), row)
        square = math.fsum(value**2 for value in x) / len(x)
        eps, gamma = self.board.step.constants["eps"], row_of(self.board.input(1), 0)[column]
        text = f"{self.factor(x[column])} / √({self.number(square)} + {eps:g})"
        if self.board.step.key == "rms_norm_from_one":
            return f"{text}·(1 + {self.factor(gamma)})", x[column] / math.sqrt(square + eps) * (1.0 + gamma)
        return f"{text}·{self.factor(gamma)}", x[column] / math.sqrt(square + eps) * gamma

    def turned(self, row: int, column: int) -> Line:
        """One number of a pair, turned; or one that stays as it is."""
        x, constants = row_of(self.board.input(0), row), self.board.step.constants
        size = constants.get("size", len(x))
        if column >= size:
            return self.number(x[column]), x[column]
        position, half = int(self.board.input(1).values[0, row]), size // 2
        pair, base = column % half, constants["base"]
        angle = position * float(turning_rates(**{"size": size, **constants})[pair])
        inside = f"{position}" if pair == 0 else f"{position} / {base:g}^({2 * pair}/{size})"
        if "stretch" in constants:
            inside = self.number(angle)
        left, right = x[pair], x[pair + half]
        if column < half:
            text = f"{self.factor(left)}·cos({inside}) − {self.factor(right)}·sin({inside})"
            return text, left * math.cos(angle) - right * math.sin(angle)
        text = f"{self.factor(right)}·cos({inside}) + {self.factor(left)}·sin({inside})"
        return text, right * math.cos(angle) + left * math.sin(angle)


def row_of(matrix: Matrix, row: int) -> list[float]:
    """One row as plain numbers: of a large matrix only this much is read."""
    numbers: list[float] = as_array(matrix.values[row]).tolist()
    return numbers


def column_of(matrix: Matrix, column: int) -> list[float]:
    """One column as plain numbers."""
    numbers: list[float] = as_array(matrix.values[:, column]).tolist()
    return numbers


def _called(names: Sequence[str] | None, place: int) -> str:
    return names[place] if names is not None else str(place)


LINES: dict[str, Callable[[Writer, int, int], Line]] = {
    **dict.fromkeys(LINEAR, Writer.linear),
    "tokens": Writer.one_hot,
    "tokens_scaled": Writer.one_hot,
    "positions": Writer.looked_up,
    "segments": Writer.looked_up,
    "sinusoidal": Writer.wave,
    "sinusoidal_halves": Writer.wave,
    "sinusoidal_inclusive": Writer.wave,
    "sum": Writer.added,
    "residual": Writer.added,
    "layer_norm": Writer.layer_norm,
    "rms_norm": Writer.rms_norm,
    "rms_norm_from_one": Writer.rms_norm,
    "scores": Writer.scores,
    "scores_unscaled": Writer.scores,
    "weights": Writer.softmax,
    "biased_weights": Writer.softmax,
    "probabilities": Writer.softmax,
    "probability_of_each": Writer.each,
    "span_probabilities": Writer.over_positions,
    "mixed": Writer.mixed,
    "active": Writer.active,
    "gated": Writer.gated,
    "turned": Writer.turned,
    "turned_in_part": Writer.turned,
    "turned_slowly": Writer.turned,
    **LOSS_LINES,
    **LEARNING_LINES,
    **SEARCH_LINES,
}
