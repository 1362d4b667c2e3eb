"""Answers in a notebook: labels as bars, names marked in their text, written words shaded by how sure the model was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import singledispatch
from html import escape
from typing import Any

from glassformer.show.fragments import wrapped
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


def bars(shares: Mapping[str, float], chosen: set[str]) -> str:
    """A row for each name, likeliest first; what was chosen stands out."""
    rows = []
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        called = f"<b>{escape(name)}</b>" if name in chosen else escape(name)
        bar = f'<span class="bar" style="width:{WIDE * share:.0f}px"></span>'
        cells = f'<th>{called}</th><td>{share:.1%}</td><td style="text-align:left">{bar}</td>'
        rows.append(f'<tr title="{share!r}">{cells}</tr>')
    return f"<table>{''.join(rows)}</table>"
