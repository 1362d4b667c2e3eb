"""The order in which a trace is told: which steps belong together, and what is said before them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from glassformer.glass.step import Step


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of chapter: the steps it gathers, its title and its opening words."""

    pattern: str  # of the step's name below its stack or layer
    title: str
    opening: str
    decoder_title: str = ""
    decoder_opening: str = ""


@dataclass(frozen=True, slots=True)
class Chapter:
    """Some steps of a trace, told together."""

    title: str
    opening: str
    steps: tuple[Step, ...]
    layer: int | None
    side: str  # encoder, decoder, head, loss, search, gradient or update


STACK = (
    Kind(
        r"ids|embedding\.tokens",
        "The words become numbers",
        "A model reads numbers, not words. Each word has its place in the vocabulary. Written as a row that"
        " is 1 at that place and 0 everywhere else, and multiplied by the embedding weights, it picks out the"
        " word's own row.",
        "What is written so far becomes numbers",
        "The decoder reads what has been written so far, beginning with a token that only says: begin. All of"
        " the answer is laid out here at once, yet no row may look at a later one; so row after row is"
        " exactly what the decoder computed when it had written that much and no more.",
    ),
    Kind(
        r"attention_mask|(key_)?position_ids|segment_ids|embedding\..+",
        "Where each word stands",
        "The rows do not say which word came first. So each position has a row of its own, added to the"
        " word's.",
    ),
    Kind(
        r"(window_)?mask|memory.*|relative.*",
        "Who may look at whom",
        "Before the words look at one another, it is settled who may be seen.",
    ),
)

LAYER = (
    Kind(
        r".*self_attention.*",
        "Each word looks at the others",
        "Each row is turned into three: a query (what it asks for), a key (what it can be found by) and a"
        " value (what it hands over). How well a query meets a key decides how much of that word's value is"
        " taken along.",
        "Each word looks back",
        "The same attention again, but a word sees only itself and the words before it.",
    ),
    Kind(
        r".*cross_attention.*",
        "Each word looks at the source",
        "Now the queries come from what is being written, the keys and values from what the encoder made of"
        " the source.",
    ),
    Kind(
        r".*feed_forward.*",
        "Each word by itself",
        "Every row goes through the same two linear maps: into a wider layer, through an activation, and"
        " back.",
    ),
)

END = Kind(r"norm\..*|output", "What the {side} hands over", "")
HEAD = Kind(
    r".*",
    "What comes of it",
    "The last rows are compared with every possible answer, and the scores turned into probabilities.",
)

SEARCH = Kind(
    r"search\..*",
    "Which candidate is written",
    "Contrastive search reads each of the likeliest tokens before it chooses one: what would repeat what was written,"
    " its last row pointing the way of an earlier one, loses for that.",
)

LOSS = Kind(
    r"loss\..*",
    "How far that is from what is wanted",
    "Training compares the probabilities with the right answer: the less likely the model held it, the larger the"
    " loss, which every weight is then changed a little to make smaller.",
)


BACKWARD = Kind(
    r"gradient\..*",
    "How the loss would change with every number",
    "Backwards, from the loss to the embeddings: ∂X says how much the loss rises when a number of X does. Each step"
    " hands its gradient to what it was made of; a value used several times collects what all of them send back.",
)
UPDATE = Kind(
    r"update\..*",
    "Every weight moves a little",
    "Against its gradient, so that the loss falls: not by the gradient itself, but by its mean of late over the root of"
    " its mean square, which makes the steps of all weights alike.",
)


def chapters(steps: Iterable[Step]) -> list[Chapter]:
    """All steps, in chapters, in the order of the telling."""
    left = {step.name: step for step in steps}
    back, update = _take(left, BACKWARD, ""), _take(left, UPDATE, "")
    pair = {name.partition(".")[0] for name in left} >= {"encoder", "decoder"}
    told = []
    for side in ("encoder", "decoder"):
        told += [_chapter(kind, side, None, _take(left, kind, f"{side}\\."), pair) for kind in STACK]
        layers = {int(match[1]) for name in left if (match := re.match(rf"{side}\.layers\.(\d+)\.", name))}
        for layer in sorted(layers):
            prefix = rf"{side}\.layers\.{layer}\."
            told += [_chapter(kind, side, layer, _take(left, kind, prefix), pair) for kind in LAYER]
        told.append(_chapter(END, side, None, _take(left, END, f"{side}\\."), pair))
    loss, search = _take(left, LOSS, ""), _take(left, SEARCH, "")
    told.append(_chapter(HEAD, "head", None, _take(left, HEAD, ""), pair))
    told.append(_chapter(LOSS, "loss", None, loss, pair))
    told.append(_chapter(SEARCH, "search", None, search, pair))
    told.append(_chapter(BACKWARD, "gradient", None, back, pair))
    told.append(_chapter(UPDATE, "update", None, update, pair))
    return [chapter for chapter in told if chapter.steps]


def _take(left: dict[str, Step], kind: Kind, prefix: str) -> tuple[Step, ...]:
    """The steps of a kind, taken out so that none is told twice."""
    fitting = [name for name in left if re.fullmatch(f"{prefix}({kind.pattern})", name)]
    return tuple(left.pop(name) for name in fitting)


def _chapter(kind: Kind, side: str, layer: int | None, steps: tuple[Step, ...], pair: bool) -> Chapter:
    title, opening = kind.title, kind.opening
    if side == "decoder" and (pair or layer is not None):
        title, opening = kind.decoder_title or title, kind.decoder_opening or opening
    title = title.format(side=side)
    if layer is not None:
        title = f"{side.capitalize()}, layer {layer}: {title[0].lower()}{title[1:]}"
    return Chapter(title, opening, steps, layer, side)
