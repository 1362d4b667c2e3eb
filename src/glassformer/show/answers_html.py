"""Answers in a notebook: labels as bars, names marked in their text, written words shaded by how sure the model was.

So are what is found about answers: the words that speak for one, how it was written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import singledispatch
from html import escape
from typing import Any

from glassformer.glass.generation import GenerationTrace
from glassformer.glass.search_tree import SearchTree
from glassformer.inspection.attribution import Attribution, Piece
from glassformer.show.fragments import STRONG, wrapped
from glassformer.show.writing_html import generation_parts, tree_parts
from glassformer.tasks.answering import Span
from glassformer.tasks.classification import Label, Labels, Values
from glassformer.tasks.filling import Filled
from glassformer.tasks.generation import GeneratedText
from glassformer.tasks.rewriting import Rewritten
from glassformer.tasks.tagging import Entities

WIDE = 160  # pixels of a bar that is one


def answer_html(answer: Any) -> str:
    """Any answer of a task."""
    return wrapped(*_parts(answer))


@singledispatch
def _parts(answer: Any) -> Iterator[str]:
    yield f"<div>{escape(str(answer))}</div>"


@_parts.register
def _label(answer: Label) -> Iterator[str]:
    yield bars(answer.probabilities, {answer.label})


@_parts.register
def _labels(answer: Labels) -> Iterator[str]:
    yield bars(answer.probabilities, set(answer.labels))


@_parts.register
def _values(answer: Values) -> Iterator[str]:
    rows = (f"<tr><th>{escape(name)}</th><td>{value!r}</td></tr>" for name, value in answer.values.items())
    yield f"<table>{''.join(rows)}</table>"


@_parts.register
def _entities(answer: Entities) -> Iterator[str]:
    pieces = (
        f"<mark>{escape(piece)}<sub>{escape(kind)}</sub></mark>" if kind else escape(piece)
        for piece, kind in answer.pieces()
    )
    yield f"<div class='token'>{''.join(pieces)}</div>"


@_parts.register
def _span(answer: Span) -> Iterator[str]:
    yield bars({str(one): one.probability for one in (answer, *answer.others)}, {str(answer)})


@_parts.register
def _filled(answer: Filled) -> Iterator[str]:
    yield f"<div class='idea'>{escape(answer.text)}</div>"
    for candidates in answer.candidates:
        yield bars(dict(candidates), {candidates[0][0]})


@_parts.register(Rewritten)
@_parts.register(GeneratedText)
def _written(answer: Rewritten | GeneratedText) -> Iterator[str]:
    yield f"<div class='idea'>{escape(answer.text)}</div>"
    shares = zip(answer.tokens, map(math.exp, answer.log_probabilities), strict=True)
    tokens = (
        f'<span class="token" style="background:rgba(var(--share),{0.6 * share:.3f})" title="{share!r}">'
        f"{escape(token)}</span>"
        for token, share in shares
    )
    yield f"<div>{' '.join(tokens)}</div>"


_parts.register(GenerationTrace, generation_parts)
_parts.register(SearchTree, tree_parts)


@_parts.register
def _attribution(answer: Attribution) -> Iterator[str]:
    largest = max((abs(piece.score) for piece in answer.words), default=0.0)
    facts = "; ".join(f"{name} {value}" for name, value in answer.facts())
    yield f"<div><b>{escape(answer.method)}</b> for {escape(answer.about)}</div>"
    for side in answer.scores:
        yield f"<div>{' '.join(weighed(piece, largest) for piece in side.words)}</div>"
    yield f"<div class='note'>orange speaks for it, blue against it; {escape(facts)}</div>"


def weighed(piece: Piece, largest: float) -> str:
    """A word in the colour of its score: the strongest of all has full colour."""
    strength = STRONG * abs(piece.score) / largest if largest else 0.0
    colour = f"rgba(var(--{'plus' if piece.score > 0 else 'minus'}),{strength:.3f})"
    return f'<span class="token" style="background:{colour}" title="{piece.score!r}">{escape(piece.text)}</span>'


def bars(shares: Mapping[str, float], chosen: set[str]) -> str:
    """A row for each name, likeliest first; what was chosen stands out."""
    rows = []
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        called = f"<b>{escape(name)}</b>" if name in chosen else escape(name)
        bar = f'<span class="bar" style="width:{WIDE * share:.0f}px"></span>'
        cells = f'<th>{called}</th><td>{share:.1%}</td><td style="text-align:left">{bar}</td>'
        rows.append(f'<tr title="{share!r}">{cells}</tr>')
    return f"<table>{''.join(rows)}</table>"
