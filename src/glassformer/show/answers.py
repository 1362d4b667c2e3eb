"""Answers in the terminal: labels as bars, names in colour within their text, an answer lit up in its context.

The functions give what `rich` can print; whoever calls them prints.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from glassformer.show.matrix import NOTE_STYLE, SYMBOL_STYLE
from glassformer.show.numbers import bar
from glassformer.tasks.answering import Span
from glassformer.tasks.tagging import Entities

BAR = 30
NAME = 30  # cells that a label's name may take
AROUND = 240  # characters of a context that are shown on either side of an answer
ENTITY_STYLES = ("cyan", "green", "magenta", "yellow", "blue", "red")


def label_bars(probabilities: Mapping[str, float], chosen: Collection[str]) -> Iterator[Text]:
    """A line for each label, likeliest first: its name, a bar, its share; what was chosen stands out."""
    wide = min(NAME, max(map(cell_len, probabilities), default=0))
    for name, share in sorted(probabilities.items(), key=lambda item: -item[1]):
        style = SYMBOL_STYLE if name in chosen else NOTE_STYLE
        drawn = set_cell_size(bar(share, BAR), BAR)
        yield Text.assemble(
            (f"{set_cell_size(name, wide)}  ", style), (drawn, style), (f"{share:8.2%}", style)
        )


def marked(answer: Entities, kinds: Sequence[str]) -> Text:
    """The text, its names in the colour of their kind, which is named behind them."""
    shown = Text()
    for piece, kind in answer.pieces():
        if kind is None:
            shown.append(piece)
            continue
        style = ENTITY_STYLES[kinds.index(kind) % len(ENTITY_STYLES)]
        shown.append(piece, f"bold {style}")
        shown.append(f" {kind}", f"dim {style}")
    return shown


def answered(span: Span, context: str) -> Iterator[Text]:
    """Each answer with its share, and the best one where it stands in its context."""
    for number, one in enumerate((span, *span.others)):
        style = NOTE_STYLE if number else SYMBOL_STYLE
        yield Text.assemble((str(one), style), (f"  {one.probability:.1%}", NOTE_STYLE))
    if span.text:
        yield excerpt(context, span.start, span.end)


def excerpt(context: str, start: int, end: int) -> Text:
    """What stands around some characters, these lit up; cut at spaces."""
    first = 0 if start <= AROUND else context.find(" ", start - AROUND, start) + 1 or start - AROUND
    last = len(context) if len(context) - end <= AROUND else context.rfind(" ", end, end + AROUND)
    last = last if last >= end else end + AROUND
    before, after = context[first:start], context[end:last]
    return Text.assemble(
        ("… " if first else "", NOTE_STYLE),
        (before, NOTE_STYLE),
        (context[start:end], "bold reverse"),
        (after, NOTE_STYLE),
        (" …" if last < len(context) else "", NOTE_STYLE),
    )
