"""What inspection found, for people: the text in colour in a terminal, and as a page that stands alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from rich.text import Text

from glassformer.files import write_text
from glassformer.inspection.attribution import Attribution, Piece, Scores
from glassformer.show.matrix import LABEL_STYLE, NOTE_STYLE, SYMBOL_STYLE
from glassformer.show.numbers import bar

FOR, AGAINST = (196, 88, 30), (38, 98, 168)  # as in the palette
PAPER = (252, 251, 248)
LISTED = 12  # words in the list below the text
BAR = 24
TINY = 0.02  # of the strongest score: below it a word stays uncoloured


def shown(found: Attribution) -> Iterator[Text]:
    """The text with its words in colour, then the strongest of them, then what is to be known."""
    yield Text.assemble((found.about, SYMBOL_STYLE), (f" by {found.method}", NOTE_STYLE))
    most = strongest(found.words)
    for scores in found.scores:
        if len(found.scores) > 1:
            yield Text(f"{scores.side}:", NOTE_STYLE)
        yield coloured(scores, most)
    ranked = sorted(found.words, key=lambda word: -abs(word.score))[:LISTED]
    wide = max((len(word.text) for word in ranked), default=0)
    for word in ranked:
        drawn = bar(abs(word.score) / most, BAR)
        style = "rgb({},{},{})".format(*(FOR if word.score >= 0 else AGAINST))
        yield Text.assemble((f"{word.text:>{wide}} ", LABEL_STYLE), f"{word.score:+9.4f} ", (drawn, style))
    for name, value in found.facts():
        yield Text(f"{name}: {value}", NOTE_STYLE)


def coloured(scores: Scores, most: float) -> Text:
    """A text as it was given, added tokens in brackets, each word on its own ground: warm for, cool against."""
    text = Text()
    for piece, word in pieces(scores):
        if word is None:
            text.append(piece)
        elif abs(word.score) < TINY * most:
            text.append(piece, NOTE_STYLE if word.of is None else "")
        else:
            text.append(piece, "rgb(34,33,31) on rgb({},{},{})".format(*ground(word.score / most)))
    return text


def pieces(scores: Scores) -> Iterator[tuple[str, Piece | None]]:
    """The whole text, piece by piece: (characters, the word that they are, or None)."""
    number, done = 0, 0
    for word in scores.words:
        if word.of is None:
            if number in range(len(scores.texts)) and done:
                yield " ", None
            yield word.text, word
            yield " ", None
            continue
        if word.of != number:
            yield scores.texts[number][done:], None
            number, done = word.of, 0
        yield scores.texts[number][done : word.start], None
        yield scores.texts[number][word.start : word.end], word
        done = word.end
    if number < len(scores.texts):
        yield scores.texts[number][done:], None


def ground(share: float) -> tuple[int, int, int]:
    """From the paper's colour to that of what speaks for, or against."""
    far, colour = min(abs(share), 1.0) * 0.8, FOR if share >= 0 else AGAINST
    red, green, blue = (round(paper + (end - paper) * far) for paper, end in zip(PAPER, colour, strict=True))
    return red, green, blue


def strongest(words: Sequence[Piece]) -> float:
    """The size of the strongest score; 1 where there is none."""
    return max((abs(word.score) for word in words), default=0.0) or 1.0


def page(found: Attribution) -> str:
    """One page that stands alone: the text in colour, every word with its score, no network."""
    assets = files("glassformer.show") / "assets"
    most = strongest(found.words)
    texts = "".join(f"<p class=text>{spans(scores, most)}</p>" for scores in found.scores)
    rows = "".join(row(scores, word, most) for scores in found.scores for word in scores.words)
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in found.facts())
    head = f"<h1>{escape(found.about)}</h1><p class=note>{escape(found.method)}</p>"
    main = f"{texts}<dl>{facts}</dl><table><tr><th>word<th>score<th>characters<th></tr>{rows}</table>"
    template = (assets / "report.html").read_text("utf-8")
    style = (assets / "palette.css").read_text("utf-8") + (assets / "attribution.css").read_text("utf-8")
    for mark, filled in (("title", escape(found.about)), ("style", style), ("head", head), ("main", main)):
        template = template.replace(f"<!--{mark}-->", filled)
    return template


def spans(scores: Scores, most: float) -> str:
    """A text as HTML, each word on its ground."""
    found = []
    for piece, word in pieces(scores):
        if word is None:
            found.append(escape(piece))
            continue
        tone = "plus" if word.score >= 0 else "minus"
        share = 0.75 * min(abs(word.score) / most, 1.0)
        kind = " class=added" if word.of is None else ""
        ground = f"background:rgba(var(--{tone}),{share:.3f})"
        found.append(f'<span{kind} style="{ground}" title="{word.score:+.6f}">{escape(piece)}</span>')
    return "".join(found)


def row(scores: Scores, word: Piece, most: float) -> str:
    """A line of the table: the word, its score, where it stands, a bar."""
    tone, share = "plus" if word.score >= 0 else "minus", 100 * abs(word.score) / most
    where = f"{word.start}&ndash;{word.end}" if word.of is not None else "added"
    drawn = f'<i style="width:{share:.1f}%;background:rgb(var(--{tone}))"></i>'
    return f"<tr><td>{escape(word.text)}<td class=n>{word.score:+.4f}<td class=n>{where}<td class=bar>{drawn}</tr>"


def write_page(found: Attribution, path: str | Path) -> None:
    """Write the page whole or not at all."""
    write_text(path, [page(found)])
