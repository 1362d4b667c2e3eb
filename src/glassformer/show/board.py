"""A step as it stands on a board: its inputs as matrices between signs, its result as a matrix.

A board shows one text and one head at a time, and multiplies from the right: the weight of a linear map,
stored as (out, in), stands there as its transpose, cut to the columns of the head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from glassformer.glass.step import Step
from glassformer.glass.trace import Trace
from glassformer.show.board_learning import LEARNT, symbols
from glassformer.show.labels import Labels

ONE_HOT = 24  # a vocabulary up to this size is written out as one-hot rows

# what each formula calls its inputs, in their order
SYMBOLS: dict[str, tuple[str, ...]] = {
    "given": (),
    "same": ("X",),
    "position_ids": ("m",),
    "mask": ("m",),
    "tokens": ("ids", "W_E"),
    "tokens_scaled": ("ids", "W_E"),
    "positions": ("p", "W_P"),
    "sinusoidal": ("p",),
    "sinusoidal_halves": ("p",),
    "sinusoidal_inclusive": ("p",),
    "segments": ("segment ids", "W_G"),
    "sum": ("E", "P", "G"),
    "layer_norm": ("X", "γ", "β"),
    "rms_norm": ("X", "γ"),
    "rms_norm_from_one": ("X", "γ"),
    "query": ("X", "W_Q", "b_Q"),
    "key": ("X", "W_K", "b_K"),
    "value": ("X", "W_V", "b_V"),
    "turned": ("X", "p"),
    "turned_in_part": ("X", "p"),
    "turned_slowly": ("X", "p"),
    "append": ("past", "X"),
    "relative_bias": ("q", "k", "W_B"),
    "scores": ("Q", "K"),
    "scores_unscaled": ("Q", "K"),
    "weights": ("S", "M"),
    "biased_weights": ("S", "B", "M"),
    "mixed": ("A", "V"),
    "attention_output": ("Z", "W_O", "b_O"),
    "residual": ("X", "O", "F"),
    "up": ("X", "W_1", "b_1"),
    "gate": ("X", "W_G", "b_G"),
    "active": ("U",),
    "gated": ("G", "U"),
    "feed_forward_output": ("H", "W_2", "b_2"),
    "projected": ("X", "W_T", "b_T"),
    "logits": ("X", "W_L", "b_L"),
    "logits_scaled": ("X", "W_L", "b_L"),
    "probabilities": ("L",),
    "probability_of_each": ("L",),
    "span_probabilities": ("L", "m"),
    "first": ("X", "m"),
    "last": ("X", "m"),
    "pooled": ("x", "W_C", "b_C"),
    "log_probabilities": ("L",),
    "span_log_probabilities": ("L", "m"),
    "cross_entropy": ("ln y", "label"),
    "smoothed_cross_entropy": ("ln y", "label"),
    "weighted_cross_entropy": ("ln y", "label", "w"),
    "weighted_smoothed_cross_entropy": ("ln y", "label", "w"),
    "span_cross_entropy": ("ln y", "label"),
    "binary_cross_entropy": ("L", "label"),
    "squared_error": ("L", "label"),
    "total": ("ℓ",),
    "mean_loss": ("Λ",),
    "both_losses": ("loss_1", "loss_2"),
}

LINEAR = frozenset(
    {
        "query",
        "key",
        "value",
        "attention_output",
        "up",
        "gate",
        "feed_forward_output",
        "projected",
        "logits",
        "logits_scaled",
        "pooled",
    }
)
LOOKED_UP = frozenset({"tokens", "tokens_scaled", "positions", "segments"})


@dataclass(frozen=True, slots=True)
class Matrix:
    """Numbers in rows and columns, and what they are called."""

    symbol: str
    values: Tensor  # (rows, columns)
    rows: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    of: int | None = None  # how many columns there are, where only some were picked
    of_rows: int | None = None  # how many rows there are, where only some were picked

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the whole."""
        rows, columns = self.values.shape
        return rows if self.of_rows is None else self.of_rows, columns if self.of is None else self.of

    def picked(self, columns: Sequence[int]) -> Matrix:
        """The same matrix with only some of its columns."""
        names = self.columns and tuple(self.columns[column] for column in columns)
        return replace(self, values=self.values[:, list(columns)], columns=names, of=self.values.shape[1])


ARROW = "→"  # the sign before a result that no sum or product makes
Sign = str
Term = Matrix | Sign


class Board:
    """One step of a trace, its inputs beside it, for one text and one head."""

    def __init__(self, step: Step, labels: Labels, *, text: int = 0, head: int = 0) -> None:
        self.step, self.labels, self.text = step, labels, text
        self.trace: Trace = labels.trace
        self.head = min(head, self.heads - 1)
        known = SYMBOLS.get(step.key)
        self.symbols = (symbols(step.key, len(step.inputs), SYMBOLS) if known is None else known)[: len(step.inputs)]

    @property
    def heads(self) -> int:
        """How many heads the step has; a step without heads has one."""
        return next(
            (n for a, n in zip(self.step.axes.split(), self.step.value.shape, strict=True) if a in "HG"), 1
        )

    @property
    def linear(self) -> bool:
        """Whether the step is a row times a weight."""
        return self.step.key in LINEAR

    @property
    def complete(self) -> bool:
        """Whether every input was kept, so that the whole equation can be written."""
        return bool(self.step.inputs) and all(
            n in self.trace or n in self.trace.parameters for n in self.step.inputs
        )

    @property
    def result(self) -> Matrix:
        """The step's own value."""
        return self.matrix(self.step.formula.symbol or self.step.name.rpartition(".")[2], self.step.name)

    def matrix(self, symbol: str, name: str, head: int | None = None) -> Matrix:
        """A step's value for this text and head, rows and columns named; or a parameter as it is stored."""
        if name not in self.trace:
            return Matrix(symbol, as_rows(self.trace.parameters[name]))
        step = self.trace[name]
        kept = [(i, letter) for i, letter in enumerate(step.axes.split()) if letter not in "BHG1"]
        values = step.value
        for axis, letter in reversed(list(enumerate(step.axes.split()))):
            if letter in "BHG1":
                values = values.select(axis, self._place(letter, step.value.shape[axis], head))
        called = [self.labels.along(step, axis, self.text) for axis, _ in kept]
        rows, columns = (called[0], called[1]) if len(kept) == 2 else (None, called[0] if called else None)
        return Matrix(symbol, as_rows(values), rows, columns)

    def _place(self, letter: str, size: int, head: int | None) -> int:
        if letter == "B":
            return self.text
        wanted = self.head if head is None else head
        return wanted * size // self.heads if letter in "HG" and size < self.heads else min(wanted, size - 1)

    def input(self, place: int) -> Matrix:
        """One of the step's inputs, under the formula's name for it."""
        return self.matrix(self.symbols[place], self.step.inputs[place])

    def weight(self) -> Matrix:
        """The weight of a linear map as the board has it: (in, out), and only this head's columns."""
        name, symbol = self.step.inputs[1], self.symbols[1]
        return Matrix(symbol, self._of_head(self.trace.parameters[name].T), columns=self.result.columns)

    def bias(self) -> Matrix | None:
        """The row that a linear map adds, if it adds one."""
        if len(self.step.inputs) < 3:
            return None
        return Matrix(
            self.symbols[2],
            self._of_head(self.trace.parameters[self.step.inputs[2]][None]),
            columns=self.result.columns,
        )

    def _of_head(self, columns: Tensor) -> Tensor:
        if not any(letter in "HG" for letter in self.step.axes.split()):
            return columns
        size = columns.shape[-1] // self.heads
        return columns[:, self.head * size : (self.head + 1) * size]

    def joined(self) -> Matrix:
        """The heads' rows side by side, as the output projection reads them."""
        heads = self.trace[self.step.inputs[0]].value[self.text]
        first = self.input(0)
        return replace(first, values=heads.transpose(0, 1).flatten(1))

    def equation(self) -> list[Term]:
        """The inputs and the signs between them, as far as the formula is one that can be written so."""
        if not self.complete:
            return []
        key = self.step.key
        if key in LINEAR:
            return self._linear()
        if key in LOOKED_UP:
            return self._looked_up()
        if key in LEARNT:
            return LEARNT[key](self) or self._listed()
        return OTHERS.get(key, Board._listed)(self)

    def _linear(self) -> list[Term]:
        x = self.joined() if self.step.key == "attention_output" else self.input(0)
        terms: list[Term] = [x, "·", self.weight()]
        if self.step.key == "logits_scaled":
            terms.append(f"/ √{self.step.constants['d_model']}")
        bias = self.bias()
        terms += [] if bias is None else ["+", bias]
        return ["tanh(", *terms, ")"] if self.step.key == "pooled" else terms

    def _looked_up(self) -> list[Term]:
        table = self.trace.parameters[self.step.inputs[1]]
        scale = [f"· √{self.step.constants['d_model']}"] if self.step.key == "tokens_scaled" else []
        if self.step.key in ("tokens", "tokens_scaled") and len(table) <= ONE_HOT:
            return [self.one_hot(len(table)), "·", Matrix(self.symbols[1], table), *scale]
        ids = self.input(0)
        column = Matrix(self.symbols[0], ids.values.T, ids.columns, None)
        whole = Matrix(self.symbols[1], table)
        if len(table) > ONE_HOT:  # beside each number its own row
            places = ids.values.flatten() + int(self.step.constants.get("offset", 0))
            whole = replace(whole, values=table[places], of_rows=len(table))
        return [column, "rows of", whole, *scale, ARROW]

    def one_hot(self, size: int) -> Matrix:
        """The ids written as rows that are 1 at one place and 0 elsewhere."""
        ids = self.trace[self.step.inputs[0]].value[self.text]
        rows = torch.zeros(len(ids), size, dtype=torch.long)
        rows[torch.arange(len(ids)), ids] = 1
        return Matrix(
            "onehot(ids)", rows, self.labels.along(self.trace[self.step.inputs[0]], 1, self.text), None
        )

    def _added(self) -> list[Term]:
        terms: list[Term] = [self.input(0)]
        for place in range(1, len(self.step.inputs)):
            terms += ["+", self.input(place)]
        return terms

    def _scores(self) -> list[Term]:
        keys = self.input(1)
        scale = [f"/ √{self.step.constants['head_size']}"] if "head_size" in self.step.constants else []
        return [self.input(0), "·", Matrix("Kᵀ", keys.values.T, None, keys.rows), *scale]

    def _product(self) -> list[Term]:
        return [self.input(0), "·", self.input(1)]

    def _softmax(self) -> list[Term]:
        scores, *more = self._added()
        if self.blank(len(self.step.inputs) - 1):
            more = more[:-2]
        return ["softmax(", scores, *more, ")"]

    def blank(self, place: int) -> bool:
        """Whether an input is a mask that hides nothing."""
        return self.symbols[place] == "M" and not bool(self.input(place).values.any())

    def _waves(self) -> list[Term]:
        positions = self.input(0)
        return [replace(positions, values=positions.values.T, rows=positions.columns, columns=None), ARROW]

    def _active(self) -> list[Term]:
        return [f"{self.step.constants['activation']}(", self.input(0), ")"]

    def _each(self) -> list[Term]:
        return ["sigmoid(", self.input(0), ")"]

    def _gated(self) -> list[Term]:
        return [f"{self.step.constants['activation']}(", self.input(0), ")", "⊙", self.input(1)]

    def _listed(self) -> list[Term]:
        terms: list[Term] = []
        for place in range(len(self.step.inputs)):
            terms += [self.input(place), ","]
        return [*terms[:-1], ARROW]


OTHERS: dict[str, Callable[[Board], list[Term]]] = {
    "sinusoidal": Board._waves,
    "sinusoidal_halves": Board._waves,
    "sinusoidal_inclusive": Board._waves,
    "sum": Board._added,
    "residual": Board._added,
    "scores": Board._scores,
    "scores_unscaled": Board._scores,
    "mixed": Board._product,
    "weights": Board._softmax,
    "biased_weights": Board._softmax,
    "probabilities": Board._softmax,
    "probability_of_each": Board._each,
    "active": Board._active,
    "gated": Board._gated,
}


def as_rows(values: Tensor) -> Tensor:
    """A row for a list of numbers, a single cell for one number."""
    return values.reshape(1, -1) if values.ndim < 2 else values.reshape(values.shape[0], -1)
