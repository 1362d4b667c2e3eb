"""Pieces of HTML for notebooks: a run, one step as a heat map, and the page itself inside a frame.

The first two are plain elements without a script, which every notebook viewer draws; the frame is the page that stands
alone, with as many steps as are asked for. All share the page's colours.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib.resources import files

from glassformer.glass.step import AXES, Step
from glassformer.glass.trace import Trace
from glassformer.glass.verify import as_array
from glassformer.show.board import Board, Matrix
from glassformer.show.chapters import chapters
from glassformer.show.find import find
from glassformer.show.labels import Labels
from glassformer.show.numbers import HIDDEN, HIDDEN_MARK, PRECISION, number
from glassformer.show.page import SHARES, page, peak

LABELLED = 10  # up to so many columns the numbers are written into the cells
ROWS, COLUMNS = 32, 48  # a larger matrix is shown in part
HEADS = 16
HEIGHT = 640  # pixels of the frame
STRONG = 0.85  # how much colour the largest number has


@cache
def style() -> str:
    """The page's colours, for what stands inside `.glassformer`; dark where the notebook or the reader says so."""
    assets = files("glassformer") / "show" / "assets"
    palette = (assets / "palette.css").read_text("utf-8")
    light, dark = re.findall(r":root(?:\.dark)? \{(.*?)\}", palette, re.DOTALL)
    wanted = f"@media (prefers-color-scheme: dark) {{ .glassformer {{{dark}}} }}"
    themes = (("true", light), ("false", dark))
    theme = "".join(f'[data-jp-theme-light="{on}"] .glassformer {{{one}}}' for on, one in themes)
    text = f".glassformer {{{light}}} {wanted} {theme} {(assets / 'fragment.css').read_text('utf-8')}"
    return f"<style>{text}</style>"


def wrapped(*parts: str) -> str:
    """Parts with the style that they need."""
    return f'{style()}<div class="glassformer">{"".join(parts)}</div>'


# ------------------------------------------------------------------ a step


def step_html(step: Step) -> str:
    """A step with its formula, and its numbers as a heat map: the exact number of a cell under the pointer."""
    labels = Labels(step.trace if step.trace is not None else Trace())
    axes = ", ".join(f"{AXES[a]} {n}" for a, n in zip(step.axes.split(), step.value.shape, strict=True))
    heads = Board(step, labels).heads
    shown = [alone(step)]
    if step.name in labels.trace:
        shown = [Board(step, labels, head=head).matrix("", step.name) for head in range(min(heads, HEADS))]
    figures = [heat_map(matrix, step, f"head {i}" if heads > 1 else "") for i, matrix in enumerate(shown)]
    notes = [f"{heads - HEADS} more heads" if heads > len(shown) > 1 else "", left_out(shown[0])]
    return wrapped(
        f"<div><b>{escape(step.name)}</b> <span class='note'>{escape(axes or 'one number')}</span></div>",
        f"<div class='formula'>{escape(step.written)}</div>",
        f"<div class='idea'>{escape(step.formula.says)}</div>" if step.formula.says else "",
        f"<div class='heads'>{''.join(figures)}</div>",
        *(f"<div class='note'>{escape(note)}</div>" for note in notes if note),
    )


def alone(step: Step) -> Matrix:
    """The last two axes of a step whose run is gone."""
    value = step.value
    while value.ndim > 2:
        value = value[0]
    return Matrix("", value.reshape(1, -1) if value.ndim < 2 else value)


def heat_map(matrix: Matrix, step: Step, caption: str) -> str:
    """A matrix as a table of coloured cells, with the numbers in them where they are few."""
    cells = as_array(matrix.values[:ROWS, :COLUMNS])
    largest, written = peak(step.value), cells.shape[1] <= LABELLED
    rows, columns = (list(names or ())[:most] for names, most in ((matrix.rows, ROWS), (matrix.columns, COLUMNS)))
    head = "".join(f"<th>{escape(name)}</th>" for name in columns) if written else ""
    lines = [f"<tr>{'<th></th>' if rows else ''}{head}</tr>"] if head else []
    for place, values in enumerate(cells.tolist()):
        name = f"<th>{escape(rows[place])}</th>" if rows else ""
        where = [f"{rows[place]} → {column}: " for column in columns] if rows and columns else [""] * len(values)
        drawn = (cell(v, w, step, largest, written) for v, w in zip(values, where, strict=True))
        lines.append(f"<tr>{name}{''.join(drawn)}</tr>")
    label = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure><table class='{'numbers' if written else 'cells'}'>{''.join(lines)}</table>{label}</figure>"


def cell(value: float, where: str, step: Step, largest: float, written: bool) -> str:
    """One number: coloured by its size, exact under the pointer."""
    exact = HIDDEN_MARK if isinstance(value, float) and value <= HIDDEN else repr(value)
    text = number(value, PRECISION) if written and exact != HIDDEN_MARK else exact if written else ""
    return f'<td style="background:{colour(value, step, largest)}" title="{escape(where + exact)}">{text}</td>'


def colour(value: float, step: Step, largest: float) -> str:
    """Shares from 0 to 1 in one colour; other numbers by their sign, full colour for the largest of the step."""
    if value <= HIDDEN:
        return "rgba(var(--hidden),.3)"
    if step.key in SHARES:
        return f"rgba(var(--share),{STRONG * min(value, 1.0):.3f})"
    strength = STRONG * min(abs(value) / largest, 1.0) if largest else 0.0
    return f"rgba(var(--{'minus' if value < 0 else 'plus'}),{strength:.3f})"


def left_out(matrix: Matrix) -> str:
    """What a heat map does not show."""
    rows, columns = matrix.values.shape
    if rows <= ROWS and columns <= COLUMNS:
        return ""
    shown = f"{min(rows, ROWS)} of {rows} rows and {min(columns, COLUMNS)} of {columns} columns"
    return f"{shown}; trace.show(name) shows all"


# ------------------------------------------------------------------ a run


def trace_html(trace: Trace) -> str:
    """What was read, what came out, and every step by chapter."""
    labels = Labels(trace)
    read = " ".join(labels.tokens("encoder") or labels.tokens("decoder"))
    answer = f" <span class='note'>→</span> {escape(trace.answer)}" if trace.answer else ""
    told = []
    for chapter in chapters(trace.values()):
        lines = "".join(line(step) for step in chapter.steps)
        told.append(f"<details><summary>{escape(chapter.title)}</summary><table>{lines}</table></details>")
    return wrapped(
        f"<div class='idea'>{escape(read)}{answer}</div>",
        f"<div class='note'>{len(trace)} steps; trace[name] shows one, trace.show() the whole page</div>",
        *told,
    )


def line(step: Step) -> str:
    """One step in a list."""
    shape = " × ".join(map(str, step.value.shape)) or "one number"
    formula = f"<td style='text-align:left'>{escape(step.written)}</td>"
    return f"<tr><th><code>{escape(step.name)}</code></th>{formula}<th>{shape}</th></tr>"


class Fragment:
    """The page in a frame: of the whole run, or of one step and what it is made of.

    `step` may be the end of a name; a step of attention weights opens as lines between words, with all its layers.
    """

    def __init__(self, trace: Trace, step: str = "", *, height: int = HEIGHT) -> None:
        self.trace, self.height = trace, height
        self.step = find(trace, step) if step else ""

    def __repr__(self) -> str:
        return f"{self.step or self.trace!r}: a notebook draws this"

    def page(self) -> str:
        """The page that stands in the frame."""
        if not self.step:
            return page(self.trace)
        view = "attention" if self.step.endswith("_attention.weights") else "step"
        return page(self.part(), start=f"{view}={self.step}")

    def part(self) -> Trace:
        """A trace of only the steps that are shown."""
        kind = re.sub(r"\.\d+\.", ".*.", self.step)
        alike = self.trace.select(kind) if self.step.endswith("_attention.weights") else [self.trace[self.step]]
        wanted = {self.step, *self.trace[self.step].inputs, *(step.name for step in alike)}
        steps = [step for step in self.trace.values() if step.name in wanted]
        part = Trace.restored(steps, self.trace.facts(), self.trace.parameters)
        part.names = self.trace.names
        return part

    def _repr_html_(self) -> str:
        box = f"width:100%;height:{self.height}px;border:1px solid #8884;border-radius:6px"
        inside = escape(self.page(), quote=True)
        return f'<iframe srcdoc="{inside}" style="{box}" title="{escape(repr(self))}"></iframe>'
