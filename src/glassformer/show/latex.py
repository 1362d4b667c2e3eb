"""A trace as a LaTeX document: the walk on paper, every step with its formula and its matrices with numbers put in.

The document needs nothing but amsmath, geometry and booktabs, and compiles with pdflatex, xelatex and lualatex.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from glassformer.files import write_text
from glassformer.glass.names import Names
from glassformer.glass.step import Step
from glassformer.glass.trace import Trace
from glassformer.show.board import ARROW, Board, Matrix, Term
from glassformer.show.chapters import Chapter, chapters
from glassformer.show.labels import Labels
from glassformer.show.latex_math import (
    COLUMNS,
    ROWS,
    escaped,
    figure,
    left_out,
    matrix,
    operator,
    symbol,
    width,
    words,
    worked,
)
from glassformer.show.numbers import PRECISION
from glassformer.show.worked import Worked, Writer

WIDE = 142.0  # digits that fit into a line
FITS = ((ROWS, COLUMNS), (ROWS, 6), (6, 6), (6, 5))  # ever fewer rows and columns, until an equation fits
VOCABULARY = 12  # of a larger vocabulary only the likeliest words are set
WORDS = 8
ENTRIES = 2  # a row of up to so many entries is worked out whole
ROOM = 130  # letters of a worked-out entry on one line
LIKELIEST = 4
FOLLOWED = 2
NEW_LINE = r"\\"

FRAME = r"""\documentclass[10pt,fleqn]{article}
\usepackage{iftex}
\ifPDFTeX\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp}\fi
\usepackage[a4paper,landscape,margin=16mm]{geometry}
\usepackage{amsmath,amssymb,booktabs}
\usepackage{lmodern}
\setlength{\parindent}{0pt}\setlength{\parskip}{3pt}\setlength{\arraycolsep}{4pt}\setlength{\mathindent}{9mm}
\AtBeginDocument{\abovedisplayskip=5pt plus 2pt\belowdisplayskip=5pt plus 2pt\abovedisplayshortskip=3pt}
\setcounter{MaxMatrixCols}{40}
\newenvironment{whole}{\par\bigskip\noindent\begin{minipage}{\linewidth}\raggedright\parskip=3pt}{\end{minipage}\par}
\newcommand{\step}[2]{{\large\textbf{\texttt{#1}}}\qquad$\displaystyle #2$\par}
\newcommand{\idea}[1]{\textit{#1}\par}
\newcommand{\note}[1]{{\footnotesize #1\par}}
\title{@title@}
\author{@model@}
\date{}
\begin{document}
\raggedright
@body@
\end{document}
"""


def write_latex(
    trace: Trace,
    path: str | Path,
    names: Names | None = None,
    *,
    precision: int = PRECISION,
    everything: bool = False,
) -> None:
    """Write the document, whole or not at all.

    `precision` is the number of digits after the point; `everything` also sets the layers after the first, which do
    the same with weights of their own.
    """
    write_text(path, [document(trace, names, precision=precision, everything=everything)])


def document(
    trace: Trace, names: Names | None = None, *, precision: int = PRECISION, everything: bool = False
) -> str:
    """The document as text."""
    paper = _Paper(trace, names, precision, everything)
    body = "\n".join(paper.told())
    title, model = escaped(trace.answer or "A trace"), escaped(paper.labels.names.model)
    return FRAME.replace("@title@", title).replace("@model@", model).replace("@body@", body)


class _Paper:
    """Sets one trace."""

    def __init__(self, trace: Trace, names: Names | None, precision: int, everything: bool) -> None:
        self.trace, self.labels = trace, Labels(trace, names)
        self.precision, self.everything = precision, everything

    def told(self) -> Iterator[str]:
        """What goes in and comes out, the chapters, the answer, and whether it adds up."""
        yield from self.opening()
        skipped: list[Chapter] = []
        for chapter in chapters(self.trace.values()):
            if chapter.layer and not self.everything:
                skipped.append(chapter)
                continue
            yield from self.passed_over(skipped)
            skipped = []
            for step in chapter.steps:
                yield r"\begin{whole}"
                if step is chapter.steps[0]:
                    yield rf"\section*{{{escaped(chapter.title)}}}{escaped(chapter.opening)}\par\medskip"
                yield from self.step(step)
                yield r"\end{whole}"
        yield from self.passed_over(skipped)
        yield from self.outcome()
        yield rf"\section*{{Does it all add up?}}{escaped(str(self.trace.verify()))}."

    def opening(self) -> Iterator[str]:
        """The tokens and the answer."""
        side = "encoder" if self.labels.tokens("encoder") else "decoder"
        read = r"\ \ ".join(map(escaped, self.labels.tokens(side)))
        model = rf"\quad{{\normalsize {escaped(self.labels.names.model)}}}" if self.labels.names.model else ""
        answer = rf"\quad$\rightarrow$\quad {escaped(self.trace.answer)}" if self.trace.answer else ""
        yield rf"{{\LARGE {read}{answer}}}{model}\par\medskip"
        yield (
            f"{len(self.trace)} steps, each with its formula, the numbers put in and the result. Numbers are"
            f" rounded to {self.precision} digits after the point for print; they were computed with all of theirs."
        )

    def passed_over(self, skipped: Sequence[Chapter]) -> Iterator[str]:
        """A line for the layers that do the same as the first."""
        if not skipped:
            return
        layers = sorted({chapter.layer for chapter in skipped if chapter.layer is not None})
        which = f"Layer {layers[0]} does" if len(layers) == 1 else f"Layers {layers[0]} to {layers[-1]} do"
        count = sum(len(chapter.steps) for chapter in skipped)
        yield rf"\bigskip\note{{{which} the same with weights of their own: {count} steps that are left out here.}}"

    # ------------------------------------------------------------------ one step

    def step(self, step: Step) -> Iterator[str]:
        """Name, formula, idea, equation, one row worked out."""
        board = Board(step, self.labels)
        yield rf"\step{{{escaped(step.name)}}}{{{step.typeset}}}"
        if step.key == "same":
            yield rf"\idea{{The same numbers as \texttt{{{escaped(step.inputs[0])}}}.}}"
            return
        if step.formula.says and step.key != "given":
            yield rf"\idea{{{escaped(step.formula.says)}}}"
        if step.edited:
            yield r"\note{This value was replaced by an edit; its formula did not make it.}"
        if board.heads > 1:
            yield rf"\note{{Head {board.head} of {board.heads}.}}"
        if step.key == "mask" and not bool(step.value.any()):
            yield r"\note{Nothing is hidden: every entry is 0.}"
            return
        yield from self.equation(board)
        yield from self.entries(board)

    def equation(self, board: Board) -> Iterator[str]:
        """The inputs between signs, and the result."""
        terms, result = board.equation(), board.result
        chosen = self.telling_columns(board)
        if chosen:
            size, result = result.values.shape[1], result.picked(chosen)
            terms = [t.picked(chosen) if isinstance(t, Matrix) and t.values.shape[1] == size else t for t in terms]
        lines, most = self.broken(terms, result)
        for line in lines:
            yield rf"\[ {' '.join(self.set(part, most, part is result or not terms, line) for part in line)} \]"
        matrices = {t.symbol: t for t in (*terms, result) if isinstance(t, Matrix)}
        cut = [note for found in matrices.values() if (note := left_out(found, most))]
        notes = [f"{', '.join(cut)}, of which some is set"] if cut else []
        if terms and board.step.key != "given":
            sources = zip(board.symbols, board.step.inputs, strict=True)
            notes += [rf"${symbol(s)}$: \texttt{{{escaped(name)}}}" for s, name in sources]
        if notes:
            yield rf"\note{{{'; '.join(notes)}}}"

    def set(self, part: Term, most: tuple[int, int], result: bool, line: Sequence[Term]) -> str:
        """A matrix or a sign; rows are named on the first matrix of a line and on the result."""
        if isinstance(part, str):
            return operator(part)
        first = next(term for term in line if isinstance(term, Matrix))
        return matrix(part, self.precision, named=result or part is first, most=most)

    def broken(self, terms: Sequence[Term], result: Matrix) -> tuple[list[list[Term]], tuple[int, int]]:
        """An equation in as few lines as the page allows, and how many rows and columns of its matrices are set."""
        for most in FITS:
            lines = self.lines(terms, result, most)
            if len(lines) <= 3:
                break
        return lines, most

    def lines(self, terms: Sequence[Term], result: Matrix, most: tuple[int, int]) -> list[list[Term]]:
        """Broken before a sign where a line is full."""
        equals: list[Term] = [] if not terms or terms[-1] == ARROW else ["="]
        groups: list[list[Term]] = [[]]
        for term in (*terms, *equals, result):
            opens = isinstance(term, str) and term not in (")", ARROW) and not term.startswith(("/", ")"))
            if opens and any(isinstance(part, Matrix) for part in groups[-1]):
                groups.append([])
            groups[-1].append(term)
        lines: list[list[Term]] = [groups[0]]
        for group in groups[1:]:
            if sum(self.wide(part, most) for part in (*lines[-1], *group)) <= WIDE:
                lines[-1] = [*lines[-1], *group]
            else:
                lines.append(group)
        return lines

    def wide(self, part: Term, most: tuple[int, int]) -> float:
        """About how many digits wide a part is."""
        return len(part) + 1 if isinstance(part, str) else width(part, self.precision, most)

    def telling_columns(self, board: Board) -> list[int]:
        """Of a large vocabulary, the words that are likeliest at some row."""
        values = board.result.values
        if not board.step.axes.endswith("V") or values.shape[1] <= VOCABULARY:
            return []
        best = values.topk(min(LIKELIEST, values.shape[1]), dim=-1).indices.T.flatten().tolist()
        return list(dict.fromkeys(best))[:WORDS]

    def entries(self, board: Board) -> Iterator[str]:
        """One row of a narrow result, or one entry, with its numbers put in."""
        writer, row = Writer(board, self.precision), self.followed(board)
        columns = board.result.values.shape[1]
        chosen = list(range(columns)) if columns <= ENTRIES else [self.telling(board, row)]
        found = [(place, writer.entry(row, place)) for place in chosen]
        lines = [self.entry(board.result, row, place, entry) for place, entry in found if entry is not None]
        if lines:
            yield rf"\begin{{align*}} {f' {NEW_LINE} '.join(lines)} \end{{align*}}"

    def followed(self, board: Board) -> int:
        """The row that is worked out: of a decoder the first that has others to look back at."""
        rows = board.result.values.shape[0]
        source = ".cross_attention." in board.step.name and board.step.key in ("key", "value")
        return min(FOLLOWED, rows - 1) if self.labels.side(board.step.name) == "decoder" and not source else 0

    def telling(self, board: Board, row: int) -> int:
        """The column that is worked out: of a vocabulary the likeliest word."""
        return int(board.result.values[row].argmax()) if board.step.axes.endswith("V") else 0

    def entry(self, result: Matrix, row: int, column: int, entry: Worked) -> str:
        """Q[I, 1] & = 1.87 · (-0.93) + ... = -2.022."""
        names = ((result.rows, row), (result.columns, column))
        called = [words(str(name[place] if name is not None else place)) for name, place in names]
        put_in = rf" {NEW_LINE} & \qquad + ".join(map(worked, broken(entry.text)))
        return rf"{symbol(result.symbol)}[{', '.join(called)}] & = {put_in} = {worked(entry.result)}"

    # ------------------------------------------------------------------ the answer

    def outcome(self) -> Iterator[str]:
        """The likeliest outcomes of every row, in a table."""
        step = self.trace.get("head.probabilities")
        if step is None or step.axes not in ("B T V", "B L", "B T L"):
            return
        values = step.value[0] if step.value.ndim == 3 else step.value
        rows = self.labels.tokens(self.labels.last) if step.value.ndim == 3 else ("",)
        count = min(LIKELIEST, values.shape[-1])
        yield r"\section*{What comes of it}"
        yield rf"\begin{{tabular}}{{l{'lr' * count}}} \toprule"
        yield "after " + "& likeliest & " + "& then & " * (count - 1) + r"\\ \midrule"
        for row, value in enumerate(values):
            best = value.topk(count)
            shares = [figure(share, self.precision, 6) for share in best.values.tolist()]
            called = [escaped(self.called(step, place)) for place in best.indices.tolist()]
            cells = [f"{name} & ${share}$" for name, share in zip(called, shares, strict=True)]
            yield f"{escaped(rows[row] if row < len(rows) else str(row))} & {' & '.join(cells)}" + r" \\"
        yield r"\bottomrule \end{tabular}\par"

    def called(self, step: Step, place: int) -> str:
        """The word or label of a place in the last axis."""
        if step.axes.endswith("V"):
            return self.labels.word(self.labels.last, place)
        names = self.labels.along(step, step.value.ndim - 1)
        return names[place] if names is not None else f"label {place}"


def broken(text: str) -> list[str]:
    """A long sum in lines, broken before a plus."""
    lines: list[str] = []
    for term in text.split(" + "):
        if lines and len(lines[-1]) + len(term) < ROOM:
            lines[-1] += f" + {term}"
        else:
            lines.append(term)
    return lines
