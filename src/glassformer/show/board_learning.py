"""How gradients, updates and searches stand on a board: what their inputs are called, and the signs between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from glassformer.glass.backward import OUTPUT, RULES, START, TOTAL
from glassformer.glass.formulas import FORMULAS

if TYPE_CHECKING:
    from glassformer.show.board import Board, Matrix, Term

UPDATES: Mapping[str, tuple[str, ...]] = {
    "clip_factor": ("n",),
    "clipped": ("∂W", "c"),
    "first_moment": ("m_before", "g"),
    "second_moment": ("v_before", "g"),
    "moment_corrected": ("m",),
    "decayed": ("W",),
    "moved": ("W'", "m̂", "v̂"),
}
SEARCHES: Mapping[str, tuple[str, ...]] = {
    "likeness": ("X", "W"),
    "degeneration_penalty": ("c",),
    "contrastive_score": ("y", "d"),
}


def symbols(key: str, inputs: int, forward: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What a rule calls its inputs: the gradient that comes in, then the values of the run by their own names."""
    if key == START:
        return ("loss",)
    if key == TOTAL:
        return ("∂X",) * inputs
    if key == "gradient_norm":
        return ("∂W",) * inputs
    if key in UPDATES or key in SEARCHES:
        return {**UPDATES, **SEARCHES}[key]
    made = key.rpartition(".")[0]
    own = FORMULAS[made].symbol
    taken = (own if place == OUTPUT else forward[made][place] for place in RULES[key].takes)
    return (f"∂{own}", *taken)


def turned_over(matrix: Matrix) -> Matrix:
    """Rows as columns."""
    return replace(
        matrix,
        symbol=f"{matrix.symbol}ᵀ",
        values=matrix.values.T,
        rows=matrix.columns,
        columns=matrix.rows,
    )


def _back(board: Board) -> list[Term]:
    """∂Y·Wᵀ: the stored weight is the board's, turned over already."""
    if board.trace[board.step.inputs[0]].value.ndim == 4 or board.heads > 1:
        return []
    weight = board.input(1)
    return [board.input(0), "·", replace(weight, symbol=f"{weight.symbol}ᵀ"), *_root(board, "d_model")]


def _met(board: Board) -> list[Term]:
    """∂Yᵀ·X, which is stored; Xᵀ·∂Y is the board's."""
    gradient, x = (board.trace[name].value for name in board.step.inputs[:2])
    if max(_heads(gradient.shape), _heads(x.shape)) > 1:
        return []
    return [turned_over(board.input(0)), "·", board.input(1), *_root(board, "d_model")]


def _heads(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) == 4 else 1


def _root(board: Board, name: str) -> list[Term]:
    size = board.step.constants.get(name)
    return [] if size is None else [f"/ √{size}"]


def _summed(board: Board) -> list[Term]:
    return ["Σ rows of", board.input(0)] if board.trace[board.step.inputs[0]].value.ndim == 3 else []


def _added(board: Board) -> list[Term]:
    terms: list[Term] = []
    for place in range(len(board.step.inputs)):
        terms += ["+", board.input(place)]
    return terms[1:]


def _query(board: Board) -> list[Term]:
    return [board.input(0), "·", board.input(1), *_root(board, "head_size")]


def _key(board: Board) -> list[Term]:
    if board.step.constants["key_heads"] != board.trace[board.step.inputs[0]].value.shape[1]:
        return []
    first, second = (0, 1) if board.step.key.startswith("scores") else (1, 0)
    return [turned_over(board.input(first)), "·", board.input(second), *_root(board, "head_size")]


def _values(board: Board) -> list[Term]:
    return [board.input(0), "·", turned_over(board.input(1))]


def _likeness(board: Board) -> list[Term]:
    """The rows of all candidates, and of all that was written, side by side."""
    rows = board.trace[board.step.inputs[0]].value[:, -1]
    read, result = board.input(0), board.result
    written = replace(board.input(1), rows=result.columns)
    return ["cos(", replace(read, values=rows, rows=result.rows), ",", written, ")"]


def _softmax(board: Board) -> list[Term]:
    gradient, shares = board.input(0), board.input(1)
    return [shares, "⊙ (", gradient, f"− rowsum({gradient.symbol} ⊙ {shares.symbol}) )"]


MAPS = (
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
)
LEARNT: Mapping[str, Callable[[Board], list[Term]]] = {
    **{f"{key}.input": _back for key in MAPS},
    **{f"{key}.weight": _met for key in MAPS},
    **{f"{key}.bias": _summed for key in MAPS},
    TOTAL: _added,
    "likeness": _likeness,
    "scores.query": _query,
    "scores_unscaled.query": _query,
    "scores.key": _key,
    "scores_unscaled.key": _key,
    "mixed.weights": _values,
    "mixed.value": _key,
    "weights.scores": _softmax,
    "biased_weights.scores": _softmax,
    "biased_weights.bias": _softmax,
}
