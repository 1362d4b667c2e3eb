"""How a text was written, for notebooks: each token with what else could have been, and a beam search as a tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from glassformer.glass.generation import ChosenToken, GenerationTrace
from glassformer.glass.search_tree import Node, SearchTree

ACROSS, DOWN = 132, 26  # pixels from position to position, from rank to rank
BOX, HIGH = 104, 20
LETTERS = 13  # of a token that a box shows
STRONG = 0.6  # how much colour a token of probability 1 has
SIGNS = (
    "The answer has the strong line, a double edge ended, a pale box was dropped. Under the pointer: the"
    " log-probability, what it was weighed by, and why."
)


def generation_parts(generation: GenerationTrace) -> Iterator[str]:
    """The answer, its tokens shaded by their probability, the alternatives of each, and the tree if there is one."""
    yield f"<div class='idea'>{escape(generation.answer)}</div>"
    yield f"<div>{' '.join(map(shaded, generation.tokens))}</div>"
    rows = "".join(map(row, generation.tokens))
    yield f"<details><summary>what else could have been</summary><table>{rows}</table></details>"
    if generation.tree is not None:
        yield from tree_parts(generation.tree)


def shaded(token: ChosenToken) -> str:
    """A token in its colour, its probability and its likeliest alternatives under the pointer."""
    others = ", ".join(f"{other.token!r} {other.probability:.1%}" for other in token.alternatives)
    title = escape(f"{token.probability!r}; likeliest: {others}")
    colour = f"rgba(var(--share),{STRONG * token.probability:.3f})"
    return f'<span class="token" style="background:{colour}" title="{title}">{escape(token.token)}</span>'


def row(token: ChosenToken) -> str:
    """A token, and the likeliest in its place."""
    others = "".join(
        f"<td{' style=font-weight:bold' if other.id == token.id else ''} title='{other.probability!r}'>"
        f"{escape(other.token)} {other.probability:.1%}</td>"
        for other in token.alternatives
    )
    return f"<tr><th>{token.position}</th><th>{escape(token.token)}</th><td>{token.probability:.1%}</td>{others}</tr>"


def tree_parts(tree: SearchTree) -> Iterator[str]:
    """The tree as a drawing, and what its signs mean."""
    yield f"<div style='overflow-x:auto'>{tree_svg(tree)}</div>"
    grouped = ", group by group" if len({node.group for node in tree.nodes}) > 1 else ""
    says = f"{tree.says[:1].upper()}{tree.says[1:]}"
    said = f"{says}. From left to right the positions, from top to bottom the rank{grouped}. {SIGNS}"
    yield f"<div class='note'>{said}</div>"


def tree_svg(tree: SearchTree) -> str:
    """Every continuation that was weighed as a box, joined to the one that it continues."""
    levels = tree.levels
    wide, high = len(levels) * ACROSS, max(map(len, levels)) * DOWN + 4
    lines = "".join(edge(tree, node) for node in sorted(tree.nodes, key=lambda node: node.chosen))
    boxes = "".join(box(tree, node) for node in tree.nodes)
    size = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    head = f'<svg {size} role="img" aria-label="{escape(repr(tree))}"'
    return f'{head} font-family="sans-serif" font-size="11">{lines}{boxes}</svg>'


def edge(tree: SearchTree, node: Node) -> str:
    """The line from a node to the one before it."""
    if node.parent is None:
        return ""
    x, y = corner(tree.nodes[node.parent])
    ends, to = corner(node)
    start, middle = x + BOX, (x + BOX + ends) / 2
    path = f"M{start} {y + HIGH / 2} C{middle} {y + HIGH / 2} {middle} {to + HIGH / 2} {ends} {to + HIGH / 2}"
    strong = 'stroke="rgb(var(--share))" stroke-width="2.5"'
    thin = 'stroke="var(--soft)" stroke-width=".8"'
    pale = ' opacity=".35"' if node.fate == "dropped" else ""
    return f'<path d="{path}" fill="none" {strong if node.chosen else thin}{pale}/>'


def box(tree: SearchTree, node: Node) -> str:
    """A node: its token, coloured by its probability."""
    x, y = corner(node)
    token = node.token if len(node.token) <= LETTERS else f"{node.token[: LETTERS - 1]}…"
    numbers = re.sub(" +", " ", f"ln p {node.log_probability:.4f}, {tree.figures(node)}")
    title = f"{node.text!r}: {node.token!r}, {numbers}; {node.reason}"
    edge = "rgb(var(--share))" if node.chosen else "var(--line)"
    shape = f'x="{x}" y="{y}" width="{BOX}" height="{HIGH}" rx="4" stroke="{edge}"'
    inner = f'<rect x="{x + 2}" y="{y + 2}" width="{BOX - 4}" height="{HIGH - 4}" rx="3" fill="none" stroke="{edge}"/>'
    pale = ' opacity=".45"' if node.fate == "dropped" else ""
    text = f'<text x="{x + BOX / 2}" y="{y + 14}" text-anchor="middle" fill="var(--ink)">{escape(token)}</text>'
    ended = inner if node.fate == "ended" else ""
    return f'<g{pale}><title>{escape(title)}</title><rect {shape} fill="var(--raised)"/>{ended}{text}</g>'


def corner(node: Node) -> tuple[int, int]:
    """Where a node's box begins."""
    return node.position * ACROSS + 2, node.rank * DOWN + 2
