"""What inspection finds as figures, by matplotlib: heat maps, bars, and a map of guesses."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glassformer.errors import InputError
from glassformer.files import writing
from glassformer.inspection.labelled import rounded

if TYPE_CHECKING:
    from glassformer.inspection.attribution import Attribution
    from glassformer.inspection.compare import Comparison
    from glassformer.inspection.direct import Decomposition
    from glassformer.inspection.labelled import Labelled
    from glassformer.inspection.lens import Lens
    from glassformer.inspection.replay import Replay

ENDINGS = (".png", ".svg", ".pdf")
WARM, COOL = "#c2562d", "#2b6cb0"  # for and against
SIGNED, PLAIN = "RdBu_r", "YlOrBr"
CELL = 0.34  # inches
NUMBERED = 160  # cells of a map up to which each shows its number


def write(figure: Figure, path: str | Path) -> None:
    """Write the figure whole or not at all; the ending says how."""
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path} ends in {path.suffix or 'nothing'}; a figure's name ends in {', '.join(ENDINGS)}")
    with writing(path) as partial:
        figure.savefig(partial, bbox_inches="tight", facecolor="white")


def framed(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """An empty figure of so many inches."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(textwrap.fill(plain(title), max(24, int(width * 11))), fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def labelled(found: Labelled, *, title: str | None = None, numbers: bool | None = None) -> Figure:
    """A heat map of two axes, or bars of one."""
    told = title or found.measure
    if found.values.ndim == 1:
        return barred(found.labels[0], found.values.tolist(), told)
    return mapped(found.values, found.labels[0], found.labels[1], told, found.axes, numbers)


def mapped(
    values: NDArray[Any],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    axes_names: Sequence[str] = ("", ""),
    numbers: bool | None = None,
    texts: Sequence[Sequence[str]] | None = None,
    cell: tuple[float, float] = (CELL * 1.35, CELL),
) -> Figure:
    """A map of numbers: blue below nothing, red above; in the cells their numbers, or texts."""
    wide, tall = 1.8 + cell[0] * len(columns), 1.1 + cell[1] * len(rows)
    figure, axes = framed(max(wide, 4.4), tall, title)
    finite = np.abs(values[np.isfinite(values)])
    most = float(finite.max(initial=0.0)) or 1.0
    low, colours = (0.0, PLAIN) if float(np.nanmin(values)) >= 0.0 else (-most, SIGNED)
    image = axes.imshow(values, cmap=colormaps[colours], vmin=low, vmax=most, aspect="auto", interpolation="nearest")
    axes.set_xticks(range(len(columns)), list(map(plain, columns)), rotation=90 if too_long(columns) else 0, fontsize=7)
    axes.set_yticks(range(len(rows)), list(map(plain, rows)), fontsize=7)
    axes.set_xlabel(axes_names[1], fontsize=8)
    axes.set_ylabel(axes_names[0], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    shown = values.size <= NUMBERED if numbers is None else numbers
    if texts is not None or shown:
        for row, column in np.ndindex(values.shape):
            value = float(values[row, column])
            said = texts[row][column] if texts is not None else f"{rounded(value, 2):.2f}"
            dark = abs(value) > (0.6 * most if low else 0.7 * most)
            ink = "white" if dark else "#222"
            axes.text(column, row, plain(said), ha="center", va="center", fontsize=5.5, color=ink)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.ax.tick_params(labelsize=6)
    bar.outline.set_visible(False)
    return figure


def barred(names: Sequence[str], values: Sequence[float], title: str) -> Figure:
    """Bars from the top: red for, blue against."""
    figure, axes = framed(5.6, 0.8 + 0.21 * len(names), title)
    places = range(len(names))
    axes.barh(places, values, color=[WARM if value >= 0 else COOL for value in values], height=0.72)
    axes.set_yticks(places, list(map(plain, names)), fontsize=7)
    axes.tick_params(axis="x", labelsize=7)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0.0, color="#444", linewidth=0.6)
    axes.invert_yaxis()
    return figure


def attribution(found: Attribution, *, title: str | None = None) -> Figure:
    """Bars for the words, in the order of the text."""
    return barred(
        [word.text for word in found.words],
        [word.score for word in found.words],
        title or f"{found.method} for {found.about}",
    )


def decomposition(found: Decomposition, *, count: int = 24, title: str | None = None) -> Figure:
    """Bars for the parts that add or take most."""
    shares = found.strongest(count)
    told = title or f"{found.about} = {found.number:.2f}, its strongest parts"
    return barred([share.part for share in shares], [share.score for share in shares], told)


def lens(found: Lens, *, title: str | None = None) -> Figure:
    """What each layer would say at each position, darker where it is surer."""
    shares = np.array([[guess.probability for guess in row] for row in found.guesses])
    texts = [[guess.answer for guess in row] for row in found.guesses]
    told = title or f"logit lens; {found.about}"
    return mapped(shares, found.layers, found.positions, told, ("layer", "position"), texts=texts, cell=(0.8, 0.3))


def comparison(found: Comparison, *, title: str | None = None) -> Figure:
    """Relative differences: kinds of steps by layers, and what stands outside the layers by itself."""
    cells: dict[str, dict[str, float]] = {}
    for each in found.differences:
        head, inside, rest = each.step.partition(".layers.")
        number, _, kind = rest.partition(".")
        row, column = (f"{head}: {kind}", number) if inside else (each.step, "")
        cells.setdefault(row, {})[column] = each.relative
    columns = {column for row in cells.values() for column in row}
    order = sorted(columns, key=lambda column: (column != "", int(column or 0)))
    values = np.array([[cells[row].get(column, np.nan) for column in order] for row in cells])
    capped = np.where(np.isfinite(values), values, np.nan)
    told = title or "relative difference of each step"
    return mapped(capped, list(cells), [column or "-" for column in order], told, ("", "layer"))


def replay(found: Replay, *, steps: int = 8, title: str | None = None) -> Figure:
    """The loss along the training where answers were wanted, and how far the steps that moved most moved."""
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    lost = [moment for moment in found.moments if moment.losses]
    panels = figure.subplots(1, 2 if lost else 1, squeeze=False)[0]
    far = {name: max(m.moved.get(name, 0.0) for m in found.moments) for m in found.moments for name in m.moved}
    for name in sorted(far, key=far.__getitem__, reverse=True)[:steps]:
        points = [(moment.step, moment.moved[name]) for moment in found.moments if name in moment.moved]
        panels[-1].plot(*zip(*points, strict=True), marker=".", label=name)
    if far:
        panels[-1].legend(fontsize=6)
    panels[-1].set(xlabel="step of the training", ylabel="change since the checkpoint before", ylim=(0, None))
    if lost:
        means = [sum(moment.losses) / len(moment.losses) for moment in lost]
        panels[0].plot([moment.step for moment in lost], means, color=WARM, marker="o")
        panels[0].set(xlabel="step of the training", ylabel="loss", ylim=(0, None))
    figure.suptitle(title or found.run, fontsize=10)
    return figure


def too_long(names: Sequence[str]) -> bool:
    """Whether names do not fit side by side."""
    return max(map(len, names), default=0) > 4


def plain(text: str) -> str:
    """A label as the font can draw it and without mathematics."""
    shown = text.replace("▁", "_").replace("Ġ", "_").replace("$", r"\$")
    return "".join(c if c.isprintable() and ord(c) < 0x2000 else "□" for c in shown)


KINDS: Mapping[str, Callable[..., Figure]] = {
    "labelled": labelled,
    "attribution": attribution,
    "decomposition": decomposition,
    "lens": lens,
    "comparison": comparison,
    "replay": replay,
}
