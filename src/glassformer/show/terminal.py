"""A trace as a walk in the terminal, told as a good teacher tells it at a board.

The functions yield what `rich` can print; whoever calls them prints. Numbers come from the trace.
"""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.rule import Rule
from rich.text import Text

from glassformer.glass.names import Names
from glassformer.glass.naming import chosen
from glassformer.glass.step import AXES, Step
from glassformer.glass.trace import Trace
from glassformer.glass.verify import as_array, verify
from glassformer.show.board import Board, Matrix
from glassformer.show.chapters import Chapter, chapters
from glassformer.show.labels import Labels
from glassformer.show.matrix import (
    LABEL_STYLE,
    NOTE_STYLE,
    SYMBOL_STYLE,
    Block,
    Limits,
    beside,
    clipped,
    equation_lines,
    indented,
    matrix_block,
    padded,
    widest,
    wrapped,
)
from glassformer.show.numbers import PRECISION, bar, number, shape
from glassformer.show.worked import Powers, Writer

INDENT = 4
ROW = 4  # a row of up to so many entries is worked out whole, of a longer one the first entry
SOFTMAX_ROW = 10
FOLLOWED = 2  # which word of the decoder is worked out: the first that has others to look back at
BAR = 24
VOCABULARY = 24  # of a larger vocabulary only the words that matter here are shown
LIKELIEST = 4
ROWS_READ = 12  # of a long text so many last rows are read word by word
IN_FULL = 20_000  # a single step of up to so many numbers is shown whole without being asked twice
WORD_BY_WORD = (
    "Row by row, as the decoder wrote it: what it has so far, where it looks, what comes out, and which word"
    " is likeliest to be next."
)
QUIET = frozenset({"given", "position_ids", "same"})
ROW_BY_ROW = frozenset(
    {
        "query",
        "key",
        "value",
        "turned",
        "turned_in_part",
        "turned_slowly",
        "mixed",
        "attention_output",
        "up",
        "gate",
        "active",
        "gated",
        "feed_forward_output",
        "sum",
        "residual",
        "tokens",
        "tokens_scaled",
        "positions",
        "sinusoidal",
        "sinusoidal_halves",
        "sinusoidal_inclusive",
        "segments",
        "layer_norm",
        "rms_norm",
        "rms_norm_from_one",
        "projected",
        "pooled",
    }
)


def walk(
    trace: Trace,
    names: Names | None = None,
    *,
    width: int = 100,
    precision: int = PRECISION,
    everything: bool = False,
) -> Iterator[RenderableType]:
    """The whole trace, chapter by chapter; layers after the first are passed over unless `everything`."""
    return Walk(trace, names, width, precision, everything).told()


def single(
    trace: Trace,
    name: str,
    names: Names | None = None,
    *,
    width: int = 100,
    precision: int = PRECISION,
    everything: bool = False,
) -> Iterator[RenderableType]:
    """One step alone and in full: idea, formula, inputs, result, and how far NumPy is from it."""
    return Walk(trace, names, width, precision, everything).alone(trace[name])


class Walk:
    """Tells one trace at one width and precision."""

    def __init__(
        self, trace: Trace, names: Names | None, width: int, precision: int, everything: bool
    ) -> None:
        self.trace, self.labels = trace, Labels(trace, names)
        self.width, self.precision, self.everything = width, precision, everything
        self.abridged = False

    # ------------------------------------------------------------------ the whole

    def told(self) -> Iterator[RenderableType]:
        """The sentence, the chapters, the answer word by word, and whether it all adds up."""
        yield from self.opening()
        skipped: list[Chapter] = []
        number = 0
        for chapter in chapters(self.trace.values()):
            if chapter.layer and not self.everything:
                skipped.append(chapter)
                continue
            yield from self.passed_over(skipped)
            skipped = []
            number += 1
            yield from self.chapter(number, chapter)
        yield from self.passed_over(skipped)
        if "head.probabilities" in self.trace:
            yield from self.answers(number + 1)
        yield from self.closing()

    def opening(self) -> Iterator[RenderableType]:
        """What goes in and what came out."""
        side = "encoder" if self.labels.tokens("encoder") else "decoder"
        said = " ".join(self.labels.tokens(side))
        yield Text.assemble(("in   ", NOTE_STYLE), (said, SYMBOL_STYLE))
        if self.trace.answer:
            yield Text.assemble(("out  ", NOTE_STYLE), (self.trace.answer, SYMBOL_STYLE))
        model = f"{self.labels.names.model}: " if self.labels.names.model else ""
        said = f"{model}{len(self.trace)} steps, each with its formula, the numbers put in and the result"
        yield wrapped(Text(said, NOTE_STYLE), self.width)

    def chapter(self, number: int, chapter: Chapter) -> Iterator[RenderableType]:
        """A title, the idea, and its steps."""
        yield Text()
        yield Rule(Text(f"{number}  {chapter.title}", SYMBOL_STYLE), align="left", style=NOTE_STYLE)
        if chapter.opening:
            yield wrapped(Text(chapter.opening), self.width)
        told = self.one_of_many(chapter)
        for step in told:
            yield Text()
            yield from self.step(step)
        if len(told) < len(chapter.steps):
            yield Text()
            left = len(chapter.steps) - len(told)
            said = f"The other parameters move the same way: {left} steps; --all shows them here."
            yield wrapped(Text(said, NOTE_STYLE), self.width)

    def one_of_many(self, chapter: Chapter) -> Sequence[Step]:
        """The steps that are told: of an update those of one parameter, unless `everything`."""
        if self.everything or chapter.side != "update":
            return chapter.steps
        news = [step.name.removesuffix(".new") for step in chapter.steps if step.name.endswith(".new")]
        if not news:
            return chapter.steps
        return [
            step
            for step in chapter.steps
            if step.name.count(".") == 1 or step.name.startswith(f"{news[0]}.")
        ]

    def passed_over(self, skipped: Sequence[Chapter]) -> Iterator[RenderableType]:
        """One line for the layers that do the same as the first."""
        if not skipped:
            return
        layers = sorted({chapter.layer for chapter in skipped if chapter.layer is not None})
        count = sum(len(chapter.steps) for chapter in skipped)
        which = f"Layer {layers[0]} does" if len(layers) == 1 else f"Layers {layers[0]} to {layers[-1]} do"
        yield Text()
        said = (
            f"{which} the same with weights of their own: {count} steps, from {skipped[0].steps[0].name} on"
        )
        yield wrapped(Text(f"{said}; --all shows them here.", NOTE_STYLE), self.width)

    def closing(self) -> Iterator[RenderableType]:
        """Every step computed a second time."""
        yield Text()
        yield Rule(Text("Does it all add up?", SYMBOL_STYLE), align="left", style=NOTE_STYLE)
        yield wrapped(Text(f"{self.trace.verify()}."), self.width)
        if self.abridged:
            said = "Matrices with … or ⋮ are shown in part; --step NAME shows one whole, --json FILE all."
            yield wrapped(Text(said, NOTE_STYLE), self.width)

    # ------------------------------------------------------------------ one step

    def step(self, step: Step) -> Iterator[RenderableType]:
        """Name, formula, numbers put in, result."""
        board = Board(step, self.labels)
        yield self.headline(step)
        if step.key in QUIET:
            yield from self.quiet(board)
            return
        if step.key == "mask" and not as_array(step.value).any():
            yield self.inset(
                Text(f"Nothing is hidden: all {shape(board.result.values.shape)} entries are 0.")
            )
            return
        if step.formula.says:
            yield self.inset(Text(step.formula.says, "italic"))
        yield from self.equation(board)
        yield from self.worked(board)

    def headline(self, step: Step) -> Text:
        """The name, and the formula to its right."""
        return wrapped(
            Text.assemble((step.name, SYMBOL_STYLE), "   ", (step.written, LABEL_STYLE)),
            self.width,
            0,
            INDENT,
        )

    def inset(self, line: Text) -> Text:
        """Prose a little to the right."""
        return wrapped(line, self.width, INDENT, 2)

    def lines(self, lines: Sequence[Text]) -> Text:
        """Lines as they are, a little to the right."""
        return indented(lines, INDENT)

    def quiet(self, board: Board) -> Iterator[RenderableType]:
        """A step with little to say: given numbers, counted positions, a second name."""
        if board.step.key == "same":
            yield self.inset(Text(f"the same numbers as {board.step.inputs[0]}"))
            return
        yield from self.whole(board.result)

    def equation(self, board: Board) -> Iterator[RenderableType]:
        """The matrices beside each other."""
        terms = board.equation()
        if board.heads > 1:
            yield self.inset(Text(f"head {board.head} of {board.heads}:", NOTE_STYLE))
        if not terms:
            missing = [
                name
                for name in board.step.inputs
                if name not in self.trace and name not in self.trace.parameters
            ]
            yield self.inset(Text(f"not kept, so not shown: {', '.join(missing)}", NOTE_STYLE))
            yield from self.whole(board.result)
            return
        result, chosen = board.result, self.telling_columns(board)
        if chosen:
            size, result = result.values.shape[1], result.picked(chosen)
            terms = [
                t.picked(chosen) if isinstance(t, Matrix) and t.values.shape[1] == size else t for t in terms
            ]
        lines, left_out = equation_lines(terms, result, self.width - INDENT, self.precision)
        yield self.lines(lines)
        self.abridged = self.abridged or any("…" in line.plain for line in lines)
        yield from self.note(result, left_out)
        blank = "   M is 0 everywhere: nothing is hidden" if board.blank(len(board.symbols) - 1) else ""
        sources = "  ".join(
            f"{symbol}: {name}" for symbol, name in zip(board.symbols, board.step.inputs, strict=True)
        )
        yield self.inset(Text(sources + blank, NOTE_STYLE))

    def telling_columns(self, board: Board) -> list[int]:
        """Of a large vocabulary, the words that are likeliest at some row, and those that were written."""
        values = board.result.values
        if not board.step.axes.endswith("V") or values.shape[1] <= VOCABULARY:
            return []
        numbers = [
            n
            for row in range(len(values))
            for n in (self.next_number(board.step, row), int(values[row].argmax()))
        ]
        return list(dict.fromkeys(numbers))

    def whole(self, matrix: Matrix) -> Iterator[RenderableType]:
        """A result alone, as much of it as fits."""
        block = widest(matrix, self.width - INDENT, self.precision)
        yield self.lines(beside([block]))
        yield from self.note(matrix, block.left_out)

    def note(self, matrix: Matrix, left_out: tuple[int, int]) -> Iterator[RenderableType]:
        """How much is not shown."""
        if not any(left_out):
            return
        self.abridged = True
        parts = [
            f"{count} of {size} {what}"
            for count, size, what in zip(left_out, matrix.size, ("rows", "columns"), strict=True)
            if count
        ]
        yield self.inset(Text(f"left out here: {' and '.join(parts)}", NOTE_STYLE))

    def worked(self, board: Board) -> Iterator[RenderableType]:
        """One row or one entry with its numbers put in."""
        key = board.step.key
        row, column = self.followed(board)
        columns, writer = board.result.values.shape[1], Writer(board, self.precision)
        if key in ("weights", "biased_weights") and columns <= SOFTMAX_ROW and board.complete:
            steps = writer.softmax_steps(row)
            if steps is not None:
                yield self.softmax_row(board, row, steps)
                return
        chosen = range(columns) if key in ROW_BY_ROW and columns <= ROW else [column]
        entries = [entry for place in chosen if (entry := writer.entry(row, place)) is not None]
        wide = max((len(entry.place) for entry in entries), default=0)
        for entry in entries:
            line = Text.assemble(
                (entry.place.ljust(wide), LABEL_STYLE), f" = {entry.text} = ", (entry.result, SYMBOL_STYLE)
            )
            yield self.inset(line)

    def followed(self, board: Board) -> tuple[int, int]:
        """The row and column that are worked out: one word is followed from step to step."""
        rows, columns = board.result.values.shape
        row = min(FOLLOWED, rows - 1) if self.labels.side(board.step.name) == "decoder" else 0
        if ".cross_attention." in board.step.name and board.step.key in ("key", "value"):
            row = 0
        if board.step.axes.endswith("V"):
            return row, self.next_number(board.step, row)
        return row, min(1, columns - 1) if board.step.axes.endswith("Q K") else 0

    def next_number(self, step: Step, row: int) -> int:
        """The vocabulary number of the word written after a row; after the last row, the likeliest."""
        if "decoder.ids" in self.trace and row + 1 < self.trace["decoder.ids"].value.shape[1]:
            return int(self.trace["decoder.ids"].value[0, row + 1])
        return int(step.value[0, row].argmax())

    def softmax_row(self, board: Board, row: int, steps: Powers) -> Text:
        """One row of a softmax: what stands above e, the powers of e, each over their sum."""
        names = board.result.columns or tuple(map(str, range(board.result.values.shape[1])))
        shares = [number(value, self.precision) for value in as_array(board.result.values[row]).tolist()]
        label = f"{board.result.symbol}[{(board.result.rows or {row: row})[row]}, ·]"
        above = " + ".join(symbol for place, symbol in enumerate(board.symbols) if not board.blank(place))
        table = [
            ("", [clipped(name) for name in names], LABEL_STYLE),
            (above, steps.above, ""),
            (f"e^({above})" if " " in above else f"e^{above}", steps.powers, ""),
            (f"{label} = each / {steps.total}", shares, SYMBOL_STYLE),
        ]
        wide = max(cell_len(name) for name, _, _ in table)
        widths = [max(cell_len(cells[place]) for _, cells, _ in table) + 2 for place in range(len(names))]
        lines: list[Text] = []
        for strip in strips(widths, self.width - INDENT - wide):
            for name, cells, style in table:
                line = Text(padded(name, wide), LABEL_STYLE)
                for place in strip:
                    line.append(padded(cells[place], widths[place], right=True), style)
                line.rstrip()
                lines.append(line)
        return self.lines(lines)

    # ------------------------------------------------------------------ the answer

    def answers(self, number: int) -> Iterator[RenderableType]:
        """The answer, read off the last step."""
        step = self.trace["head.probabilities"]
        yield Text()
        words = step.axes == "B T V" and self.labels.last == "decoder"
        title = "The answer, word by word" if words else "The answer"
        yield Rule(Text(f"{number}  {title}", SYMBOL_STYLE), align="left", style=NOTE_STYLE)
        if words:
            yield wrapped(Text(WORD_BY_WORD), self.width)
            yield from self.words(step)
        else:
            yield from self.distributions(step)

    def words(self, step: Step) -> Iterator[RenderableType]:
        """Every row of a decoder, as the moment at which its next word was chosen."""
        tokens = self.labels.tokens("decoder") or tuple(map(str, range(step.value.shape[1])))
        first = max(0, len(tokens) - ROWS_READ) if not self.everything else 0
        if first:
            yield Text(f"The first {first} rows are passed over; --all shows them.", NOTE_STYLE)
        for row in range(first, len(tokens)):
            yield Text()
            yield Text.assemble(("so far  ", NOTE_STYLE), (" ".join(tokens[: row + 1]), SYMBOL_STYLE))
            for name, line in self.moment(row):
                yield self.inset(Text.assemble((padded(name, 16), NOTE_STYLE), line))
            chosen = self.next_number(step, row)
            for line in self.bars(step, row, chosen):
                yield self.inset(line)

    def moment(self, row: int) -> Iterator[tuple[str, Text]]:
        """One row through the decoder: what it starts as, where it looks, what it ends as."""
        yield "starts as", self.row_of("decoder.embedding.output", row)
        layers = chosen("decoder.layers.*.weights", self.trace)
        last = layers[-1].split(".")[2] if layers else "0"
        for part, says in (("self_attention", "looks back at"), ("cross_attention", "looks at source")):
            name = f"decoder.layers.{last}.{part}.weights"
            if name in self.trace:
                yield says, self.shares(name, row, last)
        yield "ends as", self.row_of("decoder.output", row)

    def row_of(self, name: str, row: int) -> Text:
        """One row of a step, as much as fits."""
        if name not in self.trace:
            return Text("not kept", NOTE_STYLE)
        matrix = Board(self.trace[name], self.labels).result
        block = widest(
            Matrix("", matrix.values[row : row + 1]), self.width - INDENT - 16 - len(name) - 3, self.precision
        )
        return Text.assemble(block.body[0], "  ", (name, NOTE_STYLE))

    def shares(self, name: str, row: int, layer: str) -> Text:
        """A row of attention weights: the words it looks at, most first where there are many."""
        board = Board(self.trace[name], self.labels)
        weights = as_array(board.result.values[row]).tolist()
        names = board.result.columns or tuple(map(str, range(len(weights))))
        shown = [place for place, weight in enumerate(weights) if weight > 0]
        if len(shown) > 8:
            shown = sorted(sorted(shown, key=lambda place: -weights[place])[:6])
        text = Text()
        for place in shown:
            text.append(f"{clipped(names[place])} ", LABEL_STYLE)
            text.append(f"{number(weights[place], self.precision)}  ")
        if board.heads > 1 or layer != "0":
            text.append(f"layer {layer}, head {board.head}", NOTE_STYLE)
        return text

    def bars(self, step: Step, row: int, chosen: int | None) -> Iterator[Text]:
        """The likeliest outcomes of one row as bars, the chosen one marked."""
        value = step.value[0] if step.axes == "B L" else step.value[0, row]
        likeliest = value.topk(min(LIKELIEST, len(value))).indices.tolist()
        if chosen is not None and chosen not in likeliest:
            likeliest[-1] = chosen
        wide = max(Text(self.outcome(step, place)).cell_len for place in likeliest)
        for place in likeliest:
            share = float(value[place])
            mark = "→" if place == chosen else " "
            style = SYMBOL_STYLE if place == chosen else ""
            drawn = padded(bar(share, BAR), BAR)
            yield Text.assemble(
                (f"{mark} ", SYMBOL_STYLE),
                (padded(self.outcome(step, place), wide), style),
                " ",
                (drawn, "green"),
                f" {number(share, self.precision)}",
            )

    def outcome(self, step: Step, place: int) -> str:
        """The word or label of a place in the last axis."""
        if step.axes.endswith("V"):
            return self.labels.word(self.labels.last, place)
        names = self.labels.along(step, step.value.ndim - 1)
        return names[place] if names is not None else f"label {place}"

    def distributions(self, step: Step) -> Iterator[RenderableType]:
        """Bars for the whole text, or for each of its tokens."""
        if step.key == "span_probabilities":
            yield from self.whole(Board(step, self.labels).result)
            return
        if step.axes == "B L":
            for line in self.bars(step, 0, int(step.value[0].argmax())):
                yield self.inset(line)
            return
        tokens = self.labels.tokens(self.labels.last) or tuple(map(str, range(step.value.shape[1])))
        for row, token in enumerate(tokens):
            yield Text(token, LABEL_STYLE)
            for line in self.bars(step, row, int(step.value[0, row].argmax())):
                yield self.inset(line)

    # ------------------------------------------------------------------ one step alone

    def alone(self, step: Step) -> Iterator[RenderableType]:
        """Everything about one step."""
        axes = ", ".join(f"{AXES[a]} {n}" for a, n in zip(step.axes.split(), step.value.shape, strict=True))
        axes = axes or "one number"
        yield Text.assemble((step.name, SYMBOL_STYLE), f"   {axes}")
        yield self.inset(Text(step.written, LABEL_STYLE))
        if step.formula.says:
            yield self.inset(Text(step.formula.says, "italic"))
        board = Board(step, self.labels)
        for symbol, name in zip(board.symbols, step.inputs, strict=True):
            yield Text()
            yield from self.given(board, symbol, name)
        entries = list(self.worked(board))
        if entries:
            yield Text()
            yield Text("worked out", SYMBOL_STYLE)
            yield from entries
        yield Text()
        yield Text("result", SYMBOL_STYLE)
        for head in range(board.heads):
            yield from self.in_full(Board(step, self.labels, head=head))
        yield Text()
        yield self.difference(step)

    def given(self, board: Board, symbol: str, name: str) -> Iterator[RenderableType]:
        """One input with its values."""
        yield Text.assemble((symbol, SYMBOL_STYLE), f"  {name}")
        if name not in self.trace and name not in self.trace.parameters:
            yield self.inset(Text("not kept", NOTE_STYLE))
            return
        matrix = board.matrix("", name)
        if (
            name not in self.trace
            and symbol.startswith("W_")
            and board.step.inputs.index(name) == 1
            and board.linear
        ):
            matrix = Matrix("", board.weight().values)
        yield from self.whole(matrix)

    def in_full(self, board: Board) -> Iterator[RenderableType]:
        """A result whole, in as many strips of columns as it takes."""
        matrix = board.result
        if board.heads > 1:
            yield self.inset(Text(f"head {board.head} of {board.heads}", NOTE_STYLE))
        if board.step.value.numel() > IN_FULL and not self.everything:
            yield from self.whole(matrix)
            yield self.inset(
                Text(
                    f"{board.step.value.numel():,} numbers; --all shows every one, --json FILE writes them",
                    NOTE_STYLE,
                )
            )
            return
        start, columns = 0, matrix.values.shape[1]
        while start < columns:
            rest = Matrix(
                "", matrix.values[:, start:], matrix.rows, matrix.columns[start:] if matrix.columns else None
            )
            block = widest(rest, self.width - INDENT, self.precision, rows=len(matrix.values))
            end = columns - block.left_out[1]
            if columns > end - start:
                yield self.inset(Text(f"columns {start} to {end - 1} of {columns}", NOTE_STYLE))
            part = Matrix(
                "",
                matrix.values[:, start:end],
                matrix.rows,
                matrix.columns[start:end] if matrix.columns else None,
            )
            yield self.lines(beside([self.unlimited(part)]))
            start = end

    def unlimited(self, matrix: Matrix) -> Block:
        """A matrix with all of its rows and columns."""
        rows, columns = matrix.values.shape
        return matrix_block(matrix, Limits(whole_rows=rows, whole_columns=columns), self.precision)

    def difference(self, step: Step) -> Text:
        """How far the step is from its formula, computed again from its inputs."""
        near = {name: self.trace[name] for name in step.inputs if name in self.trace} | {step.name: step}
        checks = {check.name: check for check in verify(near, self.trace.parameters).checks}
        if step.key == "given":
            return Text("given: no formula made it, so there is nothing to compute again")
        if step.edited:
            return Text("edited: no formula made it")
        if step.name not in checks:
            return Text("not checked, because an input was not kept")
        check = checks[step.name]
        return Text(
            f"recomputed in NumPy float64: largest difference {check.error:.1e}"
            f" (relative {check.relative_error:.1e})"
        )


def strips(widths: Sequence[int], room: int) -> list[list[int]]:
    """Which columns stand beside one another: as many as there is room for, the rest below."""
    found: list[list[int]] = [[]]
    for place, width in enumerate(widths):
        if found[-1] and sum(widths[other] for other in found[-1]) + width > room:
            found.append([])
        found[-1].append(place)
    return found
