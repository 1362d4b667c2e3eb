"""The LaTeX of the formula table as MathML, which every browser sets by itself."""

import re
from collections.abc import Iterator
from html import escape

from glassformer.errors import InputError

TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?(?:e[-+]?\d+)?|\s+|.")

SIGNS = {
    r"\odot": "⊙",
    r"\div": "÷",
    r"\cdot": "·",
    r"\top": "⊤",
    r"\infty": "∞",
    r"\sum": "∑",
    "-": "−",
    "'": "′",
    **{sign: sign for sign in "+=<>,()[]|/:≤"},
}
LETTERS = {
    r"\mu": "μ",
    r"\sigma": "σ",
    r"\gamma": "γ",
    r"\beta": "β",
    r"\Phi": "Φ",
    r"\pi": "π",
    r"\epsilon": "ε",
    r"\ell": "ℓ",
    r"\partial": "∂",
    r"\Lambda": "Λ",
}
FUNCTIONS = frozenset({r"\sin", r"\cos", r"\tanh", r"\exp", r"\max", r"\min", r"\log", r"\ln"})
SPACES = {r"\quad": "1em", r"\,": "0.17em", r"\ ": "0.3em"}
ACCENTS = {r"\hat": "^", r"\overline": "‾"}
SILENT = frozenset({r"\textstyle", r"\displaystyle"})
WORDS = frozenset({r"\text", r"\mathrm"})
NO_BREAK = "\u00a0"  # a plain space at the end of an element is not set
SCRIPTS = {"_": "msub", "^": "msup"}


def mathml(latex: str) -> str:
    """One formula as a `math` element; a command that the table does not use is refused."""
    tokens = _Tokens(latex)
    return f'<math display="block">{_row(list(_items(tokens, None)))}</math>'


class _Tokens:
    """The pieces of a formula, one after the other."""

    def __init__(self, latex: str) -> None:
        self.pieces: list[str] = TOKEN.findall(latex)
        self.place = 0

    def next(self) -> str | None:
        """The next piece that is not a space."""
        while self.place < len(self.pieces):
            self.place += 1
            if not self.pieces[self.place - 1].isspace():
                return self.pieces[self.place - 1]
        return None

    def peek(self) -> str | None:
        """What `next` would give."""
        place, piece = self.place, self.next()
        self.place = place
        return piece

    def words(self) -> str:
        """What stands between braces, spaces and all."""
        self.next()
        start = self.place
        while self.place < len(self.pieces) and self.pieces[self.place] != "}":
            self.place += 1
        self.place += 1
        return "".join(self.pieces[start : self.place - 1])


def _items(tokens: _Tokens, end: str | None) -> Iterator[str]:
    """Elements up to the closing piece, each with the scripts that follow it."""
    while (piece := tokens.next()) is not None and piece != end:
        if piece in SILENT:
            continue
        yield _scripted(_element(piece, tokens), tokens)


def _scripted(base: str, tokens: _Tokens) -> str:
    scripts: dict[str, str] = {}
    while (sign := tokens.peek()) in SCRIPTS and sign is not None and sign not in scripts:
        tokens.next()
        scripts[sign] = _argument(tokens)
    if len(scripts) == 2:
        return f"<msubsup>{base}{scripts['_']}{scripts['^']}</msubsup>"
    for sign, script in scripts.items():
        return f"<{SCRIPTS[sign]}>{base}{script}</{SCRIPTS[sign]}>"
    return base


def _argument(tokens: _Tokens) -> str:
    piece = tokens.next()
    return _element(piece, tokens) if piece is not None else "<mrow></mrow>"


def _element(piece: str, tokens: _Tokens) -> str:
    if piece == "{":
        return _row(list(_items(tokens, "}")))
    if piece in WORDS:
        return f"<mtext>{escape(tokens.words()).replace(' ', NO_BREAK)}</mtext>"
    if piece == r"\frac":
        return f"<mfrac>{_argument(tokens)}{_argument(tokens)}</mfrac>"
    if piece == r"\sqrt":
        return f"<msqrt>{_argument(tokens)}</msqrt>"
    if piece in ACCENTS:
        return f'<mover accent="true">{_argument(tokens)}<mo>{ACCENTS[piece]}</mo></mover>'
    if piece in (r"\left", r"\right"):
        return f'<mo stretchy="true">{escape(tokens.next() or "")}</mo>'
    return _leaf(piece)


def _leaf(piece: str) -> str:
    if piece in SPACES:
        return f'<mspace width="{SPACES[piece]}"></mspace>'
    if piece in FUNCTIONS:
        return f"<mi>{piece[1:]}</mi>"
    if piece in LETTERS:
        return f"<mi>{LETTERS[piece]}</mi>"
    if piece in SIGNS:
        return f'<mo stretchy="false">{escape(SIGNS[piece])}</mo>'
    if piece[0].isdigit():
        return f"<mn>{piece}</mn>"
    if piece.isalpha():
        return f"<mi>{piece}</mi>"
    raise InputError(
        f"the formula has {piece!r}, which is not in the table of signs; add it to show/mathml.py"
    )


def _row(elements: list[str]) -> str:
    return elements[0] if len(elements) == 1 else f"<mrow>{''.join(elements)}</mrow>"
