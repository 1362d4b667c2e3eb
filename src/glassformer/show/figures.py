"""Figures for papers and slides, by matplotlib: attention, steps, the residual stream, probabilities, a model's map.

Every function gives a `Figure` that belongs to no window: save it (`figure.savefig`), or write it whole with `write`.
Colours are those that people with any colour vision tell apart: cividis for shares, blue to orange for signed numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.glass.sizes import residual_lengths
from glassformer.glass.step import AXES, Step
from glassformer.glass.trace import Trace
from glassformer.glass.verify import as_array
from glassformer.inspection.figures import write
from glassformer.show.board import Board, Matrix
from glassformer.show.find import find
from glassformer.show.labels import SIDES, Labels
from glassformer.show.model_map import draw
from glassformer.show.numbers import HIDDEN, number
from glassformer.show.page import SHARES, peak

SHARE = "cividis"
SIGNED = LinearSegmentedColormap.from_list(
    "blue-white-orange", ["#1f5fa8", "#9ec3e6", "#ffffff", "#f3b58a", "#b5501b"]
)
HIDDEN_GREY = "#c9c5bd"
WRITTEN = 12  # matrices of up to so many columns have their numbers written into the cells
NAMED = 60  # up to so many rows or columns are named
LIKELIEST = 10
GRID = 4  # heads beside each other
RESOLUTION = 160  # dots per inch of a PNG
SLANTED: dict[str, Any] = {"rotation": 55, "ha": "right", "rotation_mode": "anchor"}
MARKS = "os^Dv<>Pp"


def plot(
    trace: Trace, step: str, path: str | Path | None = None, *, head: int | None = None, text: int = 0
) -> Figure:
    """One step as a figure, written to `path` where one is given.

    `step` is a step's name or the end of one, "residual" for the lengths of the residual stream, or "likeliest" for
    the probabilities at the last position. A step with heads is drawn as a grid of all of them, or one `head` large.
    """
    if step == "residual":
        figure = residual_stream(trace, text=text)
    elif step == "likeliest":
        figure = likeliest(trace, text=text)
    else:
        name = find(trace, step)
        many = head is None and Board(trace[name], Labels(trace)).heads > 1
        figure = all_heads(trace, name, text=text) if many else heat_map(trace, name, head=head or 0, text=text)
    if path is not None:
        write(figure, path)
    return figure


# ------------------------------------------------------------------ one step


def heat_map(trace: Trace, step: str, *, head: int = 0, text: int = 0) -> Figure:
    """A step for one text and one head: rows and columns named, a colour scale, small matrices with their numbers."""
    board = Board(trace[find(trace, step)], Labels(trace), head=head, text=text)
    _check(board.heads, head)
    matrix = board.result
    rows, columns = matrix.values.shape
    wide = min(max(columns * (0.62 if columns <= WRITTEN else 0.2), 3.5), 13.0)
    figure = _figure(wide + 2.4, min(max(rows * 0.36, 1.6), 11.0) + 1.4)
    axes = figure.add_subplot()
    image = _image(axes, matrix, board.step)
    _named(axes, matrix, board.step)
    if columns <= WRITTEN and rows <= NAMED:
        _write_numbers(axes, as_array(matrix.values), image)
    which = f", head {head}" if board.heads > 1 else ""
    axes.set_title(f"{board.step.name}{which}\n{board.step.written}", loc="left")
    _scale(figure, image, [axes], board.step)
    return figure


def all_heads(trace: Trace, step: str, *, text: int = 0) -> Figure:
    """Every head of a step beside the others, in one colour scale."""
    name = find(trace, step)
    board = Board(trace[name], Labels(trace), text=text)
    across = min(GRID, board.heads)
    down = math.ceil(board.heads / across)
    matrix = board.result
    rows, columns = matrix.values.shape
    side = min(max(columns * 0.16, 1.9), 3.4)
    tall = min(max(rows * 0.16, 1.0), 3.4)
    figure = _figure(across * side + 2.6, down * (tall + 0.45) + 1.6)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= board.heads:
            axes.set_visible(False)
            continue
        shown = Board(trace[name], board.labels, head=place, text=text).result
        image = _image(axes, shown, board.step)
        axes.set_title(f"head {place}", fontsize=9)
        below = place + across >= board.heads
        _named(axes, shown, board.step, across=below, down=place % across == 0)
        axes.tick_params(labelbottom=below)
    figure.suptitle(f"{name}   {board.step.written}", x=0.02, ha="left")
    _scale(figure, image, list(grid.flat), board.step)
    return figure


def _image(axes: Axes, matrix: Matrix, step: Step) -> AxesImage:
    values = as_array(matrix.values).astype(np.float64)
    seen = np.ma.masked_where(values <= HIDDEN, values)
    if step.key in SHARES:
        colours: dict[str, Any] = {"cmap": SHARE, "norm": Normalize(0.0, 1.0)}
    else:
        most = peak(step.value) or 1.0
        colours = {"cmap": SIGNED, "norm": TwoSlopeNorm(0.0, -most, most)}
    axes.set_facecolor(HIDDEN_GREY)
    return axes.imshow(seen, aspect="auto", interpolation="nearest", **colours)


def _named(axes: Axes, matrix: Matrix, step: Step, across: bool = True, down: bool = True) -> None:
    rows, columns = matrix.values.shape
    letters = [letter for letter in step.axes.split() if letter not in "BHG1"]
    if matrix.rows is not None and rows <= NAMED:
        axes.set_yticks(range(rows), [_shown(name) for name in matrix.rows])
    if matrix.columns is not None and columns <= NAMED:
        axes.set_xticks(range(columns), [_shown(name) for name in matrix.columns], **SLANTED)
    if rows == 1 and matrix.rows is None:
        axes.set_yticks([])
    if across and letters:
        axes.set_xlabel(AXES[letters[-1]])
    if down and len(letters) > 1:
        axes.set_ylabel(AXES[letters[-2]])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _shown(name: str) -> str:
    """A token as matplotlib sets it: a dollar sign would begin a formula."""
    return name.replace("$", r"\$")


def _write_numbers(axes: Axes, values: Any, image: AxesImage) -> None:
    for row, column in np.ndindex(values.shape):
        value = values[row, column].item()
        if value <= HIDDEN:
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        ink = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
        axes.text(column, row, _short(value), ha="center", va="center", color=ink, fontsize=8)


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) or value == int(value) else f"{value:.2f}"


def _scale(figure: Figure, image: AxesImage, axes: Sequence[Axes], step: Step) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, extend="neither" if step.key in SHARES else "both")
    bar.outline.set_visible(False)
    bar.set_label("share, from 0 to 1" if step.key in SHARES else "value")


def _figure(wide: float, high: float) -> Figure:
    return Figure(figsize=(wide, high), dpi=RESOLUTION, layout="constrained")


# ------------------------------------------------------------------ a run


def residual_stream(trace: Trace, *, text: int = 0) -> Figure:
    """How long each token's row is from the embedding to the last layer, a line for each token."""
    labels = Labels(trace)
    sides = [side for side in SIDES if residual_lengths(trace, side, text).names]
    if not sides:
        raise InputError("no step of the residual stream was kept; keep embedding.output and layers.*.after_*")
    figure = _figure(5.6 * len(sides) + 1.2, 4.6)
    for axes, side in zip(figure.subplots(1, len(sides), squeeze=False)[0], sides, strict=True):
        lengths = residual_lengths(trace, side, text)
        names = labels.tokens(side, text) or tuple(map(str, range(lengths.values.shape[1])))
        colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, len(names)))
        for place, (name, colour) in enumerate(zip(names, colours, strict=True)):
            axes.plot(lengths.values[:, place], color=colour, marker=MARKS[place % len(MARKS)], label=_shown(name))
        shown = [name.removeprefix(f"{side}.").removeprefix("layers.") for name in lengths.names]
        axes.set_xticks(range(len(shown)), shown, fontsize=8, **SLANTED)
        axes.set_title(f"{side}: the residual stream", loc="left")
        axes.set_ylabel("length of a token's row")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", alpha=0.3)
        if len(names) <= NAMED // 2:
            axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def likeliest(trace: Trace, *, position: int = -1, text: int = 0, count: int = LIKELIEST) -> Figure:
    """The likeliest outcomes as bars: of the whole text, or of one position (the last, unless another is given)."""
    step = trace[find(trace, "head.probabilities")]
    labels = Labels(trace)
    row = step.value[text] if step.axes == "B L" else step.value[text, position]
    best = row.double().topk(min(count, len(row)))
    names = [outcome(labels, step, place) for place in best.indices.tolist()]
    figure = _figure(6.4, 0.34 * len(names) + 1.3)
    axes = figure.add_subplot()
    shares = best.values.tolist()
    axes.barh(range(len(names)), shares, color="#0b6e75")
    axes.set_yticks(range(len(names)), [_shown(name) for name in names])
    axes.invert_yaxis()
    for place, share in enumerate(shares):
        axes.text(share, place, f" {number(share, 4)}", va="center", fontsize=9)
    axes.set_xlim(0.0, 1.12)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("probability")
    tokens = labels.tokens(labels.last, text)
    where = f" after “{_shown(tokens[position])}”" if tokens and step.axes != "B L" else ""
    axes.set_title(f"Likeliest{where}", loc="left")
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def outcome(labels: Labels, step: Step, place: int) -> str:
    """The word or label of a place in the last axis."""
    if step.axes.endswith("V"):
        return labels.word(labels.last, place)
    names = labels.along(step, step.value.ndim - 1)
    return names[place] if names is not None else f"label {place}"


def model_map(config: TransformerConfig) -> Figure:
    """A model as blocks and arrows, drawn from its configuration."""
    stacks = 2 if config.stack == "encoder-decoder" else 1
    figure = _figure(4.6 * stacks + 0.6, 8.4)
    draw(figure.add_subplot(), config)
    return figure


def write_map(config: TransformerConfig, path: str | Path) -> None:
    """Write a model's map into a file."""
    write(model_map(config), path)


def _check(heads: int, head: int) -> None:
    if not 0 <= head < heads:
        raise InputError(f"head {head} was asked for, but this step has {heads}; give one from 0 to {heads - 1}")
